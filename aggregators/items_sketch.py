"""`items` with ``--sketch``: the most frequent foods and categories in fixed memory, with a bound on what is wrong.

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.items import Item
>>> rows, items = Rows(MemoryStore()), SketchedItems()
>>> sorted(items.update(rows, Batch([Item(1, 7, 8), Item(2, 7, 9), Item(1, 7, 8)], ())).entities)
['categories:0', 'category:8', 'category:9', 'food:7', 'foods:0']
>>> items.merge("foods:0", [items.summary(rows, "foods:0")])
{'kind': 'foods', 'id': 0, 'count': 2, 'error': 0, 'distinct': 1}

An item id counts once, as without it (`aggregators.items.NewItems`). Of each partition and kind, `COUNTERS` numbers
have a count (`aggregators.frequent`). The entities ``foods:0`` and ``categories:0`` say how far counts may be off: a
count is never too great, and too small by their ``error`` at the most.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aggregators.aggregator import Aggregator, Batch, Changes
from aggregators.frequent import Frequent, distinct
from aggregators.items import NewItems, blocks, view
from aggregators.rows import Rows
from schemas.items import WHOLES, Item, entity_of

COUNTERS = 1000
"""Of a partition and kind: a count is off by no more than a thousandth of the partition's items."""


class SketchedItems(Aggregator[Item]):
    """Approximate counts of foods and categories.

    Args:
        counters: of a partition and kind (tests make them few).
    """

    version = 101
    """Not that of the exact rows: one is not mistaken for the other."""

    def __init__(self, counters: int = COUNTERS) -> None:
        self._counters = counters

    def update(self, rows: Rows, batch: Batch[Item]) -> Changes:
        """Count the items whose ids are new."""
        fresh = NewItems(rows, batch.records)
        entities: list[str] = []
        if len(fresh):
            for kind, numbers in (("food", fresh.foods()), ("category", fresh.categories())):
                sketch = self._sketch(rows, kind)
                before = dict(sketch.counts)
                sketch.add(numbers.tolist())
                rows.put(_row(kind), sketch.encode())
                touched = before.keys() | sketch.counts.keys()
                changed = [number for number in touched if before.get(number) != sketch.counts.get(number)]
                entities += [entity_of(kind, number) for number in changed]
                entities.append(entity_of(WHOLES[kind], 0))
        return Changes(entities, refused=fresh.refused)

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """This partition's share of a food or a category; None where it has no count."""
        kind, _, number = entity.partition(":")
        for one, whole in WHOLES.items():
            if kind == whole:
                sketch = self._sketch(rows, one)
                registers = b64encode(sketch.registers).decode()
                return {"kind": kind, "id": 0, "count": sketch.items, "error": sketch.error, "registers": registers}
        count = self._sketch(rows, kind).counts.get(int(number))
        return None if count is None else {"kind": kind, "id": int(number), "count": count}

    def merge(self, entity: str, shares: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The shares of all partitions, added."""
        kind, _, number = entity.partition(":")
        merged: dict[str, Any] = {"kind": kind, "id": int(number), "count": sum(share["count"] for share in shares)}
        if kind in WHOLES.values():
            merged["error"] = sum(share["error"] for share in shares)
            merged["distinct"] = distinct([b64decode(share["registers"]) for share in shares])
        return merged

    def keys(self, rows: Rows) -> Iterator[str]:
        """The blocks of which an item was counted."""
        return blocks(rows)

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """``state``: how many ids of a block were counted, and between which of them."""
        return view(rows, key, name)

    def _sketch(self, rows: Rows, kind: str) -> Frequent:
        """The sketch of a kind, kept as an object between two batches."""
        row = _row(kind)
        known: Frequent | None = rows.kept(row)
        if known is None:
            known = Frequent(self._counters, rows.get(row))
            rows.keep(row, known, 100 * self._counters + 8192)
        return known


def _row(kind: str) -> bytes:
    return b"frequent:" + kind.encode()
