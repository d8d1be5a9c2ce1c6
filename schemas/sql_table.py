"""What a stream keeps in a database, where one is configured: a table, filled from one of the stream's topics.

>>> from schemas.products import PRODUCTS
>>> pairs, counts = PRODUCTS.tables
>>> counts.definition
'CREATE TABLE IF NOT EXISTS products_agg (name text NOT NULL, no_of_products bigint NOT NULL, UNIQUE (name))'
>>> counts.values({"name": "Anna", "count": 2, "revision": 7})
('Anna', 2)

The topic is compacted, so the table is a function of it: the newest value of each key, a row each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class SqlTable:
    """A table and where its rows come from.

    Args:
        name: of the table.
        source: what fills it: the stream's summaries, or its rows.
        columns: their SQL types, by name, those of the key first; types that PostgreSQL and SQLite both know.
        key: the columns that are unique together, what the topic's key says.
        fields: the fields of the published value that the columns hold, where their names are others.
    """

    name: str
    source: Literal["summaries", "rows"]
    columns: Mapping[str, str]
    key: tuple[str, ...]
    fields: Mapping[str, str]

    def values(self, published: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row's values, in the order of the columns."""
        return tuple([published[self.fields.get(column, column)] for column in self.columns])

    def key_values(self, published: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of the key's columns; those are all that is left of what was removed."""
        return tuple([published[self.fields.get(column, column)] for column in self.key])

    @property
    def changing(self) -> str:
        """What a statement that inserts a row ends with, so that it takes the place of the one with its key.

        >>> from schemas.products import PRODUCTS
        >>> PRODUCTS.tables[0].changing
        'ON CONFLICT (sku, name) DO UPDATE SET description = excluded.description'
        """
        others = [f"{name} = excluded.{name}" for name in self.columns if name not in self.key]
        return f"ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {', '.join(others)}"

    @property
    def definition(self) -> str:
        """The statement that makes the table where it is missing."""
        columns = ", ".join(f"{name} {kind} NOT NULL" for name, kind in self.columns.items())
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}, UNIQUE ({', '.join(self.key)}))"
