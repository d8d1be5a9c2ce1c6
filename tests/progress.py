"""How far a stream's workers have counted, as any lag tool would ask it.

progress = Progress(kafka, SITES.topics)
progress.wait(seconds=60)     # until everything that is in the input topic now is counted
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.wire import Topics

LOOK_EVERY_S = 0.1
ANSWER_S = 10.0


class Behind(Exception):
    """Not everything is counted; the text says how much is not."""


class Progress:
    """The input's ends and the group's offsets.

    Args:
        kafka: client properties.
        topics: of the stream.
    """

    def __init__(self, kafka: Mapping[str, str], topics: Topics) -> None:
        self._kafka: dict[str, Any] = dict(kafka)
        self._topics = topics
        self._admin = AdminClient(dict(self._kafka))

    def ends(self) -> dict[int, int]:
        """The end of each input partition.

        Raises:
            KafkaException: the broker cannot be asked.
        """
        consumer = Consumer({**self._kafka, "group.id": "tests-progress"})
        try:
            topic = self._topics.input
            partitions = sorted(consumer.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions)
            return {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=ANSWER_S)[1] for p in partitions
            }
        finally:
            consumer.close()

    def committed(self, partitions: Mapping[int, object]) -> dict[int, int]:
        """The group's offset in each of ``partitions``; 0 where there is none, or while nobody can be asked."""
        topic, group = self._topics.input, self._topics.app
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in partitions])
        try:
            found = self._admin.list_consumer_group_offsets([asked], request_timeout=ANSWER_S)[group].result()
        except KafkaException:  # the coordinator is not there yet, or away
            return dict.fromkeys(partitions, 0)
        return {tp.partition: max(tp.offset, 0) for tp in found.topic_partitions or []}

    def wait(self, seconds: float) -> None:
        """Wait until what is in the input now is counted.

        Raises:
            Behind: it is not, after ``seconds``.
        """
        ends = self.ends()
        deadline = time.monotonic() + seconds
        while (committed := self.committed(ends)) != ends:
            if time.monotonic() > deadline:
                behind = {p: end - committed[p] for p, end in ends.items() if end != committed[p]}
                raise Behind(f"not counted after {seconds:g} s, records behind by partition: {behind}")
            time.sleep(LOOK_EVERY_S)
