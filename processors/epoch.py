"""An epoch: what becomes durable together, in one Kafka transaction.

Changed rows, the summaries of changed entities, whatever else is published, dead letters, and the stamp (the next
source offset). Either all of it is there for every ``read_committed`` reader, or none of it.

>>> stamp = Stamp(offset=42, version=1)
>>> Stamp.decode(stamp.encode()) == stamp
True
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

import msgspec

from aggregators.rows import Changes
from processors.run import KafkaRecord
from schemas.errors import StateError
from schemas.wire import (
    LETTER_BYTES,
    LETTER_FILE,
    LETTER_GROUP,
    LETTER_LENGTH,
    LETTER_LINE,
    LETTER_MESSAGE,
    LETTER_OFFSET,
    LETTER_PARTITION,
    LETTER_SHA256,
    LETTER_TOPIC,
    MAX_RECORD_BYTES,
    ORIGIN,
)

STAMP_KEY = b"\x00stamp"
"""The stamp's key in the changelog and in the store. Keys that begin with NUL are the engine's."""

FILE_BYTES, LINE_DIGITS = 4_096, 18
"""Of an origin that somebody wrote: no longer than a path, or a number of 64 bits."""

KEY_BYTES = 32_000
"""What a key may take beside the largest value, within Kafka's limit of 1,048,588 bytes for all of a record."""

BY_KEY = -1
"""The partition of an output whose key names it: librdkafka hashes keys, which would cost us microseconds each."""


class Stamp(msgspec.Struct, frozen=True):
    """The only authority on what has been counted.

    Args:
        offset: the next source offset to count.
        version: of the rows' format (``Aggregator.version``).
        topic_id: Kafka's, of the source: offsets of another topic of its name mean something else. Empty where it is
            not known, as in stamps of before 0.1.1.
    """

    offset: int
    version: int
    topic_id: str = ""

    def encode(self) -> bytes:
        """The stamp's row."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, row: bytes) -> Stamp:
        """Read a stamp's row.

        Raises:
            StateError: it is none.
        """
        try:
            return msgspec.json.decode(row, type=cls)
        except msgspec.DecodeError as error:
            raise StateError(f"the stamp {row[:60]!r} cannot be read ({error}); delete this state directory") from error


class Letter(NamedTuple):
    """A dead letter, ready to be sent."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class Output(NamedTuple):
    """What is published of an entity, ready to be sent; no value removes the entity (a tombstone)."""

    key: bytes
    value: bytes | None
    partition: int
    """`BY_KEY`: the one that murmur2 of the key names."""


@dataclass(slots=True)
class Epoch:
    """What one partition makes durable at once.

    Args:
        first: the source offset at which it begins.
        stamp: where the next one begins, with the format's version.
        records: how many source records it counted or refused.
        rows: changed rows by key.
        row_bytes: of their keys and values.
        outputs: summaries, or partials, of the entities that changed.
        letters: of the records that could not be counted.
        published: for the topic beside the summaries, where the stream has one.
    """

    first: int
    stamp: Stamp
    records: int
    rows: Changes
    row_bytes: int
    outputs: list[Output]
    letters: list[Letter]
    published: list[Output] = field(default_factory=list[Output])


def letter_of(record: KafkaRecord, topic: str, partition: int, group: str, reason: str) -> Letter:
    """The dead letter of an input record: its original bytes, where it is from and why it is here.

    A record that is larger than any producer of ours sends is cut as they cut it: the topic of dead letters, made with
    Kafka's own limit, would refuse it, and the engine would meet it again for ever.
    """
    key, value = record.key, record.value or b""
    headers = [
        (LETTER_TOPIC, topic.encode()),
        (LETTER_PARTITION, b"%d" % partition),
        (LETTER_OFFSET, b"%d" % record.offset),
        (LETTER_GROUP, group.encode()),
        (LETTER_MESSAGE, reason.encode()),
    ]
    for name, said in record.headers:
        if name == ORIGIN and said:
            file, colon, line = said.rpartition(b":")
            if colon and line.isdigit() and len(line) <= LINE_DIGITS:
                headers += [(LETTER_FILE, file[:FILE_BYTES]), (LETTER_LINE, line)]
    if len(value) + max(0, len(key or b"") - KEY_BYTES) > MAX_RECORD_BYTES:
        headers += [(LETTER_LENGTH, b"%d" % len(value)), (LETTER_SHA256, sha256(value).hexdigest().encode())]
        key, value = key and key[:LETTER_BYTES], value[:LETTER_BYTES]
    return Letter(key, value, headers)


def lost_letter(topic: str, partition: int, group: str, first: int, next: int) -> Letter:
    """The dead letter that stands for the source offsets ``[first, next)``, which retention removed uncounted."""
    headers = [
        (LETTER_TOPIC, topic.encode()),
        (LETTER_PARTITION, b"%d" % partition),
        (LETTER_OFFSET, b"%d" % first),
        (LETTER_GROUP, group.encode()),
        (LETTER_MESSAGE, f"lost input [{first}, {next})".encode()),
    ]
    return Letter(None, b"", headers)
