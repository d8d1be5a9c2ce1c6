"""Even pacing: so many a second, spread over the second, however the work comes in.

>>> now = [0.0]
>>> pace = Pace(2, clock=lambda: now[0])
>>> pace.due(10), pace.wait_s()                 # one may go at once, the next half a second later
(1, 0.5)
>>> now[0] = 0.5
>>> pace.due(10)
1

What falls due within `GRAIN_S` goes together: a call for each single one of 20,000 a second would take all of a core.
Time that was lost (a slow broker, a pause) is not made up for: a burst holds what falls due in `BURST_S` and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

GRAIN_S = 0.01
"""How long the first of several is held back for those that are due soon after it."""
BURST_S = 0.02
"""How far behind the schedule still counts as on it."""


class Pace:
    """A schedule of evenly spaced moments.

    Args:
        rate: per second, more than 0.
        clock: seconds that never go back.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._step = 1 / rate
        self._grain_s = max(0.0, GRAIN_S - self._step)
        self._clock = clock
        self._next = clock()
        """When the next one is due."""

    def due(self, wanted: int) -> int:
        """Take as many of ``wanted`` as are due now (0: wait `wait_s`)."""
        now = self._clock()
        if now < self._next + self._grain_s:
            return 0
        self._next = max(self._next, now - BURST_S)
        count = min(wanted, int((now - self._next) / self._step) + 1)
        self._next += count * self._step
        return count

    def wait_s(self) -> float:
        """Seconds until `due` gives something."""
        return max(0.0, self._next + self._grain_s - self._clock())
