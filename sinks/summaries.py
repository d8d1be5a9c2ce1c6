"""The summary topic as a table: the newest summary of each entity, up to the committed end; and the topic beside it.

    for summary in summaries(kafka, admin, SITES, logger):
        summary["site_id"], summary["revision"]

A million summaries take about three seconds: nothing but the newest value of a key is kept, and only those are
decoded, all at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from schemas.schema import Schema
from schemas.wire import partition_of
from sinks.committed import CommittedReader, Place, Span, committed_spans


def summaries(
    kafka: Mapping[str, str],
    admin: AdminClient,
    schema: Schema[Any],
    logger: logging.Logger,
    entities: Collection[str] = (),
    *,
    wanted: Callable[[str], bool] | None = None,
    shape: Any = dict[str, Any],
) -> list[dict[str, Any]]:
    """The newest summary of each of ``entities`` (default: of all), in no particular order.

    An entity without a summary, or whose summary was removed, is not in the list; a topic that does not exist
    holds none.

    Args:
        kafka: client properties.
        admin: connected with them.
        schema: of the stream.
        logger: where librdkafka's own lines go.
        entities: which are asked for; only the partitions where they lie are read.
        wanted: which are, of all, by what their keys say.
        shape: a ``TypedDict`` of the fields to decode, where a summary has large ones that nobody asks for.
    """
    keys = {entity.encode() for entity in entities}
    newest: dict[bytes, bytes | None] = {}
    for pairs in published(kafka, admin, schema, logger, keys):
        newest.update(pairs if wanted is None else [pair for pair in pairs if wanted(pair[0].decode())])
    if keys:
        return _decoded((value for key, value in newest.items() if value is not None and key in keys), shape)
    return _decoded((value for value in newest.values() if value is not None), shape)


def published(
    kafka: Mapping[str, str],
    admin: AdminClient,
    schema: Schema[Any],
    logger: logging.Logger,
    keys: Collection[bytes] = (),
) -> Iterator[list[tuple[bytes, bytes | None]]]:
    """All that was published, as keys and values in batches: of a key, what comes last holds; None: it was removed.

    For those who cannot hold every summary. Nothing where the topic does not exist.

    Args:
        kafka: client properties.
        admin: connected with them.
        schema: of the stream.
        logger: where librdkafka's own lines go.
        keys: only the partitions of these are read; none: all.
    """
    topic = schema.topics.summaries
    metadata = admin.list_topics(timeout=10).topics.get(topic)
    if metadata is None:
        return
    spans = spans_of(admin, topic, len(metadata.partitions), keys)
    with CommittedReader(kafka, logger) as reader:
        for messages in reader.read({place: span.start for place, span in spans.items()}, spans):
            yield [(message.key() or b"", message.value()) for message in messages]


def rows(
    kafka: Mapping[str, str], admin: AdminClient, schema: Schema[Any], logger: logging.Logger, prefix: bytes = b""
) -> dict[bytes, dict[str, Any]]:
    """What the stream publishes beside its summaries: by key, those that begin with ``prefix``, in their order.

    Nothing where the topic does not exist.
    """
    topic = schema.topics.rows
    metadata = admin.list_topics(timeout=10).topics.get(topic) if topic else None
    if metadata is None:
        return {}
    spans = committed_spans(admin, {topic: len(metadata.partitions)})
    newest: dict[bytes, bytes | None] = {}
    with CommittedReader(kafka, logger) as reader:
        for messages in reader.read({place: span.start for place, span in spans.items()}, spans):
            for message in messages:
                key = message.key() or b""
                if key.startswith(prefix):
                    newest[key] = message.value()
    found = sorted((key, value) for key, value in newest.items() if value is not None)
    return dict(zip([key for key, _ in found], _decoded(value for _, value in found), strict=True))


def spans_of(admin: AdminClient, topic: str, count: int, keys: Collection[bytes]) -> dict[Place, Span]:
    """The committed spans of a summary topic; with ``keys``, only of the partitions where those lie."""
    spans = committed_spans(admin, {topic: count})
    if not keys:
        return spans
    return {place: spans[place] for place in {(topic, partition_of(key, count)) for key in keys}}


def newest_messages(batches: Iterable[list[Message]]) -> list[Message]:
    """The newest message of each key, tombstones included, in the order of partition and offset."""
    newest: dict[tuple[str | None, bytes | None], Message] = {}
    for messages in batches:
        for message in messages:
            newest[message.topic(), message.key()] = message
    return sorted(newest.values(), key=_place)


def _place(message: Message) -> tuple[Any, ...]:
    return message.topic(), message.partition(), message.offset()


def _decoded(values: Iterable[bytes], shape: Any = dict[str, Any]) -> list[dict[str, Any]]:
    return msgspec.json.decode(b"[" + b",".join(values) + b"]", type=list[shape])
