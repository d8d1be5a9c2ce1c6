"""Even pacing, by a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.pace import BURST_S, GRAIN_S, Pace


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def asked(pace: Pace, clock: Clock, times: int, every_s: float) -> list[int]:
    """What it lets go when it is asked so often."""
    let_go: list[int] = []
    for _ in range(times):
        let_go.append(pace.due(1000))
        clock.now += every_s
    return let_go


@pytest.mark.parametrize("rate", [0.5, 7, 1000, 300_000])
def test_a_rate_is_kept_over_any_time(rate: float) -> None:
    """After t seconds of asking often, rate · t and one have been let go."""
    clock = Clock()
    pace = Pace(rate, clock)
    count = 0
    for _ in range(1000):
        count += pace.due(10**9)
        clock.now += 0.01
    assert rate * 10 * 0.99 <= count <= rate * 10 + 1


def test_they_are_spread_over_the_second() -> None:
    """At 100 a second one goes every 10 ms, not a hundred at once."""
    clock = Clock()
    assert asked(Pace(100, clock), clock, 10, 0.01 + 1e-9) == [1] * 10


def test_many_a_second_go_some_at_once() -> None:
    """However often it is asked, 20,000 a second are not 20,000 calls, and the next grain is never far."""
    clock = Clock()
    let_go = asked(Pace(20_000, clock), clock, 10_000, 0.0001)
    assert sum(map(bool, let_go)) <= 1 / GRAIN_S + 1
    assert sum(let_go) >= 20_000 * (1 - GRAIN_S) - 1


def test_lost_time_is_not_made_up_for() -> None:
    """After a minute without a broker, what falls due in a moment goes, not a minute's worth."""
    clock = Clock()
    pace = Pace(1000, clock)
    pace.due(1)
    clock.now += 60
    assert pace.due(10**6) <= 1000 * BURST_S + 1


@given(wanted=st.lists(st.integers(1, 50), min_size=1, max_size=50), rate=st.integers(1, 10_000))
def test_waiting_as_told_is_enough(wanted: list[int], rate: int) -> None:
    """After `wait_s` at least one is due, and never more than was wanted."""
    clock = Clock()
    pace = Pace(rate, clock)
    for count in wanted:
        clock.now += pace.wait_s() + 1e-9
        assert 1 <= pace.due(count) <= count
