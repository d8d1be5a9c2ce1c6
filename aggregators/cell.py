"""A cell of renders: all of a day, an app, a renderer and an outcome; and what cells add up to.

>>> cell = Cell("2024-01-01", "maya", "arnold", True)
>>> fill([cell], Columns.of([("a", 1, 183_204, 2048.5, 97.3)]), np.zeros(1, np.int64))
>>> cell.entity, merged([cell.share(), cell.share()])["count"]
('2024-01-01,maya,arnold,true', 2)

A cell is written in one form, as a row, as a partition's share and as the published summary, which has the means
besides; so shares of shares are shares, whoever merges them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from aggregators.measure import Measure, Place
from aggregators.measures import Columns
from schemas.renders import Render, cell_of

NAMES = ("elapsed_time", "maxram", "maxcpu")
TIME, RAM, CPU = range(3)
"""Places of the measures."""


def _measures() -> tuple[Measure, Measure, Measure]:
    return Measure(), Measure(), Measure()


@dataclass
class Cell:
    """One cell, in one partition or in all.

    Args:
        number: stands for the cell in the keys of its partition's rows.
        arrived: how many renders were ever counted in it, those included that were taken back.
    """

    day: str
    app: str
    renderer: str
    success: bool
    number: int = -1
    arrived: int = 0
    count: int = 0
    measures: tuple[Measure, Measure, Measure] = field(default_factory=_measures)

    def __post_init__(self) -> None:
        self.entity = cell_of(self.day, self.app, self.renderer, self.success)
        """What the cell is called."""

    @property
    def nbytes(self) -> int:
        """Memory, about, in bytes."""
        return 1500 + 110 * sum(len(measure.bins) for measure in self.measures)

    def remove(self, render: Render) -> None:
        """Take back a render that was counted."""
        self.count -= 1
        for measure, name in zip(self.measures, NAMES, strict=True):
            value = getattr(render, name)
            if value is not None:
                measure.remove(value, Place(self.day, render.line, render.uid))

    def share(self) -> dict[str, Any]:
        """All of it as plain data, in one form only."""
        return {
            "day": self.day,
            "app": self.app,
            "renderer": self.renderer,
            "success": self.success,
            "count": self.count,
            **{name: measure.share() for name, measure in zip(NAMES, self.measures, strict=True)},
        }

    @staticmethod
    def of(share: Mapping[str, Any], number: int = -1, arrived: int = 0) -> Cell:
        """What `share` gave."""
        day = share["day"]
        time, ram, cpu = (Measure.of(share[name], day) for name in NAMES)
        return Cell(
            day, share["app"], share["renderer"], share["success"], number, arrived, share["count"], (time, ram, cpu)
        )  # fmt: skip


def fill(cells: Sequence[Cell], columns: Columns, of: npt.NDArray[np.int64]) -> None:
    """Count renders of some cells.

    Args:
        cells: of which each may have any number of the renders.
        columns: of the renders, those of a cell together.
        of: the place of each render's cell.
    """
    days = [cell.day for cell in cells]
    for cell, count in zip(cells, np.bincount(of, minlength=len(cells)).tolist(), strict=True):
        cell.count += count
    for which in range(len(NAMES)):
        for cell, measure in zip(cells, columns.measures(which, of, days), strict=True):
            cell.measures[which].merge(measure)


def merged(shares: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summary of a cell from shares of it, at least one: their order and grouping change nothing."""
    cell = Cell.of(shares[0])
    for share in shares[1:]:
        other = Cell.of(share)
        cell.count += other.count
        for measure, more in zip(cell.measures, other.measures, strict=True):
            measure.merge(more)
    summary = cell.share()
    for name, measure in zip(NAMES, cell.measures, strict=True):
        summary[name]["mean"] = measure.mean() if measure.n else None
    return summary
