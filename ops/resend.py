"""Sending dead letters back, each once, ever.

One transaction holds the record for the input topic (or the new letter, when it is rejected again) and the mark
that says so. Its transactional id is the stream's, so that

    A: init ─ reads marks ─ sends 0-7 ──────────────────────────────── commit ✗ (fenced)
    B:                           init (A's open transaction is aborted) ─ reads marks ─ sends 0-7 ─ commit ✓

of two replays at once, the later one goes on and the former one ends without having sent anything twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from ops.kafka import client_logger
from ops.letters import Letter
from producers.formats import FORMATS, format_of
from producers.letters import Headers, letter_headers, parse_letter
from producers.records import Rejected
from schemas.errors import StreamgaugeError
from schemas.schema import Schema
from schemas.wire import (
    LETTER_FILE,
    LETTER_FORM,
    LETTER_GROUP,
    LETTER_LINE,
    LETTER_OFFSET,
    LETTER_OP,
    LETTER_PARTITION,
    LETTER_TOPIC,
    ORIGIN,
    partition_of,
)
from sinks.committed import Place, committed_spans, place_of

BATCH_LETTERS = 500
BATCH_BYTES = 4 << 20
TIMEOUT_S = 30.0
SETTLE_S = 10.0
LOST = "lost input "
"""How the reason of a letter begins that stands for a gap: there are no bytes to send back."""


class Resender:
    """Sends letters of one stream back through the parser that rejected them.

    Args:
        kafka: client properties.
        schema: of the stream.
        lines: what its input files hold: a letter of a producer is in that form, unless it says another; one of a
            worker is in the topic's.
        partitions: of the input topic.

    Raises:
        KafkaException: the transactions of a former replay could not be ended.
    """

    def __init__(self, kafka: Mapping[str, str], schema: Schema[Any], lines: str, partitions: int) -> None:
        self.accepted = 0
        self.rejected = 0
        self._topics = schema.topics
        self._schema = schema
        self._lines = lines
        self._from_topic = FORMATS["jsonl"](schema)
        self._partitions = partitions
        self._failures: list[KafkaError] = []
        self._ends: dict[Place, int] = {}
        properties: dict[str, Any] = {
            "compression.type": "lz4",
            **kafka,
            "transactional.id": f"{schema.topics.app}-dlq-replay",
            "message.max.bytes": 8 << 20,
        }
        self._producer = Producer(properties, logger=client_logger())
        self._producer.init_transactions(TIMEOUT_S)

    def send(self, letters: Iterable[Letter]) -> None:
        """Send ``letters`` back, some hundred a transaction.

        Raises:
            StreamgaugeError: another replay took over, or the broker refused; what was committed is marked.
        """
        batch: list[Letter] = []
        size = 0
        for letter in letters:
            batch.append(letter)
            size += len(letter.value)
            if len(batch) >= BATCH_LETTERS or size >= BATCH_BYTES:
                self._transaction(batch)
                batch, size = [], 0
        if batch:
            self._transaction(batch)

    def settle(self, admin: AdminClient) -> None:
        """Wait until everything that was sent can be read, 10 s at most.

        A commit is acknowledged before its markers are in the topics: `dlq list`, asked at once, would show letters
        that are on their way.
        """
        counts: dict[str, int] = {}
        for topic, partition in self._ends:
            counts[topic] = max(counts.get(topic, 0), partition + 1)
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            spans = committed_spans(admin, counts)
            if all(spans[place].end >= end for place, end in self._ends.items()):
                return
            time.sleep(0.02)

    def _transaction(self, letters: list[Letter]) -> None:
        accepted = 0
        try:
            self._producer.begin_transaction()
            for letter in letters:
                accepted += self._produce(letter)
            self._producer.flush(TIMEOUT_S)
            if self._failures:
                raise KafkaException(self._failures[0])
            self._commit()
        except BaseException as error:
            with suppress(KafkaException):
                self._producer.abort_transaction(TIMEOUT_S)
            if isinstance(error, KafkaException):
                raise self._explained(error) from error
            raise
        self.accepted += accepted
        self.rejected += len(letters) - accepted

    def _produce(self, letter: Letter) -> int:
        """Send one letter and its mark; 1 when it is a good record now, 0 when it is a letter again."""
        op = letter.headers.get(LETTER_OP)
        from_file = format_of(self._schema.with_op(op.decode() if op else None), self._lines)
        read = self._from_topic if letter.counted or letter.headers.get(LETTER_FORM) == b"jsonl" else from_file
        parsed = parse_letter(read, letter.value, letter.headers)
        for key, value in zip(parsed.keys, parsed.values, strict=True):
            file, line = letter.headers.get(LETTER_FILE), letter.headers.get(LETTER_LINE, b"")
            headers: Headers = [] if file is None else [(ORIGIN, file + b":" + line)]
            self._send(self._topics.input, key, value, headers, partition_of(key, self._partitions))
        for rejected in parsed.rejected:
            self._send(self._topics.dead_letters, letter.key, rejected.value, _headers_again(letter, rejected), 0)
        self._send(self._topics.replayed, letter.id.encode(), orjson.dumps({"time": letter.time_ms}), [], 0)
        return len(parsed.keys)

    def _send(self, topic: str, key: bytes | None, value: bytes, headers: Headers, partition: int) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._delivered, headers=headers)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)
            return
        # The marker of the transaction comes behind the record.
        self._ends[place_of(message)] = cast("int", message.offset()) + 2

    def _commit(self) -> None:
        """Commit; a time-out is no answer, so ask again (the call goes on where it was)."""
        for _ in range(3):
            try:
                self._producer.commit_transaction(TIMEOUT_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
        raise StreamgaugeError(
            "no answer to a commit from the broker; run the same command again: it knows what was sent"
        )

    def _explained(self, error: KafkaException) -> StreamgaugeError:
        kafka_error: KafkaError = error.args[0]
        if kafka_error.code() in {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH}:  # pyright: ignore[reportPrivateUsage]
            return StreamgaugeError(
                f"another dlq replay of {self._topics.input} began meanwhile and goes on with the rest; "
                f"this one sent {self.accepted} back"
            )
        return StreamgaugeError(
            f"Kafka: {kafka_error.str()}; {self.accepted} were sent back: run the same command again for the rest"
        )


def _headers_again(letter: Letter, rejected: Rejected) -> Headers:
    """The headers of a new letter: today's reason, and where the record was from all along."""
    kept = (LETTER_TOPIC, LETTER_PARTITION, LETTER_OFFSET, LETTER_GROUP)
    op, form = (letter.headers.get(name, b"").decode() for name in (LETTER_OP, LETTER_FORM))
    again = letter_headers(letter.headers.get(LETTER_FILE, b""), rejected, op, form)
    if LETTER_FILE not in letter.headers:
        again = [header for header in again if header[0] not in {LETTER_FILE, LETTER_LINE}]
    return [*again, *((name, letter.headers[name]) for name in kept if name in letter.headers)]
