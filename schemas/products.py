r"""`products`: a catalogue. Each row of a CSV file is a command: insert a product, change it, or take it out.

>>> row = PRODUCTS.csv.record(["Anna Berg", "lay-raise-best", "First line.\nSecond."])
>>> import orjson
>>> PRODUCTS.decoder.decode_one(orjson.dumps({**row, **PRODUCTS.csv.given}))
Product(op='ingest', name='Anna Berg', sku='lay-raise-best', description='First line.\nSecond.')

A product is a *pair*: the same sku stands with several names in real files. All pairs of a sku lie in one partition,
whose order is that of the file. Summaries are by name, so they cut across partitions; the pairs themselves are
published beside them, in ``products.rows``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta, Struct

from schemas.csv_table import Column, Table, filled, text
from schemas.errors import BadRecord
from schemas.schema import Schema
from schemas.sql_table import SqlTable

Text = Annotated[str, Meta(min_length=1)]
"""An opaque, case-sensitive text."""


class Product(Struct, gc=False):
    """A command about one pair.

    Args:
        op: ``ingest`` inserts a pair that is not there (the first one holds), ``update`` inserts or changes it (the
            last one holds), ``delete`` takes it out.
        name: of the product.
        sku: its number in the catalogue.
        description: of no meaning in a ``delete``.
    """

    op: Literal["ingest", "update", "delete"]
    name: Text
    sku: Text
    description: str


class ProductCount(TypedDict):
    """How many pairs have a name."""

    name: str
    count: int
    revision: int


class ProductRow(TypedDict):
    """A pair as it stands in the catalogue."""

    sku: str
    name: str
    description: str
    revision: int


class Pair(Struct, gc=False):
    """A `ProductRow` before it has its revision: a third of what a dict takes, and half as long to make."""

    sku: str
    name: str
    description: str


def pair_key(sku: bytes, name: bytes) -> bytes:
    r"""The key of a pair in ``products.rows``.

    >>> pair_key(b"lay-raise-best", b"Anna Berg")
    b'lay-raise-best\x00Anna Berg'
    """
    return b"%b\0%b" % (sku, name)


def _check(record: Product) -> None:
    if "\0" in record.sku or "\0" in record.name or "\0" in record.description:
        # In a key it parts sku and name; as a text, no database takes it.
        raise BadRecord("a text holds a NUL character")


def _sku(record: Product) -> str:
    return record.sku


def _name(summary: ProductCount) -> str:
    return summary["name"]


PRODUCTS: Schema[Product] = Schema(
    name="products",
    record=Product,
    summary=ProductCount,
    key=_sku,
    entity=_name,
    check=_check,
    merges=True,
    row=ProductRow,
    csv=Table(
        (Column("name", filled), Column("sku", filled), Column("description", text)),
        header=True,
        ops=("ingest", "update", "delete"),
    ),
    tables=(
        SqlTable(
            "products", "rows",
            columns={"sku": "text", "name": "text", "description": "text"}, key=("sku", "name"), fields={},
        ),
        SqlTable(
            "products_agg", "summaries",
            columns={"name": "text", "no_of_products": "bigint"}, key=("name",), fields={"no_of_products": "count"},
        ),
    ),
)  # fmt: skip
