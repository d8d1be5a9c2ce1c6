"""What `tail` reads and in which order: where it starts, what is there already, what comes after.

    start at      what is there already            what comes after
    beginning     all of it                        ─▶ follow
    -N            the last N of each partition     ─▶ follow
    stored        what came since the last time    ─▶ follow
    end           nothing                          ─▶ follow

"There already" ends at the committed end as it was when `tail` began: with ``-e`` nothing comes after.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Literal, cast

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from ops import console
from sinks.committed import CommittedReader, Place, Spans, place_of
from sinks.summaries import newest_messages

Start = Literal["beginning", "end", "stored"] | int
"""Where to start; a number is "the last so many of each partition"."""

STORE_EVERY_S = 1.0
TELL_EVERY_S = 10.0


def already(
    reader: CommittedReader, spans: Spans, start: Start, *, wanted: Callable[[bytes], bool] | None, latest: bool
) -> Iterator[list[Message]]:
    """What is there already, in batches.

    Args:
        reader: to read with.
        spans: the committed offsets of each partition now.
        start: where to start.
        wanted: which keys count for "the last N"; None: all.
        latest: whether only the newest record of each key is wanted.
    """
    if isinstance(start, int):
        batches: Iterable[list[Message]] = _last(reader, spans, start, wanted)
    else:
        batches = reader.read(starts(reader, spans, start), spans)
    if latest:
        yield newest_messages(batches)
    else:
        yield from batches


def starts(reader: CommittedReader, spans: Spans, start: Literal["beginning", "end", "stored"]) -> dict[Place, int]:
    """The offset at which reading starts in each partition."""
    if start == "stored":
        stored = reader.consumer.committed([TopicPartition(*place) for place in spans], timeout=10)
        offsets = {(place.topic, place.partition): place.offset for place in stored}
        # Nothing stored yet (a negative offset): nothing was seen yet.
        return {place: offsets[place] if offsets[place] >= 0 else span.start for place, span in spans.items()}
    return {place: span.start if start == "beginning" else span.end for place, span in spans.items()}


def _last(
    reader: CommittedReader, spans: Spans, count: int, wanted: Callable[[bytes], bool] | None
) -> Iterator[list[Message]]:
    """The last ``count`` records of each partition.

    Markers between transactions, aborted and compacted records have offsets, too, so the window in which ``count``
    records lie is found by doubling it.
    """
    found: dict[Place, deque[Message]] = {}
    window = 2 * count + 16
    todo = {place for place, span in spans.items() if span.start < span.end} if count else set[Place]()
    while todo:
        begin = {place: max(spans[place].start, spans[place].end - window) for place in todo}
        for place in todo:
            found[place] = deque(maxlen=count)
        for messages in reader.read(begin, spans):
            for message in messages:
                if wanted is None or wanted(message.key() or b""):
                    found[place_of(message)].append(message)
        todo = {place for place in todo if len(found[place]) < count and begin[place] > spans[place].start}
        window *= 8
    for place in sorted(found):
        yield list(found[place])


class Positions:
    """How far ``-o stored`` is, kept in a consumer group: what was shown is not shown again.

    Args:
        reader: whose group it is.
        clock: seconds.
    """

    def __init__(self, reader: CommittedReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._next: dict[Place, int] = {}
        self._stored_at = clock()

    def shown(self, messages: list[Message]) -> None:
        """``messages`` were shown, and everything before them."""
        for message in messages:
            self._next[place_of(message)] = cast("int", message.offset()) + 1

    def store(self, *, now: bool = False) -> None:
        """Store, once a second or ``now``.

        Raises:
            KafkaException: it could not be stored although that was wanted now.
        """
        if not self._next or not (now or self._clock() - self._stored_at >= STORE_EVERY_S):
            return
        offsets = [TopicPartition(*place, offset) for place, offset in self._next.items()]
        if now:
            self._reader.consumer.commit(offsets=offsets, asynchronous=False)
        else:
            with suppress(KafkaException):  # a broker that is away: the next second tries again
                self._reader.consumer.commit(offsets=offsets, asynchronous=True)
        self._next.clear()
        self._stored_at = self._clock()


class Outage:
    """Tells, once every 10 s, that no broker answers, and once that one answers again.

    Args:
        brokers: their names, for the line.
        clock: seconds.
    """

    def __init__(self, brokers: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._brokers = brokers
        self._clock = clock
        self._told_at: float | None = None

    def troubled(self, error: KafkaError) -> None:
        """Take an error of the client."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # pyright: ignore[reportPrivateUsage]
            return
        now = self._clock()
        if self._told_at is None or now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            console.say(f"no Kafka broker answers at {self._brokers}; waiting")

    def over(self) -> None:
        """Something was read again."""
        if self._told_at is not None:
            self._told_at = None
            console.say(f"a Kafka broker answers again at {self._brokers}")
