r"""`products`: the catalogue as the commands leave it, and how many pairs of it have a name.

>>> from aggregators.rows import MemoryStore, Rows
>>> rows, products = Rows(MemoryStore()), Products()
>>> commands = [Product("ingest", "Anna", "a-1", text) for text in ("first", "second")]
>>> changes = products.update(rows, Batch(commands, ()))
>>> changes.entities, changes.published
(['Anna'], {b'a-1\x00Anna': {'sku': 'a-1', 'name': 'Anna', 'description': 'first'}})
>>> products.summary(rows, "Anna"), products.merge("Anna", [{"count": 1}, {"count": 2}])
({'count': 1}, {'name': 'Anna', 'count': 3})

Here, and in no other stream, the order of arrival decides. It is the order of the file: a producer sends a file from
its beginning to its end and keeps that order within a partition (idempotence), and all commands about a pair are in
one partition, because they have one sku. So "the first one holds" and "the last one holds" mean the file's first and
last, however many partitions and workers there are. A file replayed again, or a stretch of it sent twice after an
interrupt, ends where it ended the first time: an ``ingest`` finds its pair there, the last ``update`` is the same one
again, and a ``delete`` finds nothing. A command that comes twice in a row changes nothing.

Rows of a partition:

    p SKU NUL NAME     the description
    n NAME             how many pairs of this partition have the name, as decimal digits
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.homes import strangers
from aggregators.rows import Rows
from schemas.products import Product, pair_key

_PAIR, _PAIRS_END = b"p", b"q"
_NAME = b"n"


class Products(Aggregator[Product]):
    """Keeps the pairs of a catalogue, and counts them by name."""

    version = 1
    batch_records = 8_192

    def update(self, rows: Rows, batch: Batch[Product]) -> Changes:
        """Carry out the commands of a batch, in their order."""
        changes = Changes()
        published = changes.published
        more: dict[str, int] = {}
        skus = [record.sku.encode() for record in batch.records]
        away = strangers(rows, skus)
        for place, (record, sku) in enumerate(zip(batch.records, skus, strict=True)):
            if place in away:
                changes.refused.append((place, WRONG_PARTITION))
                continue
            name = record.name
            pair = pair_key(sku, name.encode())
            key = _PAIR + pair
            stored = rows.get(key)
            if record.op == "delete":
                if stored is not None:
                    rows.delete(key)
                    published[pair] = None
                    more[name] = more.get(name, 0) - 1
                continue
            if stored is not None and record.op == "ingest":
                continue
            description = record.description.encode()
            if stored == description:
                continue
            if stored is None:
                more[name] = more.get(name, 0) + 1
            rows.put(key, description)
            published[pair] = {"sku": record.sku, "name": name, "description": record.description}
        changes.entities = [name for name, change in more.items() if change]
        for name in changes.entities:
            key = _NAME + name.encode()
            count = int(rows.get(key) or 0) + more[name]
            if count:
                rows.put(key, b"%d" % count)
            else:
                rows.delete(key)
        return changes

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """How many pairs of this partition have the name; None when none has."""
        count = rows.get(_NAME + entity.encode())
        return None if count is None else {"count": int(count)}

    def merge(self, entity: str, shares: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """How many pairs have the name."""
        return {"name": entity, "count": sum(share["count"] for share in shares)}

    def keys(self, rows: Rows) -> Iterator[str]:
        """The skus that have a pair, in order."""
        before = b""
        for key, _ in rows.range(_PAIR, _PAIRS_END):
            sku = key[len(_PAIR) : key.index(b"\0")]
            if sku != before:
                yield sku.decode()
                before = sku

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """Answer ``state``: the pairs of a sku, by name."""
        if name != "state":
            raise LookupError(f"products have no view {name!r}; there is: state")
        prefix = _PAIR + pair_key(key.encode(), b"")
        pairs = [
            {"name": row[len(prefix) :].decode(), "description": description.decode()}
            for row, description in rows.range(prefix, prefix[:-1] + b"\1")
        ]
        return {"sku": key, "rows": pairs} if pairs else None
