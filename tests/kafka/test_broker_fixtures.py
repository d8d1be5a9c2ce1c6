"""The fixtures that the other tests on a real broker stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic


def make(kafka: dict[str, Any], topic: str) -> None:
    admin = AdminClient(kafka)
    for made in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        made.result()


def test_clean_removes_topics_and_the_members_of_groups(
    kafka: dict[str, Any], clean: Callable[[dict[str, Any]], None]
) -> None:
    """A static member that did not leave would keep its partitions for its whole session time-out."""
    make(kafka, "left")
    producer = Producer(kafka)
    producer.produce("left", b"1", partition=0)
    producer.flush()
    static = {"group.instance.id": "i", "session.timeout.ms": 45_000}
    consumer = Consumer({**kafka, "group.id": "g", "auto.offset.reset": "earliest", **static})
    consumer.subscribe(["left"])
    message = consumer.poll(20)
    assert message is not None
    consumer.commit(message=message, asynchronous=False)
    consumer.close()

    clean(kafka)

    admin = AdminClient(kafka)
    assert [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")] == []
    assert admin.list_consumer_groups().result().valid == []


def test_a_killed_broker_comes_back_with_its_data_and_its_port(fresh_broker: Callable[[], Any]) -> None:
    """What was acknowledged before a kill -9 is there after it, at the same address."""
    mine = fresh_broker()
    make(mine.kafka, "kept")
    producer = Producer(mine.kafka)
    producer.produce("kept", b"1", partition=1)
    assert producer.flush(20) == 0

    mine.kill()
    mine.restart()

    consumer = Consumer({**mine.kafka, "group.id": "g"})
    consumer.assign([TopicPartition("kept", 1, 0)])
    message = consumer.poll(20)
    assert message is not None
    assert message.value() == b"1"
    consumer.close()
