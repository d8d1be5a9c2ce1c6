"""What a case found: a table for people, and the same as data.

>>> table = Table("Idle", ("what", "MB"), [("worker", 91.5), ("script", 12)], notes=["An empty topic."])
>>> print(table.markdown())
### Idle
<BLANKLINE>
| what | MB |
|---|---|
| worker | 91.5 |
| script | 12 |
<BLANKLINE>
An empty topic.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: what was measured, and on what.
        columns: their heads; the first one names the rows.
        rows: a cell for each column.
        notes: sentences below the table.
        picture: the table as a picture, SVG; empty where there is none.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: Sequence[str] = field(default=())
    picture: str = ""

    def markdown(self) -> str:
        """The table as DESIGN.md shows it."""
        lines = [f"### {self.title}", "", _line(self.columns), "|" + "---|" * len(self.columns)]
        lines += [_line([text_of(cell) for cell in row]) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """The table as JSON has it: a dict for each row."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def text_of(cell: Cell) -> str:
    """A cell for people: three significant digits and no more, but whole numbers whole."""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else cell
    if abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def machine() -> str:
    """Where the figures are from.

    >>> "Python 3" in machine()
    True
    """
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {models[0] if models else model}, Python {platform.python_version()}"
