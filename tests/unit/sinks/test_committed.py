"""Where the committed part of a topic ends, while its leaders change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sinks.committed import Span, committed_spans


class Admin:
    """An admin client that believes an old leader until it asks who leads."""

    def __init__(self, error: int) -> None:
        self._error = error
        self.asked = 0

    def list_topics(self, timeout: float) -> None:
        """Metadata."""
        self.asked += 1

    def list_offsets(self, wanted: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Any]:
        """Futures."""

        def result() -> Any:
            if not self.asked:
                raise KafkaException(KafkaError(self._error))
            return SimpleNamespace(offset=7)

        return {place: SimpleNamespace(result=result) for place in wanted}


@pytest.mark.parametrize(
    "error",
    [
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError._TRANSPORT,  # pyright: ignore[reportPrivateUsage] - confluent-kafka's public names begin so
        KafkaError._TIMED_OUT,  # pyright: ignore[reportPrivateUsage]
    ],
)
def test_a_new_leader_is_asked_for_when_the_old_one_is_refused(error: int) -> None:
    """A command that starts while a broker dies goes on."""
    admin: Any = Admin(error)
    assert committed_spans(admin, {"sites": 1}) == {("sites", 0): Span(7, 7)}
    assert admin.asked == 1


def test_what_does_not_pass_by_itself_is_told_at_once() -> None:
    admin: Any = Admin(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        committed_spans(admin, {"sites": 1})
    assert admin.asked == 0
