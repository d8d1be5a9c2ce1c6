"""`renders` as the specification words it: all records in a list, each question answered from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Any

from schemas.renders import Render, row_text

MEASURES = ("elapsed_time", "maxram", "maxcpu")
Cell = tuple[str, str, str, bool]


def rank(render: Render) -> Any:
    """The first in this order counts, and wins a tie."""
    return render.day, render.line, row_text(render)


def counted(records: Iterable[Render]) -> list[Render]:
    """The record of each uid that counts."""
    first: dict[str, Render] = {}
    for record in sorted(records, key=rank, reverse=True):
        first[record.uid] = record
    return list(first.values())


def cell(render: Render) -> Cell:
    return render.day, render.app, render.renderer, render.success


def measure(renders: list[Render], name: str) -> dict[str, Any]:
    """The exact figures of one measure."""
    having = [render for render in renders if getattr(render, name) is not None]
    if not having:
        return {"n": 0, "mean": None, "min": None, "max": None, "line": None, "uid": None}
    values = [getattr(render, name) for render in having]
    best = min((render for render in having if getattr(render, name) == max(values)), key=rank)
    return {
        "n": len(values),
        "mean": float(sum(map(Fraction, values)) / len(values)),
        "min": min(values),
        "max": max(values),
        "line": best.line,
        "uid": best.uid,
    }


def cells(records: Iterable[Render]) -> dict[Cell, dict[str, Any]]:
    """Each cell that counts something."""
    found: dict[Cell, list[Render]] = {}
    for render in counted(records):
        found.setdefault(cell(render), []).append(render)
    return {
        where: {"count": len(renders), **{name: measure(renders, name) for name in MEASURES}}
        for where, renders in found.items()
    }


class Retained:
    """What is refused and what is forgotten with a retention: days older than the newest less the retention.

    A uid is forgotten when the latest day on which it was met is.
    """

    def __init__(self, retention_days: int) -> None:
        self.days = retention_days
        self.first: dict[str, Render] = {}
        self.latest: dict[str, int] = {}
        self.forgotten: list[Render] = []
        self.floor = 0

    def count(self, record: Render) -> str | None:
        day = date.fromisoformat(record.day).toordinal()
        if day < self.floor:
            return "too late"
        self.floor = max(self.floor, day - self.days)
        for uid in [uid for uid, latest in self.latest.items() if latest < self.floor]:
            del self.latest[uid]
            self.forgotten.append(self.first.pop(uid))
        if record.uid not in self.first or rank(record) < rank(self.first[record.uid]):
            self.first[record.uid] = record
        self.latest[record.uid] = max(day, self.latest.get(record.uid, 0))
        return None
