"""The transactional log of a partition on a real broker: all or nothing, one writer, markers waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from ops.topics import ensure
from processors.epoch import BY_KEY, STAMP_KEY, Epoch, Letter, Output, Stamp
from processors.log import KafkaLog
from schemas.errors import Fenced
from schemas.products import PRODUCTS
from schemas.sites import SITES
from schemas.wire import partition_of, transactional_id
from sinks.committed import CommittedReader, Span

TOPICS = SITES.topics


def epoch(number: int, letters: int = 0) -> Epoch:
    return Epoch(
        first=number,
        stamp=Stamp(number + 1, 1),
        records=1,
        rows={b"row": b"%d" % number, b"gone": None},
        row_bytes=8,
        outputs=[Output(b"7", b'{"revision":%d}' % number, 0)],
        letters=[Letter(None, b"bad", [("why", b"because")])] * letters,
    )


@contextmanager
def reader(kafka: dict[str, Any], topic: str, isolation: str = "read_committed") -> Iterator[Consumer]:
    consumer = Consumer(
        {
            **kafka,
            "group.id": "reader",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        yield consumer
    finally:
        consumer.close()


def read(
    kafka: dict[str, Any], topic: str, isolation: str = "read_committed"
) -> list[tuple[bytes | None, bytes | None]]:
    found: list[tuple[bytes | None, bytes | None]] = []
    with reader(kafka, topic, isolation) as consumer:
        while True:
            message = consumer.poll(20)
            assert message is not None, "the broker did not answer"
            if message.error():
                return found
            found.append((message.key(), message.value()))


def committed_end(kafka: dict[str, Any], topic: str) -> int:
    with reader(kafka, topic) as consumer:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), 20)[1]


@pytest.fixture
def new_log(kafka: dict[str, Any]) -> Iterator[Callable[[], KafkaLog]]:
    ensure(kafka, SITES, 1, 1)
    logs: list[KafkaLog] = []

    def make() -> KafkaLog:
        logs.append(KafkaLog(kafka, TOPICS, 0, transactional_id(TOPICS.app, 0)))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def test_an_epoch_is_committed_whole_with_its_stamp_last(
    kafka: dict[str, Any], new_log: Callable[[], KafkaLog]
) -> None:
    """Rows, stamp, summaries and letters are there; the returned offset is the stamp's."""
    log = new_log()
    log.fence()
    assert log.commit(epoch(0, letters=2)) == 2
    assert read(kafka, TOPICS.changelog) == [(b"row", b"0"), (b"gone", None), (STAMP_KEY, Stamp(1, 1).encode())]
    assert read(kafka, TOPICS.summaries) == [(b"7", b'{"revision":0}')]
    assert read(kafka, TOPICS.dead_letters) == [(None, b"bad")] * 2
    assert log.commit(epoch(1)) == 6  # three entries and a marker later


def test_a_removed_entity_is_a_tombstone_that_tells_its_revision(
    kafka: dict[str, Any], new_log: Callable[[], KafkaLog]
) -> None:
    """Its value cannot; a reader must not take an older summary for a newer one."""
    log = new_log()
    log.fence()
    removing = epoch(41)
    removing.outputs[:] = [Output(b"7", None, 0)]
    log.commit(removing)
    with reader(kafka, TOPICS.summaries) as consumer:
        message = consumer.poll(20)
    assert message is not None
    assert (message.key(), message.value(), message.headers()) == (b"7", None, [("revision", b"42")])


def test_what_is_published_beside_the_summaries_lies_where_its_key_says(kafka: dict[str, Any]) -> None:
    """Into the partition that murmur2 of the key names, in the epoch's transaction, with tombstones that tell when."""
    ensure(kafka, PRODUCTS, 4)
    topics = PRODUCTS.topics
    log = KafkaLog(kafka, topics, 2, transactional_id(topics.app, 2))
    log.fence()
    keys = [b"%d\0Anna" % number for number in range(20)]
    published = [Output(key, b"{}", BY_KEY) for key in keys]
    log.commit(replace(epoch(41), outputs=[], published=[*published, Output(keys[7], None, BY_KEY)]))
    log.close()
    found: list[tuple[bytes | None, int | None, bytes | None, Any]] = []
    with CommittedReader(kafka, logging.getLogger("tests")) as reading:
        ends = {(topics.rows, partition): Span(0, 1 << 40) for partition in range(4)}
        for messages in reading.read(dict.fromkeys(ends, 0), ends):
            found += [(m.key(), m.partition(), m.value(), m.headers()) for m in messages]
    assert len(found) == 21
    assert all(partition == partition_of(key or b"", 4) for key, partition, _, _ in found)
    assert [(value, headers) for key, _, value, headers in found if key == keys[7]] == [
        (b"{}", None),
        (None, [("revision", b"42")]),
    ]


def test_a_fenced_owner_publishes_nothing(
    kafka: dict[str, Any], new_log: Callable[[], KafkaLog], capfd: pytest.CaptureFixture[str]
) -> None:
    """A zombie's epoch fails as a whole, with one error that says why, and no reader ever sees any of it."""
    zombie, owner = new_log(), new_log()
    zombie.fence()
    zombie.commit(epoch(0))
    owner.fence()
    with pytest.raises(Fenced, match="another worker owns this partition now"):
        zombie.commit(epoch(666, letters=1))
    assert capfd.readouterr().err == ""  # where a worker's log goes, whose lines are JSON
    owner.commit(epoch(1))
    assert [value for _, value in read(kafka, TOPICS.summaries)] == [b'{"revision":0}', b'{"revision":1}']
    assert read(kafka, TOPICS.dead_letters) == []


def test_a_fence_ends_what_a_killed_owner_left_open(kafka: dict[str, Any], new_log: Callable[[], KafkaLog]) -> None:
    """Readers are not held up by its open transaction, and its records stay invisible."""
    killed = Producer({**kafka, "transactional.id": transactional_id(TOPICS.app, 0), "log_level": 0})
    killed.init_transactions(20)
    killed.begin_transaction()
    killed.produce(TOPICS.summaries, b"of a dead owner", b"7", 0)
    assert killed.flush(20) == 0
    owner = new_log()
    owner.fence()
    owner.commit(epoch(0))
    assert [value for _, value in read(kafka, TOPICS.summaries)] == [b'{"revision":0}']
    assert (b"7", b"of a dead owner") in read(kafka, TOPICS.summaries, "read_uncommitted")


def test_a_fence_waits_for_the_markers_of_the_last_epoch(
    kafka: dict[str, Any], new_log: Callable[[], KafkaLog]
) -> None:
    """A commit returns before its markers are in the log, so only a new fence may precede a look at the end.

    Without it a restored state could lie below what its own store already holds (seen in a third of commits).
    """
    log = new_log()
    log.fence()
    for number in range(12):
        offset = log.commit(epoch(number))
        log.fence()
        assert committed_end(kafka, TOPICS.changelog) > offset
