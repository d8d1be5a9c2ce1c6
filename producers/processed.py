"""Wait until a worker has counted what was sent, and what it made of it can be read (`replay --wait`).

    processed = Processed(kafka, SITES.topics, logger)     # before the first record is sent: it notes where letters end
    …
    processed.wait(publisher.spans, deadline_s, tick)      # or NotProcessed
    processed.rejected(publisher.spans)                    # what workers dead-lettered of it

Several steps, since each says less than it seems to. The group's committed offsets pass what was sent: they are cheap
to ask for, but outlive the state that they were written for, so the stamps must have passed it, too; the newest record
of a changelog's partition is its stamp, whose ``offset`` is the next one to count. Both are written in or after the
epoch's transaction, whose markers may still be on their way to the topics; so the ends of the summaries and the dead
letters are taken, and waited for in the view of those who read committed records only. Where a merging stage publishes
the summaries, it must come to the end of the partials before that, in the same sense.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

from producers.newest import Newest
from producers.publisher import LETTERS_SHOWN, Letter, Spans
from schemas.errors import StreamgaugeError
from schemas.outage import passes, ride_out
from schemas.wire import (
    LETTER_FILE,
    LETTER_LINE,
    LETTER_MESSAGE,
    LETTER_OFFSET,
    LETTER_PARTITION,
    LETTER_TOPIC,
    Topics,
    merge_topics,
)

ASK_S = 0.1
"""How often the group's progress is asked for."""
ANSWER_S = 10.0
"""How long one answer of the broker may take."""

_ALL = IsolationLevel.READ_UNCOMMITTED
_COMMITTED = IsolationLevel.READ_COMMITTED

Ends = dict[tuple[str, int], int]
"""Offsets by topic and partition."""


