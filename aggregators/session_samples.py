"""New samples of many sessions in columns, those of a window together: what they add up to, by window and by session.

>>> at = np.array([0, 1, 2, 3])
>>> samples = Samples(at, np.array([0, 0, 0, 1]), np.array([1, 1, 2, 1]), np.array([0.5, 0.7, 0.1, 0.3]))
>>> samples.give_states(np.array([2, 2, 0, 2]))
>>> samples.windows.tolist(), samples.sums(0).counts, samples.sums(0).tops[2]
([1, 2, 1], [0, 0, 2, 0, 0, 0, 0], 0.7)
>>> samples.highest(np.array([True, True, False]))
{0: Peak(mean=0.6, window=1, rank=2)}
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aggregators.exact import SumsOfShares, mean
from aggregators.session import higher
from aggregators.session_columns import Doubles, Longs, Mask, Places
from aggregators.session_head import BINS, Peak, Share
from aggregators.session_window import STATES, Sums

_NEARLY = 1 - 2.0**-30
"""How far a mean in doubles may be off, of fewer than 2**22 values."""


class Samples:
    """Samples, sorted by session and window.

    Args:
        at: which records they are of.
        codes: the session of each.
        numbers: its window.
        cpus: what it reports.
    """

    def __init__(self, at: Places, codes: Longs, numbers: Longs, cpus: Doubles) -> None:
        self.at = at
        self.codes = codes
        self.cpus = cpus
        changes = (np.diff(codes, prepend=-1) != 0) | (np.diff(numbers, prepend=0) != 0)
        self.starts = np.flatnonzero(changes)
        """The first sample of each window."""
        self.ends = np.append(self.starts[1:], len(at))
        self.windows = numbers[self.starts]
        """The number of each."""
        self.sessions = codes[self.starts]
        """The session of each."""
        self._group = np.repeat(np.arange(len(self.starts)), self.ends - self.starts)
        self._totals = SumsOfShares(cpus, self.starts)
        self.ranks = np.zeros(len(at), np.int64)

    def give_states(self, ranks: Longs) -> None:
        """Each sample has a state."""
        self.ranks = ranks
        number = len(self.starts) * STATES
        by_rank = self._group * STATES + ranks
        self._counts = np.bincount(by_rank, minlength=number).reshape(-1, STATES)
        self._tops = np.full(number, -1.0)
        np.maximum.at(self._tops, by_rank, self.cpus)
        self._tops = self._tops.reshape(-1, STATES)

    def sums(self, window: int) -> Sums:
        """What the samples of a window add up to."""
        return Sums(self._totals.total(window), self._counts[window].tolist(), self._tops[window].tolist())

    def highest(self, chosen: Mask) -> dict[int, Peak]:
        """The highest of some windows, by session."""
        peaks: dict[int, Peak] = {}
        places = np.flatnonzero(chosen)
        if not len(places):
            return peaks
        # In doubles first: only those that come close to the highest are divided exactly.
        means = np.add.reduceat(self.cpus, self.starts)[places] / (self.ends - self.starts)[places]
        sessions = self.sessions[places]
        starts = np.flatnonzero(np.diff(sessions, prepend=-1))
        greatest = np.repeat(np.maximum.reduceat(means, starts), np.diff(starts, append=len(places)))
        close = places[(means >= greatest * _NEARLY) | (greatest < 2.0**-900)]
        counts = (self.ends - self.starts)[close]
        columns = (close, self.sessions[close], self.windows[close], counts)
        for window, session, number, count in zip(*(column.tolist() for column in columns), strict=True):
            peak = Peak(mean(self._totals.total(window), count), number, _most(self._counts[window].tolist()))
            peaks[session] = higher(peaks.get(session), peak)
        return peaks

    def shares(self, thresholds: Doubles, folded: Mask) -> Iterator[tuple[int, int, Share]]:
        """Session, rank, and what the samples of that state add up to.

        Args:
            thresholds: of each session.
            folded: whether the samples of a window are folded.
        """
        by_rank = self.codes * STATES + self.ranks
        number = len(thresholds) * STATES
        counts = np.bincount(by_rank, minlength=number)
        above = np.bincount(by_rank[self.cpus > thresholds[self.codes]], minlength=number)
        tops, folded_tops = np.full(number, -1.0), np.full(number, -1.0)
        np.maximum.at(tops, by_rank, self.cpus)
        gone = folded[self._group]
        np.maximum.at(folded_tops, by_rank[gone], self.cpus[gone])
        there = np.flatnonzero(counts)
        places = np.zeros(number, np.intp)
        places[there] = np.arange(len(there))
        bins = places[by_rank] * BINS + np.minimum((self.cpus * BINS).astype(np.int64), BINS - 1)
        table = np.bincount(bins, minlength=len(there) * BINS).reshape(-1, BINS).tolist()
        columns = (there, counts[there], above[there], tops[there], folded_tops[there])
        rows = zip(*(column.tolist() for column in columns), table, strict=True)
        for place, count, over, top, folded_top, row in rows:
            session, rank = divmod(place, STATES)
            yield session, rank, Share(count, over, top, folded_top, row)

    def totals(self) -> Iterator[tuple[int, int, int]]:
        """Session, number of samples, exact sum."""
        starts = np.flatnonzero(np.diff(self.sessions, prepend=-1))
        totals = self._totals.of(starts)
        counts = np.diff(self.starts[starts], append=len(self.at)).tolist()
        for place, (session, count) in enumerate(zip(self.sessions[starts].tolist(), counts, strict=True)):
            yield session, count, totals.total(place)


def _most(counts: list[int]) -> int:
    """The rank that most have; in a tie the one later in the table."""
    return STATES - 1 - counts[::-1].index(max(counts))
