"""`renders`: what a render farm wrote down of each render, one CSV file a day.

>>> row = RENDERS.csv.record(["a1b2", "maya", "renderman", "24", "true", "183204", "2048.5", "97.3"])
>>> day = RENDERS.csv.of_file("nightly/renders_2024-02-29.csv.gz")
>>> import orjson
>>> RENDERS.decoder.decode_one(orjson.dumps({**row, **day, "line": 1}))
Render(uid='a1b2', app='maya', renderer='renderman', frames=24, success=True, day='2024-02-29', line=1,
       elapsed_time=183204, maxram=2048.5, maxcpu=97.3)

A row travels under its uid. What it counts for is a *cell*: all renders of a day, an app, a renderer and an outcome.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Annotated, TypedDict

from msgspec import Meta, Struct

from schemas.csv_table import Column, Table, decimal, fields_of, optional, row_of, text, truth, whole
from schemas.errors import BadRecord, UsageError
from schemas.schema import Schema

Name = Annotated[str, Meta(max_length=10_000)]
"""An opaque, case-sensitive text. Bounded, because summaries of cells repeat it."""
Uid = Annotated[str, Meta(min_length=1, max_length=10_000)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Peak = Annotated[float, Meta(ge=0)]

_FILE = re.compile(r"renders_([0-9]{4}-[0-9]{2}-[0-9]{2})\.csv(?:\.gz|\.zst)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Render(Struct, gc=False):
    """One render. A uid seen again is a duplicate: the one of the earlier day, then of the earlier line, counts.

    Args:
        day: the date of its file, ``YYYY-MM-DD``.
        line: in its file, from 1.
        elapsed_time: milliseconds; None only when the render failed, as with both peaks.
        maxram: MB at the peak.
        maxcpu: percent at the peak.
    """

    uid: Uid
    app: Name
    renderer: Name
    frames: Count
    success: bool
    day: str
    line: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    elapsed_time: Count | None = None
    maxram: Peak | None = None
    maxcpu: Peak | None = None


class Measure(TypedDict):
    """One measure of a cell's renders.

    ``sum`` is exact: a hexadecimal number and a power of two, as ``float.hex`` writes them. ``line`` and ``uid`` are of
    the render that had the maximum. ``bins`` is the quantile sketch: number of a bin, count, number, count, …
    """

    n: int
    sum: str
    mean: float | None
    min: float | None
    max: float | None
    line: int | None
    uid: str | None
    bins: list[int]


class RenderCell(TypedDict):
    """All renders of a day, an app, a renderer and an outcome."""

    day: str
    app: str
    renderer: str
    success: bool
    count: int
    elapsed_time: Measure
    maxram: Measure
    maxcpu: Measure
    revision: int


def is_day(day: str) -> bool:
    """Whether ``day`` is a date of the calendar, written ``YYYY-MM-DD``.

    >>> is_day("2024-02-29"), is_day("2023-02-29"), is_day("20240229")
    (True, False, False)
    """
    if _DAY.fullmatch(day) is None:
        return False
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def cell_of(day: str, app: str, renderer: str, success: bool) -> str:
    """What a cell is called: its four dimensions as a row of CSV.

    >>> cell_of("2024-02-29", "maya", "renderman", True)
    '2024-02-29,maya,renderman,true'
    """
    return row_of((day, app, renderer, "true" if success else "false"))


def row_text(render: Render) -> bytes:
    """The row of a render as a file would have it: of two on one day and line, the smaller one counts."""
    numbers = (render.elapsed_time, render.maxram, render.maxcpu)
    row = (render.uid, render.app, render.renderer, str(render.frames), "true" if render.success else "false")
    return row_of((*row, *("" if number is None else str(number) for number in numbers))).encode()


def _of_file(name: str) -> dict[str, str]:
    match = _FILE.fullmatch(name.rpartition("/")[2])
    if match is None or not is_day(match[1]):
        raise UsageError(
            f"{'stdin' if name == '-' else name} has no date in its name: renders are read from files called "
            "renders_YYYY-MM-DD.csv (or .csv.gz, .csv.zst)"
        )
    return {"day": match[1]}


_is_day = lru_cache(maxsize=10_000)(is_day)


def _check(render: Render) -> None:
    if not _is_day(render.day):
        raise BadRecord(f"day: expected a date as YYYY-MM-DD, got {render.day[:60]!r}")
    ram, cpu = render.maxram, render.maxcpu
    if render.success and (render.elapsed_time is None or ram is None or cpu is None):
        missing = [name for name in ("elapsed_time", "maxram", "maxcpu") if getattr(render, name) is None]
        raise BadRecord(f"{missing[0]} is missing, though the render succeeded")
    if (not ram and str(ram) == "-0.0") or (not cpu and str(cpu) == "-0.0"):
        raise BadRecord("a peak has a sign: -0.0")


def _uid(record: Render) -> str:
    return record.uid


def _entity(summary: RenderCell) -> str:
    return cell_of(summary["day"], summary["app"], summary["renderer"], summary["success"])


def _fields(entity: str) -> dict[str, object]:
    day, app, renderer, success = fields_of(entity)
    return {"day": day, "app": app, "renderer": renderer, "success": success == "true"}


COLUMNS = (
    Column("uid", text),
    Column("app", text),
    Column("renderer", text),
    Column("frames", whole),
    Column("success", truth),
    Column("elapsed_time", optional(whole)),
    Column("maxram", optional(decimal)),
    Column("maxcpu", optional(decimal)),
)

RENDERS: Schema[Render] = Schema(
    name="renders",
    record=Render,
    summary=RenderCell,
    key=_uid,
    entity=_entity,
    check=_check,
    fields=_fields,
    merges=True,
    csv=Table(COLUMNS, numbered=True, of_file=_of_file),
)
