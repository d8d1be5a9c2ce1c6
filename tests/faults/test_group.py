"""Workers that come and go: a group that never comes to rest, and standbys that take over."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import pytest
from confluent_kafka import Message

from ops.worker import directory
from processors.transport import SESSION_TIMEOUT_S
from schemas.sites import SITES
from tests.cluster import Cluster
from tests.faults.case import THRICE, Case, must_be_exact, say
from tests.faults.checker import read
from tests.faults.loads import sites
from tests.faults.nemesis import Strike, Strikes
from tests.waiting import until

GUESTS = ("guest0", "guest1", "guest2")
OPTIONS = ("--epoch", "200ms", "--standbys", "1")
TAKEN_OVER_S = SESSION_TIMEOUT_S + 1.0
"""What we aim at: a silent member's place in the group, and a second."""
SLOW_MACHINE_S = 6.0
"""What a busy machine may take longer."""


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_a_storm_of_rebalances_during_restores_leaves_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """Every few seconds a worker joins, leaves or is killed, while others restore what they lost; with standbys."""
    load = sites.make(seed, 120_000, sites=20_000)
    case = Case(seed, load, 1_500, Strikes(wipes=4), standbys=1, more=storm)
    must_be_exact(case, tmp_path)


def storm(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
    """Guests come and go for as long as the case lasts; the last ones leave at its end."""
    strikes: list[Strike] = []
    at_s = 0.0
    while (at_s := at_s + rng.uniform(1.0, 5.0)) < 0.9 * within_s:
        strikes.append(Strike(at_s, partial(come_or_go, cluster, rng.choice(GUESTS), kill=rng.random() < 0.3)))
    return [*strikes, *(Strike(within_s, partial(go, cluster, guest)) for guest in GUESTS)]


def come_or_go(cluster: Cluster, guest: str, *, kill: bool) -> str:
    """A guest that is there goes, one that is not comes."""
    if guest not in cluster.workers:
        cluster.start_worker(guest, *OPTIONS, "--leave")
        return f"{guest} joins"
    return cluster.kill_worker(guest, "both") if kill else go(cluster, guest)


def go(cluster: Cluster, guest: str) -> str:
    """A guest leaves, if it is there."""
    return cluster.stop_worker(guest) if guest in cluster.workers else f"{guest} is not there"


class Read(Cluster):
    """A cluster that is read before it ends."""

    messages: list[Message]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.messages = read(self.kafka, SITES.topics.summaries) if error is None else []
        finally:
            super().__exit__(kind, error, trace)


@pytest.mark.long
@pytest.mark.timeout(300)
@THRICE
def test_a_standby_takes_over_within_a_second_of_the_session_timeout(tmp_path: Path, seed: int) -> None:
    """The machine of a worker is lost under load; its partitions' next summaries come from the standby."""
    clusters: list[Read] = []
    lost: list[tuple[float, list[int]]] = []

    def make(folder: Path, stream: str) -> Read:
        clusters.append(Read(folder, stream))
        return clusters[-1]

    def lose() -> str:
        (cluster,) = clusters
        partitions = until(lambda: owned_by(cluster, "w0"), "w0 counts partitions")
        done = cluster.lose_worker("w0")
        lost.append((time.time(), partitions))
        return done

    def plan(rng: random.Random, _: Cluster, within_s: float) -> Sequence[Strike]:
        return [Strike(within_s * rng.uniform(0.3, 0.5), lose)]

    load = sites.make(seed, 80_000, sites=5_000)
    must_be_exact(Case(seed, load, 1_500, standbys=1, more=plan, cluster=make), tmp_path)
    ((died_at, partitions),) = lost
    took_s = max(first_after(died_at, partition, clusters[0].messages) for partition in partitions)
    say(f"partitions {partitions} were published again {took_s:.1f} s after their worker was lost")
    assert took_s <= TAKEN_OVER_S + SLOW_MACHINE_S


def owned_by(cluster: Cluster, worker: str) -> list[int]:
    """The partitions that a worker says it counts."""
    return [number for entry in directory.read(cluster.kafka) if entry.worker == worker for number in entry.active]


def first_after(moment: float, partition: int, messages: Sequence[Message]) -> float:
    """Seconds from ``moment`` to the first summary that was made in ``partition`` after it."""
    times = [message.timestamp()[1] / 1000 for message in messages if message.partition() == partition]
    return min(at for at in times if at > moment) - moment
