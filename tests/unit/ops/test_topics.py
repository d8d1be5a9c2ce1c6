"""What a stream's topics say of its state, without a broker."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Uuid

from ops.topics import state_name
from schemas.renders import RENDERS


@pytest.mark.parametrize(("high", "low"), [(-1, -1), (-4, 0), (0x0FFF, -0x0101), (7, 9)])
def test_whatever_ids_kafka_gives_state_lies_below_its_folder(high: int, low: int) -> None:
    """An id is 16 random bytes in base64: one in 64 begins with a slash, one in three holds one."""
    folder = Path("/data/workers/w0")

    def describe_topics(topics: Any) -> dict[str, Future[Any]]:
        answers: dict[str, Future[Any]] = {}
        for name in ("streamgauge-renders-state-changelog", "streamgauge-renders-merge-state-changelog"):
            answers[name] = Future()
            answers[name].set_result(SimpleNamespace(topic_id=Uuid(high, low)))
        return answers

    admin: Any = SimpleNamespace(describe_topics=describe_topics)
    assert (folder / state_name(admin, RENDERS)).parent == folder
