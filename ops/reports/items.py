r"""`report items`: the foods and the categories that are eaten most.

>>> summaries = [
...     {"kind": "food", "id": 7, "count": 1},
...     {"kind": "category", "id": 8, "count": 3},
...     {"kind": "food", "id": 5, "count": 1},
...     {"kind": "food", "id": 30, "count": 2},
... ]
>>> print(*top(summaries, "food", 2).text(), sep="\n")
30,2
5,1
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aggregators.frequent import STANDARD_ERROR
from ops.reports.table import Column, Table

COLUMNS = {"food": "food_id", "category": "food__category_id"}
"""What the id of each kind is called in the records."""
DEFAULT_K = {"food": 100, "category": 10}


def top(summaries: Iterable[Mapping[str, Any]], kind: str, k: int, *, column: str = "id") -> Table:
    """The ``k`` most frequent of a kind: count descending, then id ascending."""
    found = ((-summary["count"], summary["id"]) for summary in summaries if summary["kind"] == kind)
    return Table((Column(column), Column("count")), [(number, -count) for count, number in heapq.nsmallest(k, found)])


def sections(tables: Sequence[Table]) -> Iterator[str]:
    """The tables one below the other, each with its header, an empty line between two."""
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield from table.csv()


def array(tables: Sequence[Table]) -> Iterator[str]:
    """The rows of all tables as one JSON array."""
    rows = [line.removesuffix(",") for table in tables for line in list(table.json())[1:-1]]
    yield "["
    yield from (row + ("," if number < len(rows) else "") for number, row in enumerate(rows, 1))
    yield "]"


def bounds(summaries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What is to be said beside counts of a worker with ``--sketch``; nothing where they are exact."""
    within = 3 * STANDARD_ERROR
    for summary in summaries:
        if "error" in summary:
            yield (
                f"{summary['kind']}: approximate (--sketch), of {summary['count']:,} items; a count is too small by "
                f"{summary['error']:,} at the most; about {summary['distinct']:,} different ones (± {within:.0%})"
            )
