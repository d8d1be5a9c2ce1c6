"""Dead letters as people see them, and which of them were sent back already.

    with Letters(kafka, admin, SITES) as letters:
        for letter in letters.all():
            letter.id, letter.reason, letter.value

A letter's id is ``PARTITION-OFFSET`` of its place in ``dlq.<stream>``: stable, and all that is needed to find it.
A letter that was sent back stays there until its 30 days are over; what tells is its mark in
``dlq.<stream>.replayed``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, cast

import orjson
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from ops.kafka import client_logger
from schemas.errors import StreamgaugeError, UsageError
from schemas.schema import Schema
from schemas.wire import (
    LETTER_FILE,
    LETTER_LENGTH,
    LETTER_LINE,
    LETTER_MESSAGE,
    LETTER_OFFSET,
    LETTER_PARTITION,
    LETTER_TOPIC,
)
from sinks.committed import CommittedReader, Place, Span, committed_spans, headers_of


@dataclass(frozen=True)
class Letter:
    """One dead letter.

    Args:
        partition: of ``dlq.<stream>``.
        offset: in that partition.
        time_ms: when it was written, epoch milliseconds.
        key: the original's; None when it had none.
        value: the original bytes, or the first 64 kB of them.
        headers: by name.
    """

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]

    @property
    def id(self) -> str:
        """What `dlq show` and `dlq replay` call it."""
        return f"{self.partition}-{self.offset}"

    @property
    def reason(self) -> str:
        """Why it is here."""
        return self._text(LETTER_MESSAGE) or "no reason given"

    @property
    def counted(self) -> bool:
        """Whether a worker refused it (it was in the input topic); otherwise a producer did."""
        return LETTER_TOPIC in self.headers

    @property
    def bytes(self) -> int:
        """The original's length, also where less of it is kept."""
        length = self._number(LETTER_LENGTH)
        return len(self.value) if length is None else length

    @property
    def time(self) -> str:
        """When it was written: ISO 8601, UTC."""
        moment = datetime.fromtimestamp(self.time_ms / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def origin(self) -> str:
        """Where the record is from, in a word: ``FILE:LINE`` or ``topic-partition@offset``."""
        if LETTER_FILE in self.headers:
            return f"{self._text(LETTER_FILE)}:{self._text(LETTER_LINE) or '?'}"
        if self.counted:
            return (
                f"{self._text(LETTER_TOPIC)}-{self._text(LETTER_PARTITION) or '?'}@{self._text(LETTER_OFFSET) or '?'}"
            )
        return ""

    def plain(self) -> dict[str, Any]:
        """The object of ``dlq list --json``."""
        return {
            "id": self.id,
            "reason": self.reason,
            "file": self._text(LETTER_FILE),
            "line": self._number(LETTER_LINE),
            "topic": self._text(LETTER_TOPIC),
            "partition": self._number(LETTER_PARTITION),
            "offset": self._number(LETTER_OFFSET),
            "time": self.time,
            "bytes": self.bytes,
            "value": b64encode(self.value).decode(),
        }

    def _text(self, header: str) -> str | None:
        value = self.headers.get(header)
        return None if value is None else value.decode("utf-8", "backslashreplace")

    def _number(self, header: str) -> int | None:
        text = self._text(header)
        return int(text) if text and re.fullmatch(r"-?\d+", text) else None


def letter_of(message: Message) -> Letter:
    """The letter that ``message`` is."""
    return Letter(
        cast("int", message.partition()),
        cast("int", message.offset()),
        message.timestamp()[1],
        message.key(),
        message.value() or b"",
        {name: value or b"" for name, value in headers_of(message)},
    )


def place_of_id(text: str) -> tuple[int, int]:
    """Partition and offset of a letter's id.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(\d{1,6})-(\d{1,18})", text)
    if match is None:
        raise UsageError(f"{text!r} is no dead letter's id (PARTITION-OFFSET, as dlq list shows it)")
    return int(match[1]), int(match[2])


class Letters:
    """The dead letters of one stream, as they are committed now.

    Args:
        kafka: client properties.
        admin: a client of the same cluster.
        schema: of the stream.
    """

    def __init__(self, kafka: Mapping[str, str], admin: AdminClient, schema: Schema[Any]) -> None:
        self.topics = schema.topics
        have = admin.list_topics(timeout=10).topics
        counts = {
            topic: len(have[topic].partitions)
            for topic in (self.topics.dead_letters, self.topics.replayed)
            if topic in have
        }
        self._spans = committed_spans(admin, counts)
        self._reader = CommittedReader(kafka, client_logger())
        self._marks = {
            cast("bytes", message.key()).decode(): orjson.loads(message.value() or b"{}").get("time")
            for message in self._messages(self.topics.replayed)
        }

    def sent_back(self, letter: Letter) -> bool:
        """Whether ``letter`` was sent back already.

        The time tells a letter from one that had the same place in a topic that was deleted since.
        """
        return self._marks.get(letter.id) == letter.time_ms

    def all(self) -> Iterator[Letter]:
        """All letters, sent back or not, by partition and offset within it."""
        return map(letter_of, self._messages(self.topics.dead_letters))

    def one(self, letter_id: str) -> Letter:
        """The letter with this id.

        Raises:
            UsageError: that is no id.
            StreamgaugeError: there is no such letter.
        """
        partition, offset = place_of_id(letter_id)
        place: Place = (self.topics.dead_letters, partition)
        span = self._spans.get(place)
        if span is not None and span.start <= offset < span.end:
            wanted = {place: Span(offset, offset + 1)}
            for messages in self._reader.read({place: offset}, wanted):
                for message in messages:
                    return letter_of(message)
        raise StreamgaugeError(
            f"no dead letter {letter_id} in {self.topics.dead_letters} (they are kept for 30 days); "
            f"see: streamgauge dlq list {self.topics.input}"
        )

    def _messages(self, topic: str) -> Iterator[Message]:
        spans = {place: span for place, span in self._spans.items() if place[0] == topic}
        for messages in self._reader.read({place: span.start for place, span in spans.items()}, spans):
            yield from messages

    def close(self) -> None:
        """Let go of the connections."""
        self._reader.close()

    def __enter__(self) -> Letters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
