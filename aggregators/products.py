r"""`products`: the catalogue as the commands leave it, and how many pairs of it have a name.

>>> from aggregators.rows import MemoryStore, Rows
>>> rows, products = Rows(MemoryStore()), Products()
>>> commands = [Product("ingest", "Anna", "a-1", text) for text in ("first", "second")]
>>> changes = products.update(rows, Batch(commands, ()))
>>> changes.entities, changes.published
(['Anna'], {b'a-1\x00Anna': Pair(sku='a-1', name='Anna', description='first')})
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

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.homes import strangers
from aggregators.rows import Rows
from schemas.products import Pair, Product, pair_key

_PAIR, _PAIRS_END = b"p", b"q"
_NAME = b"n"


class Products(Aggregator[Product]):
    """Keeps the pairs of a catalogue, and counts them by name."""

    version = 1
    batch_records = 8_192

    def update(self, rows: Rows, batch: Batch[Product]) -> Changes:
        """Carry out the commands of a batch, in their order."""
        records = batch.records
        skus = [record.sku.encode() for record in records]
        pairs = list(map(pair_key, skus, [record.name.encode() for record in records]))
        away = strangers(rows, skus)
        keys = list(map(_PAIR.__add__, pairs))
        known = dict(zip(keys, rows.get_many(keys), strict=True))
        refused: list[tuple[int, str]] = []
        changed: dict[bytes, bytes | None] = {}
        published: dict[bytes, Pair | None] = {}
        more: defaultdict[str, int] = defaultdict(int)
        for place, (record, key, pair) in enumerate(zip(records, keys, pairs, strict=True)):
            if place in away:
                refused.append((place, WRONG_PARTITION))
                continue
            stored = known[key]
            if record.op == "delete":
                after = None
            elif stored is not None and record.op == "ingest":
                continue
            else:
                after = record.description.encode()
            if after == stored:
                continue
            known[key] = changed[key] = after
            if after is None:
                more[record.name] -= 1
                published[pair] = None
            else:
                more[record.name] += stored is None
                published[pair] = Pair(record.sku, record.name, record.description)
        rows.change(changed)
        return Changes(self._count(rows, more), refused, published)

    def _count(self, rows: Rows, more: Mapping[str, int]) -> list[str]:
        """Add to the counts of names; which of them changed."""
        names = [name for name, change in more.items() if change]
        keys = [_NAME + name.encode() for name in names]
        counts = [
            int(stored or 0) + more[name] for name, stored in zip(names, rows.get_many(keys), strict=True)
        ]  # fmt: skip
        rows.change({key: b"%d" % count if count else None for key, count in zip(keys, counts, strict=True)})
        return names

    def summaries(self, rows: Rows, entities: Sequence[str]) -> list[dict[str, Any] | None]:
        """How many pairs of this partition have each name; None where none has."""
        counts = rows.get_many([_NAME + entity.encode() for entity in entities])
        return [None if count is None else {"count": int(count)} for count in counts]

    def merge(self, entity: str, shares: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """How many pairs have the name."""
        return {"name": entity, "count": sum([share["count"] for share in shares])}

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
