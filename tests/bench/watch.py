"""Summaries as a reader sees them, with the moment at which they were seen.

    with Watch(kafka, partitions=4) as watch:
        …
        watch.seen      # [(seconds of time.monotonic, partition, revision), …], one for each epoch of a partition

An epoch's summaries become readable together and carry one revision: the partition's position, one more than the
offset of the last record that they count. So the first revision above a record's offset counts the record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from schemas.sites import SITES

AT_ONCE = 10_000
WAIT_S = 0.02
REVISION = b'"revision":'


class Seen(NamedTuple):
    """An epoch of one partition, seen."""

    at: float
    """When its first summary was handed over, by ``time.monotonic``."""
    partition: int
    revision: int
    sent_at: float
    """When the worker's producer took that summary, epoch seconds."""


class Watch:
    """Reads committed summaries from now on, in a thread of its own.

    Args:
        kafka: client properties.
        partitions: of the summary topic.
    """

    def __init__(self, kafka: Mapping[str, str], partitions: int) -> None:
        self.seen: list[Seen] = []
        self._consumer = Consumer(
            {
                **kafka,
                "group.id": "tests-bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )
        topic = SITES.topics.summaries
        self._consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in range(partitions)])
        self._last = [-1] * partitions
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="watch")

    def __enter__(self) -> Self:
        self._consumer.consume(1, WAIT_S)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._consumer.close()

    def wait_for(self, partitions: set[int], seconds: float, *, after: float) -> float:
        """Wait until each of ``partitions`` has shown an epoch that was sent after ``after`` (epoch seconds).

        Returns:
            When the first of them was seen, by ``time.monotonic``.

        Raises:
            TimeoutError: one showed none.
        """
        deadline = time.monotonic() + seconds
        while True:
            new = [one for one in self.seen if one.sent_at > after]
            if {one.partition for one in new} >= partitions:
                return min(one.at for one in new)
            if time.monotonic() > deadline:
                raise TimeoutError(f"no new summaries of all of {partitions} within {seconds:g} s")
            time.sleep(WAIT_S)

    def _read(self) -> None:
        while not self._ending.is_set():
            messages = self._consumer.consume(AT_ONCE, WAIT_S)
            now = time.monotonic()
            for message in messages:
                value, partition = message.value(), message.partition()
                if value is None or partition is None:
                    continue
                revision = int(value[value.rindex(REVISION) + len(REVISION) : -1])
                if revision > self._last[partition]:
                    self._last[partition] = revision
                    self.seen.append(Seen(now, partition, revision, message.timestamp()[1] / 1000))
