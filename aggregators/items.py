"""`items`: how many items were of each food and each category; an item counts once, however often it is delivered.

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.items import Item
>>> rows, items = Rows(MemoryStore()), Items()
>>> eaten = [Item(658330693, 293161, 128), Item(658330694, 293161, 83), Item(658330693, 293161, 128)]
>>> sorted(items.update(rows, Batch(eaten, ())).entities)
['category:128', 'category:83', 'food:293161']
>>> items.summary(rows, "food:293161")
{'kind': 'food', 'id': 293161, 'count': 2}

Rows of a partition:

    ids:BLOCK       which ids of a block were counted: a bit each, 1250 bytes at the most
    food:ID         how many items were of a food (decimal)
    category:ID     … of a category

There is no entry per item: the known 74 million ids take 7,381 blocks, 9 MB. Nothing is kept in memory beside the rows
of the open epoch. A count is this partition's share, and `merge` adds the shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from msgspec import UNSET

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.blocks import Longs
from aggregators.rows import Rows
from schemas.items import BLOCK, Item, entity_of

BITMAP_BYTES = (BLOCK + 7) // 8
_BLOCKS, _BLOCKS_END = b"ids:", b"ids;"
_ID, _FOOD, _LONG_NAME = map(attrgetter, ("id", "food_id", "long_name"))


class Items(Aggregator[Item]):
    """Exact counts of foods and categories."""

    version = 1
    batch_records = 262_144

    def update(self, rows: Rows, batch: Batch[Item]) -> Changes:
        """Count the items whose ids are new."""
        fresh = NewItems(rows, batch.records)
        entities: list[str] = []
        counts: list[int] = []
        for kind, numbers in (("food", fresh.foods()), ("category", fresh.categories())):
            distinct, times = np.unique(numbers, return_counts=True)
            entities += [entity_of(kind, number) for number in distinct.tolist()]
            counts += times.tolist()
        keys = [entity.encode() for entity in entities]
        stored = rows.get_many(keys)
        rows.change({k: b"%d" % (int(old or 0) + more) for k, old, more in zip(keys, stored, counts, strict=True)})
        return Changes(entities, fresh.refused)

    def summaries(self, rows: Rows, entities: Sequence[str]) -> list[dict[str, Any] | None]:
        """This partition's share of each food or category."""
        counts = rows.get_many([entity.encode() for entity in entities])
        return [
            None if count is None else _summary(entity, int(count))
            for entity, count in zip(entities, counts, strict=True)
        ]

    def merge(self, entity: str, shares: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG002
        """The shares of all partitions, added."""
        return {**shares[0], "count": sum([share["count"] for share in shares])}

    def keys(self, rows: Rows) -> Iterator[str]:
        """The blocks of which an item was counted."""
        return blocks(rows)

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """``state``: how many ids of a block were counted, and between which of them."""
        return view(rows, key, name)


class NewItems:
    """The items of a batch that were never delivered before; they are marked as counted in ``rows``.

    Args:
        rows: of the partition.
        items: of the batch; of several with one id, the first counts.
    """

    def __init__(self, rows: Rows, items: Sequence[Item]) -> None:
        self.refused: list[tuple[int, str]] = []
        """``(index into the items, reason)`` of those whose block is of another partition."""
        self._items = items
        numbers = np.fromiter(map(_ID, items), np.int64, len(items))
        ids, first = np.unique(numbers, return_index=True)
        counts = np.ones(len(ids), np.bool_)
        of_id, places = np.divmod(ids, BLOCK)
        ends = np.flatnonzero(np.diff(of_id, append=of_id[-1:] + 1)) + 1
        found: list[int] = of_id[ends - 1].tolist()
        keys = list(map(_row, found))
        changed: dict[bytes, bytes | None] = {}
        begin = 0
        for block, key, row, end in zip(found, keys, rows.get_many(keys), ends.tolist(), strict=True):
            part = slice(begin, end)
            begin = end
            if row is None and not rows.owns(b"%d" % block):
                counts[part] = False
                away = np.flatnonzero(np.isin(numbers, ids[part]))
                self.refused += [(index, WRONG_PARTITION) for index in away.tolist()]
                continue
            bitmap = (row or b"").ljust(BITMAP_BYTES, b"\0")
            bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
            counts[part] = new = bits[places[part]] == 0
            if new.any():
                bits[places[part]] = 1
                # Without the zeros at its end, a block that is begun is short.
                changed[key] = np.packbits(bits, bitorder="little").tobytes().rstrip(b"\0")
        rows.change(changed)
        self._places = np.sort(first[counts])
        self._all = len(self._places) == len(items)

    def __len__(self) -> int:
        return len(self._places)

    def foods(self) -> Longs:
        """What each of them was, in the order of arrival."""
        return self._column(map(_FOOD, self._items))

    def categories(self) -> Longs:
        """The category of each of them."""
        names = list(map(_LONG_NAME, self._items))
        if UNSET in names:
            names = [item.category for item in self._items]
        return self._column(names)

    def _column(self, values: Iterable[Any]) -> Longs:
        column = np.fromiter(values, np.int64, len(self._items))
        return column if self._all else column[self._places]


def blocks(rows: Rows) -> Iterator[str]:
    """The keys of the stream that have state in ``rows``."""
    for row, _ in rows.range(_BLOCKS, _BLOCKS_END):
        yield row[len(_BLOCKS) :].decode()


def view(rows: Rows, key: str, name: str) -> dict[str, Any] | None:
    """Answer ``state``: how many ids of the block ``key`` were counted, the first and the last of them."""
    if name != "state":
        raise LookupError(f"items have no view {name!r}; there is: state")
    bitmap = rows.get(_BLOCKS + key.encode())
    if bitmap is None:
        return None
    bits = int.from_bytes(bitmap, "little")
    start = int(key) * BLOCK
    first, last = (bits & -bits).bit_length() - 1, bits.bit_length() - 1
    return {"block": key, "items": bits.bit_count(), "first": start + first, "last": start + last}


def _row(block: int) -> bytes:
    return _BLOCKS + b"%d" % block


def _summary(entity: str, count: int) -> dict[str, Any]:
    kind, _, number = entity.partition(":")
    return {"kind": kind, "id": int(number), "count": count}
