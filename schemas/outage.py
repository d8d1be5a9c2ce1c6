"""An outage of Kafka: which of its errors pass by themselves, and the one loop that asks again until they have.

    ends = ride_out(lambda: ends_of(admin), KafkaException, time)    # asked for a minute; a refusal is raised at once

Producers, sinks and commands all ask, and this is the only folder that all of them may import. So it knows neither a
Kafka client nor a clock: who asks says what is raised and what measures time. An error is known by its name, which is
the protocol's, or librdkafka's own where it begins with ``_``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

OUTAGE_S = 60.0
"""How long a broker may restart, or be overloaded, until it is given up."""
PAUSE_S = 0.1
PAUSE_MAX_S = 1.0

T = TypeVar("T")


class Answer(Protocol):
    """An error as clients have it: `confluent_kafka.KafkaError`."""

    def name(self) -> str:
        """Such as ``NOT_COORDINATOR``."""
        ...

    def retriable(self) -> bool:
        """Whether the client itself says that asking again may help; it does so of transactions only."""
        ...


class Clock(Protocol):
    """What the module `time` is."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Let them go by."""
        ...


def passes(error: Answer) -> bool:
    """Whether a cluster that answers ``error`` will soon answer otherwise: it makes or moves partitions, or is away."""
    return error.retriable() or error.name() in _PASSING


def ride_out(ask: Callable[[], T], failure: type[Exception], clock: Clock, seconds: float = OUTAGE_S) -> T:
    """What a cluster answers; while its errors are such that pass, it is asked again.

    Args:
        ask: the question; it limits how long it waits for one answer.
        failure: what it raises, with an `Answer` as its first argument: `confluent_kafka.KafkaException`.
        clock: the module `time`.
        seconds: how long to ask.

    Raises:
        failure: one that does not pass, at once; or the last one, when ``seconds`` are over.
    """
    deadline, pause_s = clock.monotonic() + seconds, PAUSE_S
    while True:
        try:
            return ask()
        except failure as error:
            if not passes(error.args[0]) or clock.monotonic() > deadline:
                raise
        clock.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)


_PASSING = frozenset(
    {
        "NOT_LEADER_FOR_PARTITION",
        "LEADER_NOT_AVAILABLE",
        "UNKNOWN_LEADER_EPOCH",  # the answer of a broker that was killed before it wrote its last one down
        "FENCED_LEADER_EPOCH",  # the answer of a leader that was elected after we asked who leads
        "OFFSET_NOT_AVAILABLE",  # the answer of a leader that was elected just now
        "UNKNOWN_TOPIC_OR_PART",  # the answer of a broker that has not heard of the topic yet
        "COORDINATOR_LOAD_IN_PROGRESS",  # the answer of a broker that just began to look after groups
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "NOT_CONTROLLER",
        "BROKER_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE",
        "UNSTABLE_OFFSET_COMMIT",  # the answer while a transaction that commits offsets is under way
        "REQUEST_TIMED_OUT",
        "NETWORK_EXCEPTION",
        "KAFKA_STORAGE_ERROR",  # the answer of a broker whose disk failed: others take over what it led
        "_NOENT",  # where no partition has a leader
        "_TIMED_OUT",
        "_TIMED_OUT_QUEUE",
        "_TRANSPORT",
        "_ALL_BROKERS_DOWN",
        "_WAIT_COORD",
    }
)
