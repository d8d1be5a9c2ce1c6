"""When a failed engine process starts again, and when its worker gives up.

An engine that stops at a doubt (`schemas.errors.StateError`) is started again from its last stamp: at once the first
time, because most failures come once and summaries stand still meanwhile. Then waits grow, so that a trouble that
stays does not become a storm of starts, which would keep a struggling broker down.

>>> restarts = Restarts()
>>> [restarts.failed(now=0, broker_answers=True) for _ in range(7)]
[0.1, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
>>> restarts.ready(now=100)                                # all its partitions are restored
>>> restarts.failed(now=161, broker_answers=True)          # a minute later: the count began anew
0.1
"""

from __future__ import annotations

AT_ONCE_S = 0.1
FIRST_S = 2.0
MOST_S = 30.0
LIMIT = 10
"""This many failures in a row, while the broker answers, end the worker."""
CALM_S = 60.0
"""A minute of ``ready`` resets the count."""


class Restarts:
    """Counts the failures in a row of one engine process. Times are seconds of any clock that only rises.

    Args:
        first_s: the wait after the second failure, and after the first where no broker answers.
    """

    def __init__(self, first_s: float = FIRST_S) -> None:
        self.failures = 0
        self._first_s = first_s
        self._tries = 0
        self._ready_since: float | None = None

    def ready(self, now: float) -> None:
        """The process is ready, since now unless it has been before."""
        if self._ready_since is None:
            self._ready_since = now

    def unready(self) -> None:
        """The process is no longer ready (a rebalance, an outage)."""
        self._ready_since = None

    def failed(self, now: float, *, broker_answers: bool) -> float | None:
        """The process ended by itself.

        Args:
            now: the moment, in seconds.
            broker_answers: a failure without a broker is none: the process starts again for as long as it takes.

        Returns:
            Seconds to wait before the next start; None when it is time to give up.
        """
        if self._ready_since is not None and now - self._ready_since >= CALM_S:
            self.failures = self._tries = 0
        self._ready_since = None
        self._tries += 1
        if broker_answers:
            self.failures += 1
            if self.failures >= LIMIT:
                return None
            if self._tries == 1:
                return min(AT_ONCE_S, self._first_s)
        doublings = self._tries - (2 if broker_answers else 1)
        return min(MOST_S, self._first_s * 2.0 ** min(doublings, 8))
