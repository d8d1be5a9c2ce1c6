"""How far each session had come before each of its records: what is too late, what is news, who may have ended.

>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.session_columns import columns_of
>>> from schemas.sessions import SessionRecord
>>> records = [SessionRecord(ms, "a", cpu=0.5) for ms in (9_000, 9_500, 8_000, 400_000, 9_200)]
>>> names, columns = columns_of(records, ())
>>> columns = columns._replace(clocks=np.maximum.accumulate(columns.times))
>>> reach = Reach(columns, [Session(Rows(MemoryStore()), "a", Rules())], Rules())
>>> reach.late.tolist(), reach.news.tolist(), reach.ends.tolist()
([False, False, False, False, True], [True, True, True, True, False], [400000])

All of it is what `Session.count` would find one by one, as long as no record finds its session ended: `may_end` names
the sessions of which that is not certain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aggregators.session import Session
from aggregators.session_columns import Columns, Groups, Longs, Mask
from aggregators.session_ends import Rules
from aggregators.session_window import WINDOW_MS

FAR = 1 << 61
"""Beyond any moment; times of more ms are not for columns."""
SPAN_BITS = 40
"""Of ms from the first to the last record of a session in a batch: 34 years."""
SPAN = (1 << SPAN_BITS) - 1
"""More than that."""


class Reach:
    """The records of some sessions.

    Args:
        columns: sorted by session; ``codes`` are places in ``sessions``, and each has one record at least. Those of a
            session are less than `SPAN` ms apart, and no time is beyond `FAR`.
        sessions: of which none is over.
        rules: of counting.
    """

    def __init__(self, columns: Columns, sessions: Sequence[Session], rules: Rules) -> None:
        codes, times = columns.codes, columns.times
        groups = Groups.of(codes)
        heads = [session.head for session in sessions]
        starts, ends = (
            np.array([none if session.fresh else getattr(session.head, name) for session in sessions], np.int64)
            for name, none in (("start", FAR), ("end", -FAR))
        )
        floors = np.array([head.floor for head in heads], np.int64)
        self.since = np.minimum.reduceat(times, groups.starts)
        """The first time of each session here."""
        since = self.since[codes]
        self.keys: Longs = codes << SPAN_BITS | times - since
        """Of each record: sorted by these, records are sorted by session and time."""
        greatest = (np.maximum.accumulate(self.keys) & SPAN) + since
        ends_before = np.maximum(_before(greatest, groups, -FAR), ends[codes])
        self.numbers = times // WINDOW_MS
        """The windows."""
        grace_ms = min(rules.grace_ms, FAR)
        self.late: Mask = self.numbers < np.maximum(floors[codes], (ends_before - grace_ms) // WINDOW_MS)
        """What is too late: a record for what was folded when it came."""
        # The first moments, counted from behind, so that each session begins anew.
        downward = (len(sessions) - 1 - codes) << SPAN_BITS
        smallest = np.minimum.accumulate(downward | np.where(self.late, SPAN, times - since)) & SPAN
        smallest = np.where(smallest == SPAN, FAR, smallest + since)
        starts_before = np.minimum(_before(smallest, groups, FAR), starts[codes])
        later = times > ends_before
        self.news: Mask = later | ((times < starts_before) & ~self.late)
        """Whether a record makes its session begin earlier or end later."""
        last = groups.ends - 1
        self.starts, self.ends = np.minimum(starts, smallest[last]), np.maximum(ends, greatest[last])
        """Of the sessions, all records included."""
        self._later, self._groups = later, groups
        self._touched = np.array([FAR if one.fresh else one.head.touched for one in sessions], np.int64)

    def may_end(self, columns: Columns, patience: Longs) -> Mask:
        """Which sessions a record may find ended.

        Args:
            columns: the records.
            patience: of each session, ms: the shortest that it has in this batch.
        """
        codes, groups = columns.codes, self._groups
        # What makes a session end later has touched it; whether another record has, is not asked.
        last = _before(np.maximum.accumulate(np.where(self._later, np.arange(len(codes)), -1)), groups, -1)
        touched = np.where(last >= groups.starts[codes], columns.clocks[last], self._touched[codes])
        ended = columns.clocks >= touched + patience[codes]
        return np.bincount(codes[ended], minlength=len(groups.codes)) > 0


def _before(running: Longs, groups: Groups, none: int) -> Longs:
    """What was true before each record, from what is true with it; ``none`` for the first of each session."""
    before = np.empty_like(running)
    before[1:] = running[:-1]
    before[groups.starts] = none
    return before
