"""Which errors of Kafka are waited for, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas import outage
from schemas.outage import OUTAGE_S, PAUSE_MAX_S, passes, ride_out

AWAY = KafkaError._TRANSPORT  # pyright: ignore[reportPrivateUsage] - confluent-kafka's public names begin so


class HandClock:
    """A clock that goes on only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """At once."""
        self.now += seconds
        self.slept.append(seconds)


def answering(*codes: int, then: int | None = None) -> tuple[Callable[[], str], list[int]]:
    """A question that is answered with errors, then with ``then`` for ever or in the end rightly; and how often."""
    asked: list[int] = []

    def ask() -> str:
        asked.append(len(asked))
        code = codes[len(asked) - 1] if len(asked) <= len(codes) else then
        if code is not None:
            raise KafkaException(KafkaError(code))
        return "seven"

    return ask, asked


def test_each_error_that_passes_is_one_of_the_client() -> None:
    """A name that is spelled wrong would never be met."""
    names: Any = outage._PASSING  # pyright: ignore[reportPrivateUsage]
    assert {KafkaError(getattr(KafkaError, name)).name() for name in names} == names


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._UNKNOWN_TOPIC,  # pyright: ignore[reportPrivateUsage]
        KafkaError._AUTHENTICATION,  # pyright: ignore[reportPrivateUsage]
        KafkaError.NON_EMPTY_GROUP,
    ],
)
def test_a_refusal_is_told_at_once(code: int) -> None:
    clock, (ask, asked) = HandClock(), answering(code)
    with pytest.raises(KafkaException):
        ride_out(ask, KafkaException, clock)
    assert (len(asked), clock.slept) == (1, [])


@pytest.mark.parametrize("code", [AWAY, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.COORDINATOR_LOAD_IN_PROGRESS])
def test_an_error_that_passes_is_asked_again_until_it_has(code: int) -> None:
    clock, (ask, asked) = HandClock(), answering(*[code] * 9)
    assert ride_out(ask, KafkaException, clock) == "seven"
    assert len(asked) == 10
    assert clock.slept == sorted(clock.slept)
    assert max(clock.slept) <= PAUSE_MAX_S


def test_an_outage_that_does_not_end_is_given_up_with_its_last_error() -> None:
    clock, (ask, _) = HandClock(), answering(KafkaError.LEADER_NOT_AVAILABLE, then=AWAY)
    with pytest.raises(KafkaException) as last:
        ride_out(ask, KafkaException, clock)
    assert last.value.args[0].code() == AWAY
    assert OUTAGE_S < clock.now <= OUTAGE_S + PAUSE_MAX_S


def test_a_refusal_in_the_middle_of_an_outage_ends_it() -> None:
    clock, (ask, asked) = HandClock(), answering(AWAY, KafkaError.TOPIC_AUTHORIZATION_FAILED, AWAY)
    with pytest.raises(KafkaException, match="authorization"):
        ride_out(ask, KafkaException, clock)
    assert len(asked) == 2


def test_what_is_no_answer_of_kafka_is_not_caught() -> None:
    def ask() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        ride_out(ask, KafkaException, HandClock())


def test_an_error_that_the_client_calls_retriable_passes() -> None:
    assert passes(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "", False, True))
    assert not passes(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))


def test_the_module_time_is_a_clock() -> None:
    assert ride_out(lambda: 7, KafkaException, time) == 7