class Processed:
    """Watches a stream's worker from outside.

    Args:
        kafka: client properties.
        topics: of the stream.
        logger: where librdkafka's own lines go.

    Raises:
        KafkaException: the broker does not answer, or refuses.
    """

    def __init__(self, kafka: Mapping[str, str], topics: Topics, logger: logging.Logger) -> None:
        self._kafka: dict[str, Any] = dict(kafka)
        self._topics = topics
        self._logger = logger
        self._admin: Any = AdminClient(self._kafka, logger=logger)  # its answers carry no types
        # A consumer that never joins its group is asked for the group's offsets: librdkafka's admin client dereferences
        # a group that it has not got when the coordinator is still loading (librdkafka issue 5040).
        self._counting = self._member(topics.app)
        merges = topics.output == topics.partials
        self._merge_topics = merge_topics(topics.input)
        self._merging = self._member(self._merge_topics.app) if merges else None
        self._newest = Newest(self._kafka, logger)
        self._written = [topic for topic in (topics.summaries, topics.rows, topics.dead_letters) if topic]
        self._letters_from = self._letters_end()

    def wait(self, spans: Spans, timeout_s: float, tick: Callable[[int], bool]) -> bool:
        """Wait until everything at ``spans`` is counted and its summaries can be read.

        Args:
            spans: offsets of the input topic.
            timeout_s: how long.
            tick: called with the number of records that are not counted yet; false ends the wait.

        Returns:
            False when ``tick`` ended it.

        Raises:
            StreamgaugeError: the time is over.
            KafkaException: a refusal, which waiting would not change.
        """
        deadline = time.monotonic() + timeout_s
        wanted = {partition: stretches[-1][1] for partition, stretches in spans.items()}
        behind = sum(_below(stretches, stretches[-1][1]) for stretches in spans.values())
        partials: Ends | None = None
        ends: Ends | None = None
        while True:
            try:
                if partials is None:
                    counted = self._committed(self._counting, self._topics.input, list(wanted))
                    if _passed(counted, wanted):
                        counted = self._stamped(self._topics.changelog, list(wanted))
                    behind = sum(_below(spans[p], wanted[p]) - _below(spans[p], counted[p]) for p in wanted)
                    if _passed(counted, wanted):
                        partials = self._ends(self._topics.partials, _ALL) if self._merging is not None else {}
                if partials is not None and ends is None and self._merged(partials):
                    ends = {end: at for topic in self._written for end, at in self._ends(topic, _ALL).items()}
                if ends is not None and self._readable(ends):
                    return True
            except KafkaException as error:
                if not passes(error.args[0]):  # a broker that is away comes back, or the time is over
                    raise
            if not tick(behind):
                return False
            if time.monotonic() > deadline:
                raise StreamgaugeError(
                    f"{behind} of the records sent were not counted within {timeout_s:g} s; they are kept in the topic "
                    f"{self._topics.input}. Does a worker run, and does it get on (streamgauge status)?"
                )
            time.sleep(ASK_S)

    def rejected(self, spans: Spans) -> tuple[int, list[Letter]]:
        """The dead letters that workers wrote of records at ``spans``: how many, and the first `LETTERS_SHOWN`.

        Raises:
            KafkaException: the broker does not answer, or refuses.
        """
        consumer = Consumer(
            {
                **self._kafka,
                "group.id": f"{self._topics.app}-replay",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,  # nothing new is to come, and a person waits
            },
            logger=self._logger,
        )
        try:
            consumer.assign([TopicPartition(*place, offset) for place, offset in self._letters_from.items()])
            ends = self._letters_end()
            unread = set(ends)
            count, first = 0, list[Letter]()
            while unread:
                for message in consumer.consume(500, timeout=ASK_S):  # waits for all 500 as long as it may
                    error = message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                            unread.discard(_place(message))
                        elif not passes(error):
                            raise KafkaException(error)
                        continue
                    if (message.offset() or 0) + 1 >= ends[_place(message)]:
                        unread.discard(_place(message))  # others may go on writing, so that no end is ever seen
                    letter = _letter_of(message)
                    if letter is not None and self._is_of(letter, spans):
                        count += 1
                        if len(first) < LETTERS_SHOWN:
                            first.append(letter)
            return count, first
        finally:
            consumer.close()

    def _is_of(self, letter: Letter, spans: Spans) -> bool:
        if letter.origin is None or letter.origin[0] != self._topics.input:
            return False
        _, partition, offset = letter.origin
        stretches = spans.get(partition, [])
        return _below(stretches, offset + 1) > _below(stretches, offset)

    def _member(self, group: str) -> Consumer:
        """Who may ask for the offsets of ``group``."""
        return Consumer({**self._kafka, "group.id": group, "enable.auto.commit": False}, logger=self._logger)

    def _committed(self, group: Consumer, topic: str, partitions: list[int]) -> dict[int, int]:
        """The group's offsets; 0 where it has none."""
        found = group.committed([TopicPartition(topic, partition) for partition in partitions], timeout=ANSWER_S)
        return {place.partition: max(place.offset, 0) for place in found}

    def _stamped(self, changelog: str, partitions: list[int]) -> dict[int, int]:
        """The stamps' offsets; 0 where there is none."""
        ends = {place: end for place, end in self._ends(changelog, _COMMITTED).items() if place[1] in partitions}
        stamps = {place[1]: message.value() for place, message in self._newest.of(ends).items()}
        return {p: orjson.loads(stamp)["offset"] if (stamp := stamps.get(p)) else 0 for p in partitions}

    def _merged(self, partials: Ends) -> bool:
        """Whether the merging stage has come as far as ``partials``."""
        if self._merging is None:
            return True
        wanted = {partition: end for (_, partition), end in partials.items()}
        committed = self._committed(self._merging, self._topics.partials, list(wanted))
        if not _passed(committed, wanted) or not self._readable(partials):
            return False
        # Behind the last partial there are markers, past which a group's offset may go, but no stamp.
        last = {place[1]: (message.offset() or 0) + 1 for place, message in self._newest.of(partials).items()}
        return _passed(self._stamped(self._merge_topics.changelog, list(last)), last)

    def _readable(self, ends: Ends) -> bool:
        """Whether those who read committed records come as far as ``ends``."""
        stable: Ends = {}
        for topic in {topic for topic, _ in ends}:
            stable |= self._ends(topic, _COMMITTED)
        return all(stable[place] >= end for place, end in ends.items())

    def _letters_end(self) -> Ends:
        """Where dead letters end. A cluster whose leaders move is asked again, for `wait` is not there to do so."""
        return ride_out(lambda: self._ends(self._topics.dead_letters, _ALL), KafkaException, time)

    def _ends(self, topic: str, isolation: IsolationLevel) -> Ends:
        """The ends of a topic's partitions."""
        found = self._admin.list_topics(topic, timeout=ANSWER_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in found.partitions}
        answers = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=ANSWER_S)
        return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}


def _passed(offsets: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Whether all partitions have come as far as they must."""
    return all(offsets[partition] >= end for partition, end in wanted.items())


def _below(stretches: list[list[int]], offset: int) -> int:
    """How many of the offsets in ``stretches`` are below ``offset``."""
    index = bisect_right(stretches, offset, key=lambda stretch: stretch[0])
    return sum(min(last, offset) - first for first, last in stretches[:index])


def _place(message: Message) -> tuple[str, int]:
    return message.topic() or "", message.partition() or 0


def _letter_of(message: Message) -> Letter | None:
    """A worker's dead letter; None for one of a producer."""
    headers = {name: value for name, value in message.headers() or [] if isinstance(value, bytes)}
    if LETTER_OFFSET not in headers:
        return None
    file, line = headers.get(LETTER_FILE), headers.get(LETTER_LINE)
    return Letter(
        message.partition() or 0,
        message.offset() or 0,
        headers.get(LETTER_MESSAGE, b"").decode(errors="replace"),
        file.decode(errors="surrogateescape") if file else None,
        int(line) if line else None,
        (headers[LETTER_TOPIC].decode(), int(headers[LETTER_PARTITION]), int(headers[LETTER_OFFSET])),
    )
