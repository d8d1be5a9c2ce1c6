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

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.rows import Rows
from schemas.items import BLOCK, Item, entity_of

BITMAP_BYTES = (BLOCK + 7) // 8
_BLOCKS, _BLOCKS_END = b"ids:", b"ids;"


class Items(Aggregator[Item]):
    """Exact counts of foods and categories."""

    version = 1

    def update(self, rows: Rows, batch: Batch[Item]) -> Changes:
        """Count the items whose ids are new."""
        fresh, refused = new_items(rows, batch)
        counted = Counter(entity_of("food", item.food_id) for item in fresh)
        counted.update(entity_of("category", item.category) for item in fresh)
        for entity, more in counted.items():
            row = entity.encode()
            rows.put(row, b"%d" % (int(rows.get(row) or 0) + more))
        return Changes(list(counted), refused=refused)

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """This partition's share of a food or a category."""
        count = rows.get(entity.encode())
        return None if count is None else _summary(entity, int(count))

    def merge(self, entity: str, shares: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The shares of all partitions, added."""
        return _summary(entity, sum(share["count"] for share in shares))

    def keys(self, rows: Rows) -> Iterator[str]:
        """The blocks of which an item was counted."""
        return blocks(rows)

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """``state``: how many ids of a block were counted, and between which of them."""
        return view(rows, key, name)


def new_items(rows: Rows, batch: Batch[Item]) -> tuple[list[Item], list[tuple[int, str]]]:
    """The items of ``batch`` that were never delivered before, now marked as counted; and what is refused."""
    fresh: list[Item] = []
    refused: list[tuple[int, str]] = []
    bitmaps: dict[int, bytearray | None] = {}
    changed: set[int] = set()
    for index, item in enumerate(batch.records):
        block, place = divmod(item.id, BLOCK)
        if block in bitmaps:
            bitmap = bitmaps[block]
        else:
            bitmap = bitmaps[block] = _bitmap(rows, block)
        if bitmap is None:
            refused.append((index, WRONG_PARTITION))
            continue
        octet, bit = place >> 3, 1 << (place & 7)
        if not bitmap[octet] & bit:
            bitmap[octet] |= bit
            changed.add(block)
            fresh.append(item)
    for block in sorted(changed):
        # Without the zeros at its end, a block that is begun is short.
        rows.put(_row(block), bytes(bitmaps[block] or b"").rstrip(b"\0"))
    return fresh, refused


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


def _bitmap(rows: Rows, block: int) -> bytearray | None:
    """The bits of a block; None when it is new and of another partition."""
    row = rows.get(_row(block))
    if row is None and not rows.owns(b"%d" % block):
        return None
    return bytearray((row or b"").ljust(BITMAP_BYTES, b"\0"))


def _row(block: int) -> bytes:
    return _BLOCKS + b"%d" % block


def _summary(entity: str, count: int) -> dict[str, Any]:
    kind, _, number = entity.partition(":")
    return {"kind": kind, "id": int(number), "count": count}
