"""When a failed engine starts again, on a clock that the test moves."""

from __future__ import annotations

from ops.worker.restarts import LIMIT, Restarts


def test_the_first_start_is_at_once_and_waits_grow_from_two_to_thirty_seconds() -> None:
    """Summaries stand still meanwhile; what fails again is given time."""
    restarts = Restarts()
    waits = [restarts.failed(now=0, broker_answers=True) for _ in range(LIMIT - 1)]
    assert waits == [0.1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_tenth_failure_in_a_row_gives_up() -> None:
    """Ten failures in a row while the broker answers are the end."""
    restarts = Restarts()
    waits = [restarts.failed(now=n, broker_answers=True) for n in range(LIMIT)]
    assert waits[-1] is None
    assert None not in waits[:-1]


def test_failures_without_a_broker_never_give_up_and_still_back_off() -> None:
    """A broker's absence is held against nobody, but a storm of starts would keep it away."""
    restarts = Restarts()
    waits = [restarts.failed(now=n, broker_answers=False) for n in range(100)]
    assert waits[:5] == [2, 4, 8, 16, 30]
    assert set(waits[5:]) == {30}
    assert restarts.failures == 0


def test_a_minute_of_ready_resets_the_count() -> None:
    """Nine failures, a good minute, and the next failure is the first one."""
    restarts = Restarts()
    for _ in range(LIMIT - 1):
        restarts.failed(now=0, broker_answers=True)
    restarts.ready(now=100)
    restarts.ready(now=130)  # reported again and again: the first counts
    assert restarts.failed(now=160, broker_answers=True) == 0.1
    assert restarts.failures == 1


def test_less_than_a_minute_of_ready_resets_nothing() -> None:
    """An engine that comes up and fails at once, again and again, is given up."""
    restarts = Restarts()
    for n in range(LIMIT - 1):
        restarts.ready(now=n * 100)
        assert restarts.failed(now=n * 100 + 59, broker_answers=True) is not None
    restarts.ready(now=5000)
    assert restarts.failed(now=5059, broker_answers=True) is None


def test_the_minute_of_ready_must_be_whole() -> None:
    """A rebalance in the middle starts the minute anew."""
    restarts = Restarts()
    restarts.failed(now=0, broker_answers=True)
    restarts.ready(now=0)
    restarts.unready()
    restarts.ready(now=40)
    assert restarts.failed(now=80, broker_answers=True) == 2
