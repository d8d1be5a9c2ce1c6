"""What happens to a cluster: workers and broker are killed at random moments, planned from a seed.

nemesis = Nemesis.plan(7, cluster, worker_kills=3, broker_kills=1, within_s=20)
nemesis.run()       # in a thread, while load is sent
nemesis.diary       # what was done when
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.cluster import Cluster


class Strike(NamedTuple):
    """One disturbance: when, what it is called, and how it is done."""

    at_s: float
    name: str
    do: Callable[[], str]


@dataclass
class Nemesis:
    """A plan of strikes, made from a seed before anything starts.

    Args:
        strikes: in the order of their moments.
        diary: what was done when, for whoever reads a failure.
    """

    strikes: list[Strike]
    diary: list[str] = field(default_factory=list[str])

    @classmethod
    def plan(cls, seed: int, cluster: Cluster, *, worker_kills: int, broker_kills: int, within_s: float) -> Nemesis:
        """Spread the kills over ``within_s`` seconds: one at a random moment of each slice, on random victims."""
        rng = random.Random(seed)
        strikes: list[Strike] = []
        slice_s = within_s / worker_kills
        for number in range(worker_kills):
            name, whom = rng.choice(sorted(cluster.workers)), rng.choice(("engine", "parent", "both"))
            strikes.append(
                Strike(
                    slice_s * (number + rng.random()),
                    f"{name} {whom}",
                    lambda n=name, w=whom: cluster.kill_worker(n, w),
                )
            )
        for _ in range(broker_kills):
            away_s = rng.uniform(0, 2)
            # In the middle, so that there is load before and after.
            at_s = rng.uniform(within_s * 0.25, within_s * 0.75)
            strikes.append(Strike(at_s, "broker", lambda away=away_s: cluster.kill_broker(away)))
        return cls(sorted(strikes, key=lambda strike: strike.at_s))

    def run(self) -> None:
        """Strike at the planned moments, counted from now."""
        begin = time.monotonic()
        for strike in self.strikes:
            time.sleep(max(0.0, begin + strike.at_s - time.monotonic()))
            now_s = time.monotonic() - begin
            self.diary.append(f"{now_s:6.2f} s  {strike.do()}")
