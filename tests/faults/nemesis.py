"""What happens to a cluster: workers and broker are killed at random moments, planned from a seed.

nemesis = Nemesis.plan(7, cluster, Strikes(kills=3, broker_kills=1), within_s=20)
nemesis.run()       # in a thread, while load is sent
nemesis.diary       # what was done when
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.cluster import Cluster


class Strike(NamedTuple):
    """One disturbance: when, and how it is done; doing it says what was done."""

    at_s: float
    do: Callable[[], str]


class Strikes(NamedTuple):
    """How many of what.

    Args:
        kills: kill -9 of a worker's engine, of its parent, or of both.
        broker_kills: kill -9 of the broker.
        pauses: SIGSTOP of a worker until others have its partitions: it comes back as a zombie.
        wipes: kill -9 of a whole worker and the loss of its state directory.
        sender_kills: kill -9 of the command that sends records; it is run again.
    """

    kills: int = 0
    broker_kills: int = 0
    pauses: int = 0
    wipes: int = 0
    sender_kills: int = 0


NO_STRIKES = Strikes()


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
    def plan(cls, seed: int, cluster: Cluster, strikes: Strikes, within_s: float) -> Nemesis:
        """Spread ``strikes`` over ``within_s`` seconds: one at a random moment of each slice, on random victims."""
        rng = random.Random(seed)
        kinds = ["kill"] * strikes.kills + ["pause"] * strikes.pauses + ["wipe"] * strikes.wipes
        rng.shuffle(kinds)
        planned = [
            Strike(within_s / len(kinds) * (number + rng.random()), _strike(rng, cluster, kind))
            for number, kind in enumerate(kinds)
        ]
        for number in range(strikes.sender_kills):
            at_s = within_s / strikes.sender_kills * (number + rng.random())
            planned.append(Strike(at_s, cluster.kill_sender))
        for _ in range(strikes.broker_kills):
            away_s = rng.uniform(0, 2)
            # In the middle, so that there is load before and after.
            at_s = rng.uniform(within_s * 0.25, within_s * 0.75)
            planned.append(Strike(at_s, lambda away=away_s: cluster.kill_broker(away)))
        return cls(sorted(planned, key=lambda strike: strike.at_s))

    def add(self, strikes: Iterable[Strike]) -> None:
        """Plan more, before anything starts."""
        self.strikes = sorted([*self.strikes, *strikes], key=lambda strike: strike.at_s)

    def run(self) -> None:
        """Strike at the planned moments, counted from now."""
        begin = time.monotonic()
        for strike in self.strikes:
            time.sleep(max(0.0, begin + strike.at_s - time.monotonic()))
            now_s = time.monotonic() - begin
            self.diary.append(f"{now_s:6.2f} s  {strike.do()}")


def _strike(rng: random.Random, cluster: Cluster, kind: str) -> Callable[[], str]:
    name = rng.choice(sorted(cluster.workers))
    if kind == "wipe":
        return lambda: cluster.wipe_worker(name)
    if kind == "pause":
        whom = rng.choice(("engine", "all"))
        return lambda: cluster.pause_worker(name, whom)
    part = rng.choice(("engine", "parent", "both"))
    return lambda: cluster.kill_worker(name, part)
