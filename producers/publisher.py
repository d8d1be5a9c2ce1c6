"""The one way of records into Kafka, which all producers share: idempotent, acknowledged, counted.

    publisher = Publisher(kafka, SITES.topics, logger)
    ticket = publisher.send("events.jsonl", parsed)      # records to the topic, rejected ones to the dead letters
    publisher.flush()
    ticket.left                                          # 0: the broker has all of it

What holds:

* *Accepted* means acknowledged by all in-sync replicas (``acks=all``), once (idempotence), in order per partition.
* A broker that is away is waited for, however long: nothing times out, memory stays bounded, `tick` goes on.
* The partition is murmur2's of the key, as Java's producers and this program's workers have it (librdkafka's own
  default is CRC32, with which every record would end as a dead letter ``wrong partition``).
* `produce_batch` of confluent-kafka 2.16 is no faster than `produce` and takes no headers, so it is not used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from producers.letters import letter_headers
from producers.records import Parsed, Rejected
from schemas.errors import StreamgaugeError
from schemas.wire import ORIGIN, Topics

TICK_S = 0.1
"""How long a wait for the broker lasts before `tick` is called again."""
ABANDON_S = 5.0
"""How long after a stop was asked for the broker may go without an acknowledgement before the rest is given up."""
LETTERS_SHOWN = 20

DEFAULTS: dict[str, Any] = {
    # Measured (DESIGN.md): the CPU of lz4, in producer and broker, for 56 bytes a `sites` record instead of 92.
    "compression.type": "zstd",
    "compression.level": 1,
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "batch.num.messages": 100_000,
    # What may be under way: a second of full speed, and a bound on memory while the broker is away.
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 96 << 10,
    "reconnect.backoff.max.ms": 1_000,
    "client.id": "streamgauge",
}
"""What ``-X`` may change."""
FIXED: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "message.timeout.ms": 0,
    # librdkafka counts keys and headers, too. What is sent stays below the broker's limit by `producers.jsonl`.
    "message.max.bytes": 4 << 20,
}
"""What the guarantees rest on."""

Spans = dict[int, list[list[int]]]
"""Offsets by partition: ``[first, next)`` for each unbroken stretch, ascending."""


class Letter(NamedTuple):
    """A dead letter that the broker has: where it lies, and what it says."""

    partition: int
    offset: int
    reason: str
    file: str | None
    line: int | None
    origin: tuple[str, int, int] | None = None
    """``(topic, partition, offset)`` of the record, where a worker rejected it."""


class Ticket:
    """What was sent together, and how much of it the broker has not acknowledged yet."""

    __slots__ = ("_publisher", "_spans", "letters_left", "nbytes", "records", "records_left", "rejected")

    def __init__(self, publisher: Publisher) -> None:
        self.records = 0
        """Records that were sent."""
        self.nbytes = 0
        """Bytes of their values."""
        self.rejected = 0
        """Dead letters that were sent."""
        self.records_left = 0
        self.letters_left = 0
        self._publisher = publisher
        self._spans = publisher.spans

    @property
    def left(self) -> int:
        """Records and dead letters that are not acknowledged."""
        return self.records_left + self.letters_left

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        """Take the report on one record (called for each: nothing here but what must be)."""
        if error is not None:
            self._publisher.failed(error, message)
            return
        self.records_left -= 1
        partition, offset = message.partition(), message.offset()
        spans = self._spans.get(partition)
        if spans is None:
            self._spans[partition] = [[offset, offset + 1]]
        elif spans[-1][1] == offset:
            spans[-1][1] = offset + 1
        else:
            spans.append([offset, offset + 1])

    def letter_delivered(self, file: str, rejected: Rejected, error: KafkaError | None, message: Any) -> None:
        """Take the report on one dead letter."""
        if error is not None:
            self._publisher.failed(error, message)
            return
        self.letters_left -= 1
        letters = self._publisher.letters
        if len(letters) < LETTERS_SHOWN:
            letters.append(Letter(message.partition(), message.offset(), rejected.reason, file, rejected.line))


class Publisher:
    """Sends what producers parsed.

    Args:
        kafka: client properties; those of `FIXED` are not taken from it.
        topics: of the stream.
        logger: where librdkafka's own lines go.
        tick: called often while the broker is waited for, and after every batch.
        stop: asked while the broker is waited for; true gives up after `ABANDON_S` without an acknowledgement.

    Raises:
        KafkaException: a property is unknown, or does not fit.
    """

    def __init__(
        self,
        kafka: Mapping[str, str],
        topics: Topics,
        logger: logging.Logger,
        *,
        tick: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.spans: Spans = {}
        """The offsets of all acknowledged records."""
        self.letters: list[Letter] = []
        """The first `LETTERS_SHOWN` dead letters."""
        self._topics = topics
        self._tick = tick
        self._stop = stop
        self._failure: str | None = None
        self._moved = monotonic()
        properties = {**DEFAULTS, **kafka, **FIXED}
        self.queue_records = int(properties["queue.buffering.max.messages"])
        """How many records and dead letters may be under way before `send` waits."""
        self.queue_bytes = int(properties["queue.buffering.max.kbytes"]) << 10
        """And how many bytes."""
        self._producer = Producer({**properties, "error_cb": self._troubled}, logger=logger)

    @property
    def under_way(self) -> int:
        """How many records and dead letters the broker has not acknowledged yet."""
        return len(self._producer)

    @property
    def stalled_s(self) -> float:
        """Seconds for which something has been under way and nothing was acknowledged."""
        return monotonic() - self._moved if len(self._producer) else 0.0

    def send(self, file: str, parsed: Parsed) -> Ticket:
        """Send records of the source called ``file``, and dead letters of those that it rejects.

        Waits while too much is under way. When a stop is asked for meanwhile, the rest is left out: the ticket
        says how many records were sent, and no dead letter of a line after them was.

        Raises:
            StreamgaugeError: the broker refused a record; waiting would not help.
        """
        if not len(self._producer):
            self._moved = monotonic()
        ticket = Ticket(self)
        count = self._send_records(ticket, os.fsencode(file), parsed)
        ticket.records = count
        ticket.nbytes = sum(map(len, parsed.values[:count]))
        ticket.records_left += count
        border = parsed.lines[count] if count < len(parsed.values) else None
        for rejected in parsed.rejected:
            if border is None or rejected.line < border:
                self._send_letter(ticket, file, rejected, parsed)
        self._serve(0)
        self._tick()
        return ticket

    def flush(self) -> None:
        """Wait until everything is acknowledged, or a stop was asked for and the broker is away.

        Raises:
            StreamgaugeError: the broker refused a record.
        """
        while len(self._producer) and self._wait():
            pass

    def rest(self, seconds: float) -> None:
        """Wait so long at most, taking delivery reports."""
        self._serve(seconds)
        self._tick()

    def abandon(self) -> None:
        """Give up what is under way; tickets keep it as `Ticket.left`."""
        self._failure = None
        if len(self._producer):
            self._producer.purge()
            self._producer.poll(0)

    def failed(self, error: KafkaError, message: Any) -> None:
        """A record or a letter will not be delivered, ever."""
        if error.code() not in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):  # pyright: ignore[reportPrivateUsage]
            self._failure = self._failure or _refused(message.topic(), error)

    def _send_records(self, ticket: Ticket, name: bytes, parsed: Parsed) -> int:
        """Hand the records over; how many (all, but for a stop)."""
        topic, produce, delivered = self._topics.input, self._producer.produce, ticket.delivered
        origin = name.replace(b"%", b"%%") + b":%d"
        count = 0
        try:
            for key, value, line in zip(parsed.keys, parsed.values, parsed.lines, strict=True):
                while True:
                    try:
                        # By position: keywords cost 0.4 µs, a tenth of all that a record costs here.
                        produce(topic, value, key, -1, delivered, None, 0, [(ORIGIN, origin % line)])
                    except BufferError:
                        if self._wait():
                            continue
                        return count
                    break
                count += 1
        except KafkaException as error:
            raise StreamgaugeError(_refused(topic, error.args[0])) from error
        return count

    def _send_letter(self, ticket: Ticket, file: str, rejected: Rejected, parsed: Parsed) -> None:
        """Hand a dead letter over; after a stop it stays with the ticket as not acknowledged."""
        delivered = partial(ticket.letter_delivered, file, rejected)
        headers = letter_headers(os.fsencode(file), rejected, parsed.op, parsed.form)
        ticket.rejected += 1
        ticket.letters_left += 1
        while True:
            try:
                self._producer.produce(
                    self._topics.dead_letters, rejected.value, on_delivery=delivered, headers=headers
                )
            except BufferError:
                if self._wait():
                    continue
            except KafkaException as error:
                raise StreamgaugeError(_refused(self._topics.dead_letters, error.args[0])) from error
            return

    def _wait(self) -> bool:
        """Let the broker get on; False when a stop was asked for and it does not."""
        self._serve(TICK_S)
        self._tick()
        return not (self._stop() and self.stalled_s > ABANDON_S)

    def _serve(self, seconds: float) -> None:
        """Take delivery reports, for so long at most."""
        before = len(self._producer)
        self._producer.poll(seconds)
        if len(self._producer) < before:
            self._moved = monotonic()
        if self._failure:
            raise StreamgaugeError(self._failure)

    def _troubled(self, error: KafkaError) -> None:
        """Hear of trouble with brokers: all of it passes by itself, except what librdkafka calls fatal."""
        if error.fatal():
            self._failure = self._failure or (
                f"Kafka can no longer tell what it has of what was sent ({error.str()}); "
                "what was acknowledged is kept, go on after it"
            )


def _refused(topic: str, error: KafkaError) -> str:
    return f"Kafka refused a record for the topic {topic}: {error.str()} ({error.name().lstrip('_')})"
