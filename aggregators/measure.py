"""One measure of many renders, such as the peak of memory: everything about it can be added, taken back and merged.

>>> one, other = (
...     Measure(1, scaled(97.3), 97.3, At(97.3, Place("2024-01-01", line, uid)), {bin_of(97.3): 1})
...     for line, uid in ((2, "b"), (1, "c"))
... )
>>> one.merge(other)
>>> one.n, one.greatest, one.mean()
(2, At(value=97.3, place=Place(day='2024-01-01', line=1, uid='c')), 97.3)
>>> Measure.of(one.share(), "2024-01-01") == one
True

Sums are exact (`aggregators.exact`). The extremes cannot be taken back: after `remove` of one, `stale` says that who
keeps the values in order must look them up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aggregators.exact import SHIFT, mean, scaled
from aggregators.sketch import bin_of, quantile
from schemas.csv_table import row_of


class Place(NamedTuple):
    """Where a render stands: the first in this order wins a tie."""

    day: str
    line: int
    uid: str

    def order(self) -> tuple[str, int, bytes]:
        """What sorts places: the earlier day first, then the earlier line, then the row that is smaller by bytes."""
        return self.day, self.line, row_start(self.uid)


class At(NamedTuple):
    """A value and the render that had it."""

    value: float
    place: Place


def row_start(uid: str) -> bytes:
    """How the row of a render begins. No row's start is another's, so these decide between rows."""
    plain = uid.replace("-", "").isalnum()  # nearly all are, and need no quotes
    return (uid + "," if plain else row_of((uid, ""))).encode()


@dataclass
class Measure:
    """How many values, their sum, extremes and sketch."""

    n: int = 0
    total: int = 0
    """The sum, in `exact.scaled` units."""
    least: float | None = None
    greatest: At | None = None
    bins: dict[int, int] = field(default_factory=dict[int, int])
    stale: bool = False
    """Whether the extremes may be gone."""

    def remove(self, value: float, place: Place) -> None:
        """Take back a value that was added."""
        self.n -= 1
        self.total -= scaled(value)
        number = bin_of(value)
        left = self.bins[number] - 1
        if left:
            self.bins[number] = left
        else:
            del self.bins[number]
        if value == self.least or At(value, place) == self.greatest:
            self.stale = True

    def merge(self, other: Measure) -> None:
        """Add all that another measure counts."""
        self.n += other.n
        self.total += other.total
        for number, count in other.bins.items():
            self.bins[number] = self.bins.get(number, 0) + count
        if other.least is not None and other.greatest is not None:
            self._meet(other.least, other.greatest)

    def settle(self, least: float | None, greatest: At | None) -> None:
        """The extremes are these."""
        self.least, self.greatest, self.stale = least, greatest, False

    def mean(self, per: int = 1) -> float:
        """The exact sum divided by ``per · n``, rounded once; 0 of nothing."""
        return mean(self.total, self.n * per) if self.n else 0

    def quantile(self, percent: int) -> float | None:
        """Within 1 % of the quantile (`aggregators.sketch`); None of nothing."""
        if self.least is None or self.greatest is None:
            return None
        return min(max(quantile(self.bins, percent), self.least), self.greatest.value)

    def share(self) -> dict[str, Any]:
        """All of it as plain data, in one form only."""
        greatest = self.greatest
        return {
            "n": self.n,
            "sum": _text_of(self.total),
            "min": self.least,
            "max": None if greatest is None else greatest.value,
            "line": None if greatest is None else greatest.place.line,
            "uid": None if greatest is None else greatest.place.uid,
            "bins": [number for pair in sorted(self.bins.items()) for number in pair],
        }

    @staticmethod
    def of(share: Mapping[str, Any], day: str) -> Measure:
        """What `share` gave, of renders of one day; without its bins there are no quantiles."""
        flat, greatest = share.get("bins", ()), share["max"]
        return Measure(
            share["n"],
            _total_of(share["sum"]),
            share["min"],
            None if greatest is None else At(greatest, Place(day, share["line"], share["uid"])),
            dict(zip(flat[::2], flat[1::2], strict=True)),
        )

    def _meet(self, least: float, greatest: At) -> None:
        if self.least is None or least < self.least:
            self.least = least
        best = self.greatest
        if (
            best is None
            or greatest.value > best.value
            or (greatest.value == best.value and greatest.place.order() < best.place.order())
        ):
            self.greatest = greatest


def _text_of(total: int) -> str:
    """A sum as ``float.hex`` writes numbers, however long.

    >>> _text_of(scaled(2048.5)), float.fromhex(_text_of(scaled(2048.5)))
    ('0x1001p-1', 2048.5)
    """
    zeros = (total & -total).bit_length() - 1 if total else SHIFT
    return f"{total >> zeros:#x}p{zeros - SHIFT:+d}"


def _total_of(text: str) -> int:
    digits, _, exponent = text.partition("p")
    return int(digits, 16) << (int(exponent) + SHIFT)
