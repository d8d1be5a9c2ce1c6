"""Reading topics as everybody downstream must: committed records only, up to an end that is known, or on and on.

    spans = committed_spans(admin, {"sites.summaries": 8})
    with CommittedReader(kafka, logger) as reader:
        for messages in reader.read({place: span.start for place, span in spans.items()}, spans):
            …

The committed end of a partition is its last stable offset: an open transaction, and whatever came after its first
record, lies beyond it. Aborted records and the markers between transactions have offsets and are never seen, so an
end is reached by position, never by counting records.
"""

# confluent_kafka types its admin results as Future[Unknown].
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.outage import ride_out

BATCH = 10_000
"""Records taken from librdkafka at once: a call costs as much as some hundred records."""
WAIT_S = 0.05
"""How long a batch may wait for its first records, so how late a record or a Ctrl-C is noticed."""
GROUP = "streamgauge-reader"
LOOK_S = 5.0
ANSWER_S = 15.0
"""For how long offsets are asked for, again where an answer passes by itself."""

Place = tuple[str, int]
"""A topic and a partition of it."""


class Span(NamedTuple):
    """Offsets ``[start, end)`` of a partition."""

    start: int
    end: int


Spans = Mapping[Place, Span]


def committed_spans(admin: AdminClient, topics: Mapping[str, int]) -> dict[Place, Span]:
    """Where the committed records of ``topics`` (partition counts by name) begin and end now.

    Raises:
        KafkaException: a partition did not say within some 15 s; one whose leader is moving, or that was made this
            moment, is asked again, and so is a broker that is away (`schemas.outage`).
    """
    places = [TopicPartition(topic, partition) for topic, count in topics.items() for partition in range(count)]
    if not places:
        return {}
    tries = itertools.count()

    def ask() -> dict[Place, Span]:
        if next(tries):
            with suppress(KafkaException):
                admin.list_topics(timeout=LOOK_S)  # else the client believes the leaders that it knew
        first = admin.list_offsets(
            dict.fromkeys(places, cast("OffsetSpec", OffsetSpec.earliest())), request_timeout=ANSWER_S
        )
        last = admin.list_offsets(
            dict.fromkeys(places, cast("OffsetSpec", OffsetSpec.latest())),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=ANSWER_S,
        )
        return {
            (place.topic, place.partition): Span(first[place].result().offset, last[place].result().offset)
            for place in places
        }

    return ride_out(ask, KafkaException, time, ANSWER_S)


class CommittedReader:
    """A consumer of committed records that belongs to no group's rebalancing.

    Args:
        kafka: client properties.
        logger: where librdkafka's own lines go.
        group: the group under which positions are stored, by who stores any.
        hurry: whether an end is to be reached soon; a reader that follows asks an idle broker less often.
        troubled: told of errors that pass by themselves, such as a broker that is away.
    """

    def __init__(
        self,
        kafka: Mapping[str, str],
        logger: logging.Logger,
        *,
        group: str = GROUP,
        hurry: bool = True,
        troubled: Callable[[KafkaError], None] = lambda _error: None,
    ) -> None:
        properties: dict[str, Any] = {
            "group.id": group,
            "reconnect.backoff.max.ms": 1_000,  # 10 s by default: as long again after a short outage
            **kafka,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            # What retention or compaction removed since the start was chosen is gone for everybody: go on behind it.
            "auto.offset.reset": "earliest",
            # The end of a partition is told by an empty answer, which the broker holds back as long as this.
            "fetch.wait.max.ms": 20 if hurry else 500,
            "error_cb": troubled,
        }
        self.consumer = Consumer(properties, logger=logger)
        self.at_end: set[Place] = set()
        """Partitions that were read to their very end, and of which nothing came since."""

    def read(self, starts: Mapping[Place, int], ends: Spans) -> Iterator[list[Message]]:
        """The records from ``starts`` up to the end of each partition's span, in batches, in order by partition."""
        left = {place for place, start in starts.items() if start < ends[place].end}
        if not left:
            return
        for messages in self._batches({place: starts[place] for place in left}, left):
            positions = self.consumer.position([TopicPartition(*place) for place in left])
            passed = [place for place in positions if place.offset >= ends[place.topic, place.partition].end]
            left.difference_update((place.topic, place.partition) for place in passed)
            if passed:
                self.consumer.incremental_unassign(passed)
                yield [m for m in messages if cast("int", m.offset()) < ends[place_of(m)].end]
            else:
                yield messages
            if not left:
                return

    def follow(self, starts: Mapping[Place, int]) -> Iterator[list[Message]]:
        """The records from ``starts`` on, for ever; an empty batch whenever nothing came for a moment."""
        yield from self._batches(starts, set())

    def close(self) -> None:
        """Let go of the connections."""
        self.consumer.close()

    def __enter__(self) -> CommittedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _batches(self, starts: Mapping[Place, int], left: set[Place]) -> Iterator[list[Message]]:
        """Batches without errors; a partition that is read to its very end is taken out of ``left``."""
        self.consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self.at_end.clear()
        while True:
            messages = self.consumer.consume(BATCH, WAIT_S)
            if self.at_end and messages:
                self.at_end.difference_update(map(place_of, messages))
            good = [message for message in messages if message.error() is None]
            if len(good) < len(messages):
                for message in messages:
                    error = message.error()
                    if error is None:
                        continue
                    if error.code() == KafkaError._PARTITION_EOF:
                        left.discard(place_of(message))
                        self.at_end.add(place_of(message))
                    elif error.code() in _FINAL or error.fatal():
                        raise KafkaException(error)
            yield good


def place_of(message: Message) -> Place:
    """The topic and partition of ``message``."""
    return cast("Place", (message.topic(), message.partition()))


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """The headers of ``message``, in their order."""
    return cast("list[tuple[str, bytes | None]]", message.headers() or [])


_FINAL = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)
"""Errors of reading that do not pass by themselves."""
