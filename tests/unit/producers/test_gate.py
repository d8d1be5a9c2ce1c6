"""The gate before an API, with a clock that a test turns."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from producers.gate import Gate


class HandTime:
    """A clock that goes on when somebody sleeps, and by what a sleep is late."""

    def __init__(self, late: list[float]) -> None:
        self.now = 0.0
        self._late = late

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + (self._late.pop() if self._late else 0.0)
        await asyncio.sleep(0)


async def _passages(rate: float, time: HandTime, readers: int, each: int) -> list[float]:
    gate = Gate(rate, clock=time.clock, sleep=time.sleep)
    times: list[float] = []

    async def read() -> None:
        for _ in range(each):
            await gate.passed()
            times.append(time.now)

    await asyncio.gather(*(read() for _ in range(readers)))
    assert gate.count == readers * each
    return times


def passages(rate: float, time: HandTime, readers: int = 8, each: int = 40) -> list[float]:
    """When the readers passed."""
    return asyncio.run(_passages(rate, time, readers, each))


@given(st.integers(1, 1000), st.lists(st.floats(0, 0.5), max_size=300))
def test_in_any_second_no_more_pass_than_the_rate_and_one(rate: int, late: list[float]) -> None:
    """However late the timers are."""
    times = passages(rate, HandTime(late))
    for first in range(len(times)):
        within = [time for time in times[first:] if time <= times[first] + 1 - 1e-9]
        assert len(within) <= rate + 1


def test_with_a_good_timer_the_rate_is_reached() -> None:
    """A timer that is a little late each time costs nothing: half a step of it is caught up."""
    times = passages(100, HandTime([0.001, 0.003, 0.0, 0.004] * 80))
    assert 3.15 < times[-1] < 3.25
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.005


def test_a_closed_gate_lets_nobody_pass() -> None:
    """What the API asked for holds for all readers."""
    time = HandTime([])

    async def run() -> list[float]:
        gate = Gate(10, clock=time.clock, sleep=time.sleep)
        times: list[float] = []
        for _ in range(3):
            await gate.passed()
            times.append(time.now)
            if len(times) == 1:
                gate.close_for(3.0)
                gate.close_for(1.0)
        return times

    assert [round(each, 6) for each in asyncio.run(run())] == [0.0, 3.0, 3.1]
