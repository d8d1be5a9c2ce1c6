"""Summaries as a reader sees them, with the moment at which they were seen.

    with Watch(kafka, partitions=4) as watch:
        …
        watch.seen      # [(seconds of time.monotonic, partition, revision), …], one for each epoch of a partition

An epoch's summaries become readable together and carry one revision: the partition's position, one more than the
offset of the last record that they count. So the first revision above a record's offset counts the record.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import OFFSET_END, Message, TopicPartition

from schemas.sites import SITES
from tests.bench.reading import WAIT_S, Reading

REVISION = b'"revision":'


class Seen(NamedTuple):
    """An epoch of one partition, seen."""

    at: float
    """When its first summary was handed over, by ``time.monotonic``."""
    partition: int
    revision: int
    sent_at: float
    """When the worker's producer took that summary, epoch seconds."""


class Watch(Reading):
    """Reads committed summaries from now on.

    Args:
        kafka: client properties.
        partitions: of the summary topic.
    """

    topic = SITES.topics.summaries

    def __init__(self, kafka: Mapping[str, str], partitions: int) -> None:
        self.seen: list[Seen] = []
        self._last = [-1] * partitions
        super().__init__(kafka, [TopicPartition(self.topic, number, OFFSET_END) for number in range(partitions)])

    def wait_for(self, partitions: set[int], seconds: float, *, after: float) -> float:
        """Wait until each of ``partitions`` has shown an epoch that was sent after ``after`` (epoch seconds).

        Returns:
            When the first of them was seen, by ``time.monotonic``.

        Raises:
            TimeoutError: one showed none.
            Exception: reading broke off.
        """
        deadline = time.monotonic() + seconds
        while True:
            if self.broken is not None:
                raise self.broken
            new = [one for one in self.seen if one.sent_at > after]
            if {one.partition for one in new} >= partitions:
                return min(one.at for one in new)
            if time.monotonic() > deadline:
                raise TimeoutError(f"no new summaries of all of {partitions} within {seconds:g} s")
            time.sleep(WAIT_S)

    def take(self, messages: Sequence[Message]) -> None:
        """Note each epoch that is new."""
        now = time.monotonic()
        for message in messages:
            partition = message.partition()
            if message.error() is not None or message.value() is None or partition is None:
                continue
            revision = self.revision(message)
            if revision > self._last[partition]:
                self._last[partition] = revision
                self.seen.append(Seen(now, partition, revision, message.timestamp()[1] / 1000))

    def revision(self, message: Message) -> int:
        """The position that a summary tells."""
        value = message.value() or b""
        return int(value[value.rindex(REVISION) + len(REVISION) : -1])


class Echo(Watch):
    """Reads the input as if each record were its own summary: a worker cannot be seen sooner."""

    topic = SITES.topics.input

    def revision(self, message: Message) -> int:
        """The position after a record."""
        return (message.offset() or 0) + 1
