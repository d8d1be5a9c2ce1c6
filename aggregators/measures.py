"""The measures of the renders of many cells, counted at once in columns.

>>> columns = Columns.of([("b", 2, None, 2.5, 97.3), ("c", 1, None, 2.5, 97.3)])
>>> time, ram, cpu = (columns.measures(which, np.array([0, 0]), ["2024-01-01"])[0] for which in range(3))
>>> time.n, cpu.n, cpu.greatest, cpu.mean()
(0, 2, At(value=97.3, place=Place(day='2024-01-01', line=1, uid='c')), 97.3)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aggregators.exact import SHIFT
from aggregators.measure import At, Measure, Place
from aggregators.sketch import bins_of
from schemas.renders import Render

Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

Arrived = tuple[str, int, int | None, float | None, float | None]
"""What a cell is told of a render: uid, line, and the three measures."""
arrived: Callable[[Render], Arrived] = attrgetter("uid", "line", "elapsed_time", "maxram", "maxcpu")

_EXPONENTS = 1 << 12
"""More than doubles have."""
_HALF_BITS = 27
_HALF = (1 << _HALF_BITS) - 1
_BINS = 1 << 20
"""More than there are."""


class Columns(NamedTuple):
    """Renders, column by column."""

    uids: Sequence[str]
    """In the order of arrival."""
    places: Places
    """Where in that order each render is."""
    lines: Longs
    times: Longs
    """-1: none."""
    rams: Doubles
    """NaN: none."""
    cpus: Doubles

    @staticmethod
    def of(renders: Sequence[Arrived]) -> Columns:
        """The columns of at least one render."""
        uids, lines, times, rams, cpus = zip(*renders, strict=True)
        return Columns(
            uids,
            np.arange(len(uids)),
            np.array(lines, np.int64),
            np.array([-1 if time is None else time for time in times] if None in times else times, np.int64),
            np.array(rams, np.float64),  # None becomes NaN
            np.array(cpus, np.float64),
        )

    def at(self, places: Places) -> Columns:
        """Some of the renders, or in another order."""
        return Columns(
            self.uids,
            self.places[places],
            self.lines[places],
            self.times[places],
            self.rams[places],
            self.cpus[places],
        )

    def measures(self, which: int, cells: Longs, days: Sequence[str]) -> list[Measure]:
        """A measure of each cell.

        Args:
            which: 0 to 2, the times, the RAM or the CPU.
            cells: the place of each render's cell among ``days``; it never falls.
            days: of each cell.
        """
        measures = [Measure() for _ in days]
        values: Longs | Doubles = (self.times, self.rams, self.cpus)[which]
        there = np.flatnonzero(values >= 0)
        if not len(there):
            return measures
        values, cells, lines = values[there], cells[there], self.lines[there]
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        sizes = np.diff(starts, append=len(cells))
        least, greatest = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        # Of the renders that have the greatest value those of the first line: nearly always one.
        among = np.flatnonzero(values == np.repeat(greatest, sizes))
        begins = np.flatnonzero(np.diff(cells[among], prepend=-1))
        first = np.minimum.reduceat(lines[among], begins)
        among = among[lines[among] == np.repeat(first, np.diff(begins, append=len(among)))]
        places: dict[int, Place] = {}
        for cell, at, line in _rows(cells[among], self.places[there[among]], lines[among]):
            place = Place(days[cell], line, self.uids[at])
            places[cell] = min(places.get(cell, place), place, key=Place.order)
        doubles = values.astype(np.float64)
        totals = (
            _sums_of_ints(values.astype(np.int64), cells, len(days))
            if which == 0
            else _sums_of_floats(doubles, cells, len(days))
        )
        extremes = zip(least.tolist(), greatest.tolist(), strict=True)
        for (cell, n), (low, high) in zip(_rows(cells[starts], sizes), extremes, strict=True):
            measures[cell] = Measure(n, totals[cell], low, At(high, places[cell]))
        for key, times in _rows(*np.unique(cells * _BINS + bins_of(doubles), return_counts=True)):
            measures[key // _BINS].bins[key % _BINS] = times
        return measures


def _rows(*columns: npt.NDArray[Any]) -> Iterator[tuple[int, ...]]:
    """Columns of whole numbers, row by row."""
    return zip(*(column.tolist() for column in columns), strict=True)


def _sums_of_ints(values: Longs, cells: Longs, number: int) -> list[int]:
    """The exact sum of each cell, in `exact.scaled` units.

    >>> _sums_of_ints(np.array([1, 2, 2**62]), np.array([0, 0, 1]), 2) == [3 << SHIFT, 2**62 << SHIFT]
    True
    """
    # In halves, whose sums a double still holds exactly: 32 bits each, of fewer than 2**21 values.
    high, low = (
        np.bincount(cells, half.astype(np.float64), number).tolist() for half in (values >> 32, values & 0xFFFFFFFF)
    )
    return [((int(above) << 32) + int(below)) << SHIFT for above, below in zip(high, low, strict=True)]


def _sums_of_floats(values: Doubles, cells: Longs, number: int) -> list[int]:
    """The exact sum of each cell, in `exact.scaled` units.

    >>> from aggregators.exact import scaled
    >>> sums = _sums_of_floats(np.array([0.1, 5e-324, 1e300]), np.array([0, 0, 1]), 2)
    >>> sums == [scaled(0.1) + scaled(5e-324), scaled(1e300)]
    True
    """
    fractions, exponents = np.frexp(values)
    mantissas = (fractions * 2.0**53).astype(np.int64)  # whole: a double has 53 bits
    keys, where = np.unique(cells * _EXPONENTS + exponents + _EXPONENTS // 2, return_inverse=True)
    # In halves, whose sums a double still holds exactly: 27 bits each, of fewer than 2**26 values.
    high, low = (
        np.bincount(where, half.astype(np.float64)).tolist() for half in (mantissas >> _HALF_BITS, mantissas & _HALF)
    )
    totals = [0] * number
    for key, above, below in zip(keys.tolist(), high, low, strict=True):
        whole, shift = (int(above) << _HALF_BITS) + int(below), key % _EXPONENTS - _EXPONENTS // 2 - 53 + SHIFT
        totals[key // _EXPONENTS] += whole << shift if shift >= 0 else whole >> -shift
    return totals
