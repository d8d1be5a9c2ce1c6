"""Waiting until a librdkafka client is connected, before it is asked something that must not take long.

librdkafka connects in the background. A question that comes before is not queued but asked again later: it looks for
a transaction's coordinator after half a second, for a partition's leader after three. And the answer to a client's
first request ends the connection that it came by, that of the bootstrap servers; the next one goes to a broker by its
own name, some milliseconds later. So the cheapest question is asked twice, and both times waited for.

    producer = Producer(settings)
    connect(producer, "sites", 5.0)
    producer.init_transactions(60.0)     # 0.01 s, where it was 0.5 s as often as not
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from confluent_kafka import KafkaException


class Client(Protocol):
    """What a producer and an admin client of librdkafka have in common."""

    def list_topics(self, topic: str, timeout: float) -> object:
        """The metadata of ``topic``."""
        ...


def connect(client: Client, topic: str, seconds: float) -> None:
    """Return when ``client`` is connected, or after about ``seconds``: what is asked then has time-outs of its own.

    Args:
        client: whose first request this is.
        topic: one that exists; a broker might make one that does not.
        seconds: to wait for each of two answers.
    """
    with suppress(KafkaException):
        for _ in range(2):
            client.list_topics(topic, seconds)
