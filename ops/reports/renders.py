"""`report renders …`: what cells add up to, as one figure, as five, or broken down.

>>> import numpy as np
>>> from aggregators.cell import Cell, fill, merged
>>> from aggregators.measures import Columns
>>> cell = Cell("2024-01-01", "maya", "arnold", True)
>>> fill([cell], Columns.of([("a1b2", 1, 183_204, 2048.5, 97.3)]), np.zeros(1, np.int64))
>>> cells = [merged([cell.share()])]
>>> figures = [*answer(cells, ("count",)).values(), *answer(cells, ("avgtime",)).values()]
>>> print(*figures, *answer(cells, ("uid_maxcpu",)).values())
1 183.204 a1b2
>>> print(list(breakdown(cells, ("app",)).csv())[1])
maya,1,0,183.204,97.3,2048.5,2048.5,97.3,183.204,183.204,183.204,97.3,97.3,97.3,2048.5,2048.5,2048.5

Sums, means and maxima are exact over any cells: a mean is the exact sum divided once. Quantiles are those of the merged
sketches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from aggregators.cell import CPU, NAMES, RAM, TIME
from aggregators.measure import Measure
from aggregators.sketch import RELATIVE_ERROR
from ops.reports.table import Column, Table, Value

Cell = Mapping[str, Any]
"""A cell's summary, as published."""

DIMENSIONS = ("app", "renderer", "day")
SUMMARY = ("avgtime", "avgcpu", "avgram", "maxram", "maxcpu")
PERCENTS = (50, 95, 99)
BOUND = f"quantiles are within {RELATIVE_ERROR:.0%} of the exact ones; counts, means and maxima are exact"


class _Plain(TypedDict):
    """A measure without its sketch."""

    n: int
    sum: str
    min: Any
    max: Any
    line: Any
    uid: Any


class PlainCell(TypedDict):
    """A cell without sketches: most of what a large cell says is its bins, which only quantiles need."""

    day: str
    app: str
    renderer: str
    success: bool
    count: int
    elapsed_time: _Plain
    maxram: _Plain
    maxcpu: _Plain


@dataclass(frozen=True)
class Filter:
    """Which cells are asked about; None is any. What a cell's key says is enough to know.

    Args:
        first_day, last_day: inclusive.
    """

    app: str | None = None
    renderer: str | None = None
    first_day: str | None = None
    last_day: str | None = None

    def takes(self, cell: Cell) -> bool:
        """Whether a cell is one of them."""
        return (
            (self.app is None or cell["app"] == self.app)
            and (self.renderer is None or cell["renderer"] == self.renderer)
            and (self.first_day is None or cell["day"] >= self.first_day)
            and (self.last_day is None or cell["day"] <= self.last_day)
        )


@dataclass
class _Sum:
    """What some cells add up to; failed renders count only when they are asked for, but are always known."""

    count: int = 0
    failed: int = 0
    measures: list[Measure] = field(default_factory=lambda: [Measure() for _ in NAMES])

    def add(self, cell: Cell, *, failed: bool) -> None:
        if not cell["success"]:
            self.failed += cell["count"]
            if not failed:
                return
        self.count += cell["count"]
        for measure, name in zip(self.measures, NAMES, strict=True):
            measure.merge(Measure.of(cell[name], cell["day"]))

    def maximum(self, place: int) -> float | None:
        greatest = self.measures[place].greatest
        return None if greatest is None else greatest.value

    def uid(self, place: int) -> str | None:
        greatest = self.measures[place].greatest
        return None if greatest is None else greatest.place.uid


_FIGURES: Mapping[str, Callable[[_Sum], Value]] = {
    "count": lambda total: total.count,
    "avgtime": lambda total: total.measures[TIME].mean(per=1000) or 0,
    "avgcpu": lambda total: total.measures[CPU].mean() or 0,
    "avgram": lambda total: total.measures[RAM].mean() or 0,
    "maxram": lambda total: total.maximum(RAM),
    "maxcpu": lambda total: total.maximum(CPU),
    "uid_maxram": lambda total: total.uid(RAM),
    "uid_maxcpu": lambda total: total.uid(CPU),
}


def answer(cells: Iterable[Cell], figures: Sequence[str], *, failed: bool = False) -> Table:
    """One row with the ``figures`` of all ``cells`` together.

    Args:
        cells: in any order.
        figures: of `_FIGURES`: ``count``, those of `SUMMARY`, or the uid that had a maximum (``uid_maxram``).
        failed: whether failed renders count, too.
    """
    total = _Sum()
    for cell in cells:
        total.add(cell, failed=failed)
    columns = tuple(Column(name.partition("_")[0]) for name in figures)
    return Table(columns, [tuple(_FIGURES[name](total) for name in figures)])


def breakdown(cells: Iterable[Cell], by: Sequence[str], *, failed: bool = False) -> Table:
    """A row for each value of the dimensions ``by`` (of `DIMENSIONS`), in their order; one of failures only, too."""
    totals: dict[tuple[str, ...], _Sum] = {}
    for cell in cells:
        totals.setdefault(tuple(cell[name] for name in by), _Sum()).add(cell, failed=failed)
    quantiles = [
        (name, place, percent) for name, place in (("time", TIME), ("cpu", CPU), ("ram", RAM)) for percent in PERCENTS
    ]
    columns = [*by, "count", "failed", *SUMMARY, *(f"{name}_p{percent}" for name, _, percent in quantiles)]
    rows: list[tuple[Value, ...]] = []
    for values, total in sorted(totals.items()):
        row = [total.count, total.failed, *(_FIGURES[name](total) for name in SUMMARY)]
        found = ((place, total.measures[place].quantile(percent)) for _, place, percent in quantiles)
        rows.append(
            (*values, *row, *(value / 1000 if value is not None and place == TIME else value for place, value in found))
        )
    return Table(tuple(map(Column, columns)), rows)
