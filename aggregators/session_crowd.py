"""Which sessions of a batch can be counted together, in columns (`aggregators.session_tally`).

>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.session_columns import columns_of
>>> records = [SessionRecord(ms, name, cpu=0.5) for name in "ab" for ms in range(1_000, 9_000, 500)][:20]
>>> names, columns = columns_of(records, ())
>>> columns = columns._replace(clocks=np.maximum.accumulate(columns.times))
>>> crowd = Crowd(records, columns, [Session(Rows(MemoryStore()), name, Rules()) for name in names], Rules())
>>> crowd.together.tolist(), [session.name for session in crowd.sessions]
([True, False], ['a'])

The others are counted one by one: those of few records here, those that a record may find ended, and those whose
times are so far apart that no computer has been on for as long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aggregators.session import Session
from aggregators.session_columns import Columns, Groups, Longs, Mask, rows_of
from aggregators.session_ends import Rules
from aggregators.session_reach import FAR, SPAN, Reach
from aggregators.session_window import WINDOW_MS
from schemas.sessions import SessionRecord

FEW = 6
"""So many records of a session are counted one by one: columns cost more than they do."""


class Crowd:
    """The sessions that are counted together.

    Args:
        records: of the batch.
        columns: of them, sorted by session.
        sessions: by their place in ``columns.codes``.
        rules: of counting.
    """

    def __init__(
        self, records: Sequence[SessionRecord], columns: Columns, sessions: Sequence[Session], rules: Rules
    ) -> None:
        self.records = records
        self.rules = rules
        self._all: tuple[Columns, Sequence[Session]] = columns, sessions
        chosen = self._fit()
        self._choose(chosen)
        while len(chosen) and (unsure := self.reach.may_end(self.columns, self._patience())).any():
            chosen = chosen[~unsure]
            self._choose(chosen)

    def _fit(self) -> Longs:
        """The sessions that have many records here, and whose records fit columns."""
        columns, sessions = self._all
        groups = Groups.of(columns.codes)
        many: Mask = groups.ends - groups.starts > FEW
        if not many.any() or max(int(columns.clocks.max()), -int(columns.times.min())) >= FAR:
            return np.zeros(0, np.int64)
        first, last = (extreme.reduceat(columns.times, groups.starts) for extreme in (np.minimum, np.maximum))
        many &= last - first < SPAN
        fit: list[int] = []
        codes: list[int] = groups.codes[many].tolist()
        for code in codes:
            session, head = sessions[code], sessions[code].head
            # The floor is where the end has put it, unless the grace was set anew.
            if session.fresh or (not session.over and head.floor >= (head.end - self.rules.grace_ms) // WINDOW_MS):
                fit.append(code)
        return np.array(fit, np.int64)

    def _choose(self, chosen: Longs) -> None:
        columns, sessions = self._all
        self.together: Mask = np.zeros(len(sessions), np.bool_)
        """Which sessions they are."""
        self.together[chosen] = True
        self.sessions: list[Session] = [sessions[code] for code in chosen.tolist()]
        """These."""
        columns = columns.at(self.together[columns.codes])
        self.columns: Columns = columns._replace(codes=np.searchsorted(chosen, columns.codes))
        """Their records; ``codes`` are places among `sessions`."""
        if len(chosen):
            self.reach = Reach(self.columns, self.sessions, self.rules)

    def _patience(self) -> Longs:
        """The shortest that each session may have in this batch."""
        columns, grace_ms = self.columns, self.rules.grace_ms
        patience: list[int] = [session.patience for session in self.sessions]
        places = np.flatnonzero(columns.more)
        for code, place in rows_of(columns.codes[places], columns.places[places]):
            if self.records[place].state == "over":
                patience[code] = grace_ms
        return np.minimum(np.array(patience, np.float64), FAR).astype(np.int64)
