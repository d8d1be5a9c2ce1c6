"""Partials: one source partition's share of an entity, on its way to the stage that merges them.

>>> partial = Partial("food:7", source=3, version=120, share={"count": 2})
>>> encode([partial])
[b'{"entity":"food:7","source":3,"version":120,"share":{"count":2}}']
>>> DECODER.decode(encode([partial])).records == [partial]
True

A share is absolute and versioned by its partition's position, so a redelivered, reordered or stale partial changes
nothing. ``share: null`` says that the partition has no share any more.

The key of a partial is its entity *and* its source (`key_of`): compaction keeps the newest of each key, and each
source's newest share must survive it. The entity alone names the partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.json import Encoder

from schemas.decode import RunDecoder
from schemas.schema import Schema


class Partial(Struct, gc=False):
    """One source partition's share of an entity.

    Args:
        entity: what the summary will be keyed by.
        source: the number of the partition that counted the share.
        version: its position there; a greater one replaces a smaller one.
        share: absolute, as `Aggregator.summary` gave it; None: no share any more.
    """

    entity: str
    source: Annotated[int, Meta(ge=0)]
    version: Annotated[int, Meta(ge=0)]
    share: dict[str, Any] | None


DECODER: RunDecoder[Partial] = RunDecoder(Partial)
_lines = Encoder().encode_lines


def encode(partials: Sequence[Partial]) -> list[bytes]:
    """The values of partials' records, in one call. A line is never broken: JSON escapes what would break it."""
    return _lines(partials).split(b"\n")[:-1]


def key_of(entity: bytes, source: int) -> bytes:
    """The Kafka key of a partial."""
    return b"%b\0%d" % (entity, source)


def partials_of(schema: Schema[Any]) -> Schema[Partial]:
    """The schema of the stage that merges the partials of ``schema``."""
    return Schema(
        name=schema.name, record=Partial, summary=schema.summary, key=_entity, entity=schema.entity, stage="merge"
    )


def _entity(partial: Partial) -> str:
    return partial.entity
