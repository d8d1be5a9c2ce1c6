"""A gate that many readers pass one by one, evenly paced: what an API allows, however many ask it.

    gate = Gate(rate=100)
    await gate.passed()             # before each request, a repeated one too
    gate.close_for(3.0)             # the API said: Retry-After: 3

In any second no more pass than the rate, and one. `producers.pace` makes up for small delays by small bursts, which
would be more; here two that pass are a step apart (1 / rate), but for what a timer is late: of that, half a step is
caught up, so that a rate is reached and yet never exceeded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic


class Gate:
    """A gate for coroutines.

    Args:
        rate: how many may pass in a second, more than 0.
        clock: seconds that never go back.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._step = 1 / rate
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._queue = asyncio.Lock()
        self.count = 0
        """How many have passed."""

    async def passed(self) -> None:
        """Wait until it is this one's turn; turns come in the order in which they were asked for."""
        async with self._queue:
            while (wait_s := self._next - self._clock()) > 0:
                await self._sleep(wait_s)
            self._next = max(self._next + self._step, self._clock() + self._step / 2)
            self.count += 1

    def close_for(self, seconds: float) -> None:
        """Let nobody pass for so long."""
        self._next = max(self._next, self._clock() + seconds)
