r"""The reports of `products`: how many products each name has, and one product by its sku.

>>> table = names([{"name": "Berg, Anna", "count": 2}, {"name": "B", "count": 2}, {"name": "C", "count": 9}], 2)
>>> print(*bare(table), sep="\n")
9,C
2,B
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ops.reports.table import Column, Table
from schemas.csv_table import row_of


def names(summaries: Iterable[Mapping[str, Any]], most: int | None = None) -> Table:
    """A row a name, the most frequent first, then by name as a text; the first ``most`` of them."""
    rows = sorted(((summary["count"], summary["name"]) for summary in summaries), key=lambda row: (-row[0], row[1]))
    return Table((Column("count"), Column("name")), rows[:most])


def pairs(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The pairs of a sku, by name as a text."""
    found = sorted((row["name"], row["sku"], row["description"]) for row in rows)
    return Table((Column("name"), Column("sku"), Column("description")), found)


def bare(table: Table) -> Iterator[str]:
    """The rows as CSV without a header, with no more quotes than needed."""
    for row in table.rows:
        yield row_of(str(value) for value in row)
