"""The merging stage of a stream whose entities cut across keys: the newest share of each source, merged.

>>> from aggregators.rows import MemoryStore, Rows
>>> class Counts(Aggregator[Any]):
...     def update(self, rows, batch): ...
...     def summary(self, rows, entity): ...
...     def keys(self, rows): ...
...     def view(self, rows, key, name, arguments): ...
...     def merge(self, entity, shares): return {"id": entity, "count": sum(share["count"] for share in shares)}
>>> rows, merge = Rows(MemoryStore()), Merge(Counts())
>>> shares = [Partial("7", 0, 10, {"count": 2}), Partial("7", 1, 5, {"count": 3}), Partial("7", 0, 9, {"count": 99})]
>>> list(merge.update(rows, Batch(shares, ())).entities), merge.summary(rows, "7")
(['7'], {'id': '7', 'count': 5})

It is an aggregator like any other, over the partials that the counting stage published, so the engine gives it what
it gives to all: a table of its own with a changelog, epochs, fencing, recovery. A row is an entity; it holds the newest
version and share of each source. A share that comes again, late or out of order changes nothing.

The versions of a source never fall, because they are the positions of its partition. A source that counts anew, after
its changelog was deleted, begins with lower ones: delete the merging stage's changelog, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.homes import strangers
from aggregators.rows import Rows
from schemas.partial import Partial

_PREFIX, _PREFIX_END = b"e", b"f"
_Row = dict[int, tuple[int, dict[str, Any] | None]]
"""``source → (version, share)``."""

_encode = msgspec.msgpack.Encoder().encode
_decode_all = msgspec.msgpack.Decoder(list[_Row | None]).decode
_NONE, _ARRAY = b"\xc0", b"\xdd%b"
"""Of MessagePack: nothing; and the head of an array, which says how many values follow."""


class Merge(Aggregator[Partial]):
    """Merges the partials of a stream.

    Args:
        stream: the aggregator of the stream; its `merge` says what a merged summary is.
    """

    batch_records = 32_768

    def __init__(self, stream: Aggregator[Any]) -> None:
        self._stream = stream
        self.version = stream.version

    def update(self, rows: Rows, batch: Batch[Partial]) -> Changes:
        """Keep the newest share of each source."""
        entities = list(dict.fromkeys([partial.entity for partial in batch.records]))
        stored = self._rows_of(rows, entities)
        unknown = [entity for entity, row in zip(entities, stored, strict=True) if row is None]
        away = {unknown[at] for at in strangers(rows, [entity.encode() for entity in unknown])}
        known: dict[str, _Row] = {entity: row or {} for entity, row in zip(entities, stored, strict=True)}
        changed: dict[str, _Row] = {}
        refused: list[tuple[int, str]] = []
        for index, partial in enumerate(batch.records):
            entity, source = partial.entity, partial.source
            if entity in away:
                refused.append((index, WRONG_PARTITION))
                continue
            row = known[entity]
            newest = row.get(source)
            if newest is None or partial.version > newest[0]:
                row[source] = (partial.version, partial.share)
                changed[entity] = row
        # In the order of the sources, so that the same shares are the same bytes.
        ordered = [dict(sorted(row.items())) if len(row) > 1 else row for row in changed.values()]
        rows.change(dict(zip(map(_key, changed), map(_encode, ordered), strict=True)))
        return Changes(list(changed), refused)

    def summaries(self, rows: Rows, entities: Sequence[str]) -> list[dict[str, Any] | None]:
        """The merged summaries; None where no source has a share any more."""
        merge, merged = self._stream.merge, list[dict[str, Any] | None]()
        for entity, row in zip(entities, self._rows_of(rows, entities), strict=True):
            shares = [share for _, share in row.values() if share is not None] if row else []
            merged.append(merge(entity, shares) if shares else None)
        return merged

    def _rows_of(self, rows: Rows, entities: Sequence[str]) -> list[_Row | None]:
        """What is known of each entity, decoded in one call."""
        found = [row or _NONE for row in rows.get_many(list(map(_key, entities)))]
        return _decode_all(_ARRAY % len(found).to_bytes(4, "big") + b"".join(found))

    def keys(self, rows: Rows) -> Iterator[str]:
        """The entities that were ever seen."""
        for key, _ in rows.range(_PREFIX, _PREFIX_END):
            yield key[len(_PREFIX) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """``state``: the share of each source, and what they merge to."""
        if name != "state":
            raise LookupError(f"no view {name!r} of merged entities; there is: state")
        (row,) = self._rows_of(rows, [key])
        if row is None:
            return None
        shares = {str(source): {"version": version, "share": share} for source, (version, share) in row.items()}
        return {"entity": key, "summary": self.summary(rows, key), "shares": shares}


def _key(entity: str) -> bytes:
    return _PREFIX + entity.encode()
