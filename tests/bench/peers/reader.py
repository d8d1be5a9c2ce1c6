"""Summaries as a reader gets them: the newest of each site, and how far they are from the right answer.

    with Reader(kafka, topic, partitions=4) as reader:
        until(lambda: reader.is_right(loader.answer), …)
    wrong = read(kafka, topic, 4).wrong(loader.answer)      # all there is, from the beginning to the end

Committed ones only, where there are transactions. Moments are the broker's, which stamps records when it appends them.
"""

# pyright: reportPrivateUsage=false
# (librdkafka's codes only look private)

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from tests.bench.peers.answer import Answer
from tests.bench.reading import Reading


class Reader(Reading):
    """Reads a topic of summaries from its beginning.

    Args:
        kafka: client properties.
        topic: of the summaries.
        partitions: of the topic.
    """

    def __init__(self, kafka: Mapping[str, str], topic: str, partitions: int) -> None:
        self.newest: dict[str, tuple[int, int]] = {}
        """Messages and visitors by site."""
        self.messages = 0
        """Of all sites."""
        self.records = 0
        self.unread = set(range(partitions))
        """Partitions of which the end was never reached."""
        self._arrived: list[tuple[float, float]] = []
        super().__init__(kafka, [TopicPartition(topic, number, 0) for number in range(partitions)])

    def wrong(self, answer: Answer) -> dict[str, tuple[tuple[int, int] | None, tuple[int, int]]]:
        """What the newest summary says of a site and what is right, where they differ."""
        sites = answer.sites.keys() | self.newest.keys()
        return {site: (self.newest.get(site), answer.of(site)) for site in sites if not self._fits(site, answer)}

    def is_right(self, answer: Answer) -> bool:
        """Whether the newest summaries are the answer."""
        return self.messages == answer.messages and all(self._fits(site, answer) for site in answer.sites)

    def first_after(self, moment: float) -> float | None:
        """When the first summary arrived that the broker took in after ``moment``; both as `time.time` has it."""
        return next((arrived for arrived, appended in list(self._arrived) if appended > moment), None)

    def _fits(self, site: str, answer: Answer) -> bool:
        return self.newest.get(site) == answer.of(site)

    def take(self, messages: Sequence[Message]) -> None:
        """Note the newest of each site, and when it came."""
        now, appended = time.time(), 0.0
        for message in self.sound(messages):
            appended = max(appended, message.timestamp()[1] / 1000)
            self.see(message.value())
        if appended:
            self._arrived.append((now, appended))

    def sound(self, messages: Sequence[Message]) -> list[Message]:
        """Those that are records; the ends of partitions are noted.

        Raises:
            KafkaException: reading failed.
        """
        found: list[Message] = []
        for message in messages:
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self.unread.discard(message.partition() or 0)
            else:
                raise KafkaException(error)
        return found

    def see(self, value: bytes | None) -> None:
        """Take in one record."""
        if value is None:
            return
        self.records += 1
        summary: dict[str, Any] = orjson.loads(value)
        if summary.get("diff") != -1:  # by which Pathway takes back what it said before
            self.note(summary["site_id"], (summary["messages"], summary["visitors"]))

    def note(self, site: str, counts: tuple[int, int]) -> None:
        """Note the newest messages and visitors of a site."""
        before = self.newest.get(site)
        self.newest[site] = counts
        self.messages += counts[0] - (before[0] if before else 0)
