"""The newest committed record of partitions, found from their ends.

    newest = Newest(kafka, logger)
    newest.of({("streamgauge-sites-state-changelog", 0): 4711})     # {(topic, partition): Message}

What stands at the end of a partition is seldom a record: the markers of transactions have offsets of their own, and
so has what was aborted. So a little is read before the end, and more where that holds no record.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

Place = tuple[str, int]
"""A topic and a partition of it."""

REACH = 4
"""How many offsets before the end are read at first: an epoch ends with its last record and a marker."""
FURTHER = 64
"""So many times as many, where they hold no record."""
AT_ONCE = 500
WAIT_S = 0.05
ANSWER_S = 5.0
_END = KafkaError._PARTITION_EOF  # pyright: ignore[reportPrivateUsage] - librdkafka's own codes begin so
_TIMED_OUT = KafkaError._TIMED_OUT  # pyright: ignore[reportPrivateUsage]


class Newest:
    """Reads ends of partitions.

    Args:
        kafka: client properties.
        logger: where librdkafka's own lines go.
    """

    def __init__(self, kafka: Mapping[str, str], logger: logging.Logger) -> None:
        self._consumer = Consumer(
            {
                **kafka,
                "group.id": "streamgauge-newest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",  # what retention or compaction removed holds no record
                "fetch.wait.max.ms": 20,
            },
            logger=logger,
        )

    def of(self, ends: Mapping[Place, int]) -> dict[Place, Message]:
        """The newest record of each partition, for those that hold one.

        Args:
            ends: up to where each is looked at.

        Raises:
            KafkaException: the broker does not answer.
        """
        found: dict[Place, Message] = {}
        reach, left = REACH, {place for place, end in ends.items() if end}
        while left:
            starts = {place: max(0, ends[place] - reach) for place in left}
            found |= self._last(starts, ends)
            left = {place for place in left if place not in found and starts[place]}
            reach *= FURTHER
        return found

    def _last(self, starts: Mapping[Place, int], ends: Mapping[Place, int]) -> dict[Place, Message]:
        """The last record from ``starts`` on, and before ``ends``."""
        found: dict[Place, Message] = {}
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        unread, deadline = set(starts), monotonic() + ANSWER_S
        while unread:
            if monotonic() > deadline:
                raise KafkaException(KafkaError(_TIMED_OUT, f"{unread} cannot be read to the end"))
            for message in self._consumer.consume(AT_ONCE, WAIT_S):
                error, place = message.error(), (message.topic() or "", message.partition() or 0)
                if error is None:
                    offset = message.offset() or 0
                    if offset < ends[place]:
                        found[place] = message
                    if offset + 1 >= ends[place]:
                        unread.discard(place)  # others may go on writing, so that no end is ever seen
                elif error.code() == _END:
                    unread.discard(place)
                else:
                    raise KafkaException(error)
        self._consumer.unassign()
        return found
