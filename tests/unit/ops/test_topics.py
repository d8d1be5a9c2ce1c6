"""What a stream's topics say of its state, without a broker."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid

from ops.kafka import answered
from ops.topics import state_name
from schemas.errors import StreamgaugeError
from schemas.outage import OUTAGE_S
from schemas.renders import RENDERS
from schemas.sites import SITES


@pytest.mark.parametrize(("high", "low"), [(-1, -1), (-4, 0), (0x0FFF, -0x0101), (7, 9)])
def test_whatever_ids_kafka_gives_state_lies_below_its_folder(high: int, low: int) -> None:
    """An id is 16 random bytes in base64: one in 64 begins with a slash, one in three holds one."""
    folder = Path("/data/workers/w0")

    def describe_topics(topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        answers: dict[str, Future[Any]] = {}
        for name in ("streamgauge-renders-state-changelog", "streamgauge-renders-merge-state-changelog"):
            answers[name] = Future()
            answers[name].set_result(SimpleNamespace(topic_id=Uuid(high, low)))
        return answers

    admin: Any = SimpleNamespace(describe_topics=describe_topics)
    assert (folder / state_name(admin, RENDERS)).parent == folder


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT])  # pyright: ignore[reportPrivateUsage]
def test_a_broker_that_restarts_at_the_start_of_a_command_is_asked_again(code: int) -> None:
    """It answered a moment ago: a command that was connected waits for it."""
    asked: list[float] = []

    def describe_topics(topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        asked.append(request_timeout)
        answers: dict[str, Future[Any]] = {"streamgauge-sites-state-changelog": Future()}
        for answer in answers.values():
            if len(asked) == 1:
                answer.set_exception(KafkaException(KafkaError(code)))
            else:
                answer.set_result(SimpleNamespace(topic_id=Uuid(7, 9)))
        return answers

    admin: Any = SimpleNamespace(describe_topics=describe_topics)
    assert state_name(admin, SITES)
    assert len(asked) == 2


def test_a_broker_that_stays_away_is_given_up_with_a_line_that_says_what_to_do() -> None:
    def ask() -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # pyright: ignore[reportPrivateUsage]

    clock: Any = SimpleNamespace(monotonic=iter([0.0, OUTAGE_S, OUTAGE_S + 0.1]).__next__, sleep=lambda _seconds: None)
    with pytest.raises(StreamgaugeError, match=r"went away, or has no time to answer: see that it runs, and run"):
        answered(ask, clock)


def test_a_refusal_is_told_as_it_is() -> None:
    def ask() -> None:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(KafkaException):
        answered(ask)
