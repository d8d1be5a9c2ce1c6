"""Many records of many sessions, counted at once in columns; what is left is what `Session.count` leaves one by one.

>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.session import Session
>>> from aggregators.session_columns import columns_of
>>> from aggregators.session_ends import Rules
>>> from schemas.sessions import SessionRecord
>>> records = [SessionRecord(ms, "a", cpu=0.5) for ms in range(1_000, 9_000, 1_000)]
>>> names, columns = columns_of([*records, *records], ())
>>> columns = columns._replace(clocks=np.maximum.accumulate(columns.times))
>>> session = Session(Rows(MemoryStore()), "a", Rules())
>>> count(Crowd([*records, *records], columns, [session], Rules()), now=None), session.head.samples
([], 8)

What needs the order of arrival was found for all records first (`aggregators.session_reach`). Then

1. records that report more than a sample are looked at one by one: states begin, versions and users are learned;
2. samples that are here already are left out, the others sorted by session and time;
3. each gets its state from the corrected states of its session, and all are added up by window and by session
   (`aggregators.session_samples`);
4. windows that are folded at the end of the batch leave their peak and nothing else; the others get their entries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import UNSET

from aggregators.aggregator import TOO_LATE
from aggregators.session import entry_of, higher
from aggregators.session_columns import Longs, Mask, Places, rows_of
from aggregators.session_crowd import Crowd
from aggregators.session_detail import Detail
from aggregators.session_head import RANKS
from aggregators.session_reach import SPAN, SPAN_BITS
from aggregators.session_samples import Samples
from aggregators.session_window import SIZE, STATES, WINDOW_MS, Run, Sums, mark, plains

_NOTHING = Sums(0, [0] * STATES, [-1.0] * STATES)


class _Other(NamedTuple):
    """What a window gets that is no bare sample."""

    at: int
    """The place of its record."""
    entry: bytes
    """With all that belongs to it."""
    identity: bytes
    """Of a sample; empty: it is a mark."""


def count(crowd: Crowd, now: int | None) -> list[tuple[int, str]]:
    """Count the records of a crowd.

    Args:
        crowd: of sessions.
        now: those that have ended at this moment of the partition are folded; None: none is.

    Returns:
        The place in the batch of each record that is refused, and the reason.
    """
    if not crowd.sessions:
        return []
    tally = _Tally(crowd)
    tally.look_at_more()
    tally.choose_samples()
    tally.touch(now)
    tally.add()
    return [(place, TOO_LATE) for place in crowd.columns.places[crowd.reach.late].tolist()]


class _Tally:
    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._columns = crowd.columns
        self._sessions = crowd.sessions
        self._reach = crowd.reach
        self._counts: Mask = ~np.isnan(crowd.columns.cpus) & ~crowd.reach.late
        """Whether a record is a new sample."""
        self._changes: Mask = np.zeros(len(self._counts), np.bool_)
        """Whether it changes its session."""
        self._others: defaultdict[tuple[int, int], list[_Other]] = defaultdict(list)
        """By session and window, in the order of arrival."""

    # -- 1

    def look_at_more(self) -> None:
        """Look at the records that report anything but a sample."""
        columns, reach, records = self._columns, self._reach, self._crowd.records
        places = np.flatnonzero(columns.more & ~reach.late)
        rows = rows_of(places, columns.codes[places], columns.places[places], reach.numbers[places], reach.news[places])
        seen: set[tuple[int, int, bytes]] = set()
        for at, code, place, number, news in rows:
            session, record = self._sessions[code], records[place]
            changed, time, own = bool(news), record.timestamp, 0
            if record.state is not UNSET:
                own = RANKS[record.state]
                if session.begin(own, time):
                    changed = True
                    self._others[code, number].append(_Other(at, mark(time - number * WINDOW_MS, own), b""))
            said = session.said(record)
            if said:
                changed |= session.learn(said, time)
            if record.cpu is not UNSET:
                entry, further = entry_of(time, own, record.cpu + 0.0, said)
                identity = further or entry
                window = session.detail.windows.get(number)
                if (code, number, identity) in seen or (window is not None and window.has(identity)):
                    self._counts[at] = False
                else:
                    seen.add((code, number, identity))
                    changed = True
                    self._others[code, number].append(_Other(at, entry + (further or b""), identity))
            self._changes[at] = changed

    # -- 2

    def choose_samples(self) -> None:
        """Leave out the samples that are here already."""
        places = np.flatnonzero(self._counts)
        order = places[np.argsort(self._reach.keys[places], kind="stable")]
        order = self._once(order)
        samples = self._samples(order)
        known = self._known(samples)
        if known:
            keep = np.ones(len(order), np.bool_)
            keep[known] = False
            order = order[keep]
            samples = self._samples(order)
        self._new = samples
        self._changes[order] = True

    def _samples(self, order: Places) -> Samples:
        columns = self._columns
        return Samples(order, columns.codes[order], self._reach.numbers[order], columns.cpus[order])

    def _once(self, order: Places) -> Places:
        """Of equal samples the first."""
        keys = self._reach.keys[order]
        same = np.zeros(len(order) + 1, np.bool_)
        np.equal(keys[1:], keys[:-1], out=same[1:-1])
        among = np.flatnonzero((same[1:] | same[:-1]) & ~self._columns.more[order])
        if not len(among):
            return order
        seen: set[tuple[int, float]] = set()
        keep = np.ones(len(order), np.bool_)
        cpus = self._columns.cpus[order[among]]
        for at, *said in zip(among.tolist(), keys[among].tolist(), cpus.tolist(), strict=True):
            one = said[0], said[1]
            if one in seen:
                keep[at] = False
            seen.add(one)
        return order[keep]

    def _known(self, samples: Samples) -> list[int]:
        """The places among ``samples`` of those that are in the windows of an earlier batch."""
        more, known = self._columns.more, list[int]()
        for group in np.flatnonzero(self._is_kept(samples)).tolist():
            first, end = int(samples.starts[group]), int(samples.ends[group])
            session = self._sessions[int(samples.sessions[group])]
            window = session.detail.windows[int(samples.windows[group])]
            at = samples.at[first:end]
            entries = self._entries(at)
            for place, is_more in enumerate(more[at].tolist()):
                if not is_more and window.has(entries[place * SIZE : place * SIZE + SIZE]):
                    known.append(first + place)
        return known

    def _is_kept(self, samples: Samples) -> Mask:
        """Whether there was a window before, for each window of ``samples``."""
        kept = np.zeros(len(samples.starts), np.bool_)
        old = np.array([bool(session.detail.windows) for session in self._sessions], np.bool_)
        for group in np.flatnonzero(old[samples.sessions]).tolist():
            session = self._sessions[int(samples.sessions[group])]
            kept[group] = int(samples.windows[group]) in session.detail.windows
        return kept

    def _entries(self, at: Places) -> bytes:
        """The entries of bare samples."""
        return plains(self._columns.times[at] % WINDOW_MS, self._columns.cpus[at])

    # -- 3

    def touch(self, now: int | None) -> None:
        """Tell the sessions that changed when they did; they know then what will be folded."""
        columns, reach = self._columns, self._reach
        changes = np.flatnonzero(self._changes)
        last = np.full(len(self._sessions), -1)
        last[columns.codes[changes]] = changes  # of several the last one stays
        rows = rows_of(reach.starts, reach.ends, columns.clocks[last], last >= 0)
        for session, (start, end, clock, changed) in zip(self._sessions, rows, strict=True):
            if changed:
                session.fresh, session.head.start, session.head.end = False, start, end
                session.touch(clock)
                if now is not None and session.is_due(now):
                    session.end()

    def _ranks(self) -> Longs:
        """The state of each new sample."""
        keys, ranks = list[int](), list[int]()
        for code, (session, since) in enumerate(zip(self._sessions, self._reach.since.tolist(), strict=True)):
            detail, first = session.detail, code << SPAN_BITS
            keys.append(first)
            ranks.append(detail.base)
            keys += [first + min(max(time - since, 0), SPAN) for time in detail.times]
            ranks += detail.ranks
        begins = np.searchsorted(self._reach.keys[self._new.at], np.array(keys, np.int64))
        return np.repeat(np.array(ranks, np.int64), np.diff(begins, append=len(self._new.at)))

    def add(self) -> None:
        """Add up the new samples, and put what of them is not folded into windows."""
        samples, sessions = self._new, self._sessions
        samples.give_states(self._ranks())
        floors = np.array([session.head.floor for session in sessions], np.int64)
        folded = (samples.windows < floors[samples.sessions]) & ~self._is_kept(samples)
        for code, peak in samples.highest(folded).items():
            head = sessions[code].head
            head.folded_peak, head.peak = higher(head.folded_peak, peak), higher(head.peak, peak)
        thresholds = np.array([session.head.threshold for session in sessions])
        for code, rank, share in samples.shares(thresholds, folded):
            sessions[code].head.put_share(rank, share)
        for code, number, total in samples.totals():
            sessions[code].head.samples += number
            sessions[code].total += total
        self._fill_windows(~folded)

    # -- 4

    def _fill_windows(self, chosen: Mask) -> None:
        """Put the samples of some windows there, and what else has arrived for windows that are not folded."""
        samples, others = self._new, self._others
        of_window = np.repeat(np.arange(len(samples.starts)), samples.ends - samples.starts)
        bare = np.flatnonzero(chosen[of_window] & ~self._columns.more[samples.at])
        bare = bare[np.lexsort((samples.at[bare], of_window[bare]))]
        at = samples.at[bare]
        entries = self._entries(at)
        groups = np.flatnonzero(chosen)
        firsts, ends = (np.searchsorted(of_window[bare], groups, side) for side in ("left", "right"))
        rows = rows_of(groups, samples.sessions[groups], samples.windows[groups], firsts, ends)
        for group, code, number, begin, end in rows:
            runs = _runs(at[begin:end], entries[begin * SIZE : end * SIZE], others.pop((code, number), []))
            session = self._sessions[code]
            _add(session.detail, number, runs, samples.sums(group))
            session.sampled.add(number)
        for (code, number), rest in others.items():
            session = self._sessions[code]
            if number >= session.head.floor or number in session.detail.windows:
                _add(session.detail, number, _runs(at[:0], b"", rest), _NOTHING)


def _add(detail: Detail, number: int, runs: Iterable[Run], sums: Sums) -> None:
    detail.window(number).add(runs, sums)
    detail.written.add(number)


def _runs(at: Places, entries: bytes, others: Sequence[_Other]) -> Iterator[Run]:
    """What has arrived for a window, in its order.

    Args:
        at: the places of the records of bare samples, ascending.
        entries: of these.
        others: what else has arrived.
    """
    begun = 0
    for other in others:
        end = int(np.searchsorted(at, other.at)) * SIZE
        yield Run(entries[begun:end], other.entry, other.identity)
        begun = end
    yield Run(entries[begun:])
