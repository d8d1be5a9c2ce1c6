"""What comes of waiting for a worker, without a broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from ops.outcome import Outcome, wait
from schemas.errors import StreamgaugeError

REFUSAL = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))


def refuse(*_: object) -> Any:
    """What a broker does that does not allow it."""
    raise REFUSAL


def test_a_refusal_while_waiting_leaves_the_counts_and_is_the_failure() -> None:
    """All was sent: that is told, too."""
    publisher: Any = SimpleNamespace(spans={0: [[0, 2]]})
    interrupt: Any = SimpleNamespace(asked=False)
    waiting_fails: Any = SimpleNamespace(wait=refuse)
    reading_fails: Any = SimpleNamespace(wait=lambda *_: True, rejected=refuse)
    for processed in (waiting_fails, reading_fails):
        outcome = Outcome(accepted=2)
        wait(processed, publisher, interrupt, 1.0, outcome)
        assert (outcome.accepted, outcome.interrupted) == (2, False)
        assert isinstance(outcome.failure, StreamgaugeError)
        assert "GROUP_AUTHORIZATION_FAILED" in str(outcome.failure)
