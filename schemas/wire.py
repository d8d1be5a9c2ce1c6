"""The wire that all parts share: topic names, the partitioner, the headers of records and dead letters.

>>> topics("sites").summaries
'sites.summaries'
>>> partition_of(b"1", 8)
7
"""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_PARTITIONS = 8
MAX_RECORD_BYTES = 1_000_000
"""A larger record is rejected by producers; its dead letter keeps the first `LETTER_BYTES`."""
LETTER_BYTES = 64_000
BATCH_BYTES = 8 << 20
"""``max.message.bytes`` of changelogs: what one epoch writes to a partition must fit its batches."""

ORIGIN = "origin"
"""Header of an input record: ``FILE:LINE``, the line where the record begins."""

REVISION = "revision"
"""Header of a tombstone in a summary topic: the revision that its value cannot tell."""

LETTER = "__dlq.errors."
"""Prefix of a dead letter's headers (the names of Kafka Streams' and Kafka Connect's habit)."""
LETTER_TOPIC = LETTER + "topic"
LETTER_PARTITION = LETTER + "partition"
LETTER_OFFSET = LETTER + "offset"
LETTER_GROUP = LETTER + "group"
LETTER_MESSAGE = LETTER + "message"
LETTER_FILE = LETTER + "file"
LETTER_LINE = LETTER + "line"
LETTER_OP = LETTER + "op"
"""Only where rows are commands: what the row was to do."""
LETTER_FORM = LETTER + "form"
"""Only where the record was not in the form of the stream's files: what it is instead, ``jsonl``."""
LETTER_LENGTH = LETTER + "length"
"""Only where the value was cut to `LETTER_BYTES`: the original length in bytes."""
LETTER_SHA256 = LETTER + "sha256"
"""Only where the value was cut: the SHA-256 of the original bytes, hexadecimal."""

WORKERS = "streamgauge.workers"
"""Compacted topic, key = instance id: where each engine process can be asked (JSON)."""
CLIENT = "streamgauge-"
"""What stands before an instance id in the client id by which a group knows the member."""


class Topics(NamedTuple):
    """The topics of one stage of a stream, and the names that Kafka knows its workers by.

    A stream whose entities are its keys has one stage. Where entities cut across keys there are two: counting
    publishes partials, and merging reads them and publishes the summaries.
    """

    input: str
    output: str
    """Where this stage publishes: ``partials`` or ``summaries``."""
    partials: str
    summaries: str
    rows: str
    """Compacted: what a stream publishes beside its summaries; empty where that is nothing."""
    dead_letters: str
    replayed: str
    """Compacted: the ids of dead letters that `dlq replay` has sent back, each once, ever."""
    app: str
    """Faust's app id and the consumer group."""
    changelog: str


def topics(stream: str, *, merges: bool = False, rows: bool = False) -> Topics:
    """Name the topics of the counting stage of ``stream``.

    Args:
        stream: its name.
        merges: whether another stage merges its partials.
        rows: whether it publishes anything beside its summaries.
    """
    app = f"streamgauge-{stream}"
    return Topics(
        input=stream,
        output=f"{stream}.partials" if merges else f"{stream}.summaries",
        partials=f"{stream}.partials",
        summaries=f"{stream}.summaries",
        rows=f"{stream}.rows" if rows else "",
        dead_letters=f"dlq.{stream}",
        replayed=f"dlq.{stream}.replayed",
        app=app,
        changelog=f"{app}-state-changelog",
    )


def merge_topics(stream: str) -> Topics:
    """Name the topics of the merging stage of ``stream``.

    >>> merge_topics("items").input, merge_topics("items").output, merge_topics("items").app
    ('items.partials', 'items.summaries', 'streamgauge-items-merge')
    """
    app = f"streamgauge-{stream}-merge"
    counting = topics(stream)
    return counting._replace(input=counting.partials, app=app, changelog=f"{app}-state-changelog")


def transactional_id(app: str, partition: int) -> str:
    """The one id under which the owner of ``partition`` writes; a newer owner fences the older by it."""
    return f"{app}-state-{partition}"


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (seed 0x9747b28c), as ``org.apache.kafka.common.utils.Utils.murmur2`` computes it.

    Returns an unsigned number; Java's is the same 32 bits, signed.
    """
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if length != whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition, out of ``partitions``, in which Kafka's default partitioner puts ``key``."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
