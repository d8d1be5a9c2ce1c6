"""Committed records as they come, taken in a thread of its own from the beginning of a block to its end.

class Count(Reading):
    count = 0

    def take(self, messages):
        self.count += len(messages)

with Count(kafka, [TopicPartition("sites.summaries", 0, OFFSET_END)]) as count:
    …
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, Message, TopicPartition

AT_ONCE = 10_000
WAIT_S = 0.02


class Reading:
    """Reads partitions.

    Args:
        kafka: client properties.
        places: where reading begins. It has begun when the block does.
    """

    def __init__(self, kafka: Mapping[str, str], places: Sequence[TopicPartition]) -> None:
        self.broken: Exception | None = None
        """Why nothing is taken any more; whoever waits for something raises it."""
        self._consumer = Consumer(
            {
                **kafka,
                "group.id": "tests-bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )
        self._consumer.assign(list(places))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reading")

    def take(self, messages: Sequence[Message]) -> None:
        """Take what came, ends of partitions included; in the thread."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.take(self._consumer.consume(AT_ONCE, WAIT_S))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                # Of many, `consume` would wait for all or for the end of its time, with the first in its hands.
                self.take(self._consumer.consume(1, WAIT_S))
                self.take(self._consumer.consume(AT_ONCE, 0.0))
        except Exception as error:  # noqa: BLE001 - whoever waits for something raises it
            self.broken = error
