"""Brokers that are stopped, killed and lost, of one and of three: workers ride it out, or go on from the stamp."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.cluster import Cluster
from tests.faults.case import THRICE, Case, must_be_exact
from tests.faults.clusters import NodesCluster
from tests.faults.loads import sites
from tests.faults.nemesis import Strike, Strikes
from tests.faults.transactions import open_transactions
from tests.nodes import Nodes

ALWAYS_SENDING = ("--epoch", "20ms")
"""A transaction is open nearly all the time."""
SHORT_S, SESSION_S, REQUEST_S, TRANSACTION_S = (0.1, 2.0), (11.0, 14.0), (42.0, 46.0), (62.0, 66.0)
"""How long a broker is stopped: within all time-outs, and beyond those of a member's session, of a client's request
and of a transaction."""
SLOWLY = 1_000
"""Records/s: all that came during the longest stop is sent at once behind it, and then there must be load to strike."""


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("longest_s", [SESSION_S, REQUEST_S, TRANSACTION_S], ids=["session", "request", "transaction"])
@THRICE
def test_a_broker_that_is_stopped_in_the_middle_of_transactions_leaves_every_summary_exact(
    tmp_path: Path, seed: int, longest_s: tuple[float, float]
) -> None:
    """Five short stops and a long one, each while the broker's log holds open transactions; and it is killed, too."""
    begun: list[int] = []

    def plan(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
        lengths = [rng.uniform(*SHORT_S) for _ in range(5)] + [rng.uniform(*longest_s)]
        rng.shuffle(lengths)
        return [
            Strike(within_s / 6 * (number + 0.5 * rng.random()), partial(stop_in_the_middle, cluster, length, begun))
            for number, length in enumerate(lengths)
        ]

    load, strikes = sites.make(seed, 120_000), Strikes(kills=1, broker_kills=1)
    must_be_exact(Case(seed, load, SLOWLY, strikes, options=ALWAYS_SENDING, more=plan), tmp_path)
    assert len(begun) == 6, f"--seed {seed}"


def stop_in_the_middle(cluster: Cluster, seconds: float, begun: list[int]) -> str:
    """Stop the broker while transactions are open; how many goes into ``begun``."""
    logs, changelog = cluster.broker.home.root / "kafka", sites.SITES.topics.changelog

    def some() -> bool:
        found = open_transactions(logs, changelog)
        begun.extend([found] if found else [])
        return found > 0

    return f"{cluster.pause_broker(seconds, some)}, in the middle of {begun[-1]} transactions"


def three(folder: Path, stream: str) -> NodesCluster:
    """Three brokers with three copies of everything, two of which must be in sync."""
    return NodesCluster(folder, stream, Nodes(folder / "nodes", count=3))


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_three_brokers_of_which_one_or_two_are_lost_leave_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """A leader is killed under load, or stopped; then two of three are lost: nobody can write until one is back."""
    load = sites.make(seed, 150_000)
    must_be_exact(Case(seed, load, 1_500, Strikes(kills=2), more=losses, cluster=three), tmp_path)


def losses(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
    """Two leaders killed, one stopped, two brokers lost at once; in any order, each for a while."""
    assert isinstance(cluster, NodesCluster)
    kinds: list[Callable[[NodesCluster, random.Random], str]] = [kill_leader, kill_leader, stop_leader, lose_two]
    rng.shuffle(kinds)
    moments = [within_s / len(kinds) * (number + 0.4 * rng.random()) for number in range(len(kinds))]
    return [
        Strike(at_s, partial(kind, cluster, random.Random(rng.random())))
        for at_s, kind in zip(moments, kinds, strict=True)
    ]


def leader(cluster: NodesCluster, rng: random.Random) -> int:
    """The leader of some partition of what the workers write."""
    topics = AdminClient({**cluster.kafka}).list_topics(timeout=20).topics
    name = rng.choice([name for name in topics if cluster.stream in name or name.startswith("__transaction")])
    return rng.choice([part.leader for part in topics[name].partitions.values() if part.leader > 0])


def kill_leader(cluster: NodesCluster, rng: random.Random) -> str:
    """Kill it, and start it again when another one leads."""
    number, away_s = leader(cluster, rng), rng.uniform(3, 8)
    cluster.nodes.kill(number)
    threading.Event().wait(away_s)
    cluster.nodes.start(number)
    return f"kill -9 broker {number}, which led; started again {away_s:.1f} s later"


def stop_leader(cluster: NodesCluster, rng: random.Random) -> str:
    """Stop it until another one leads, and resume it: it believes that it leads still."""
    number, seconds = leader(cluster, rng), rng.uniform(4, 12)
    cluster.nodes.signal(number, signal.SIGSTOP)
    try:
        threading.Event().wait(seconds)
    finally:
        cluster.nodes.signal(number, signal.SIGCONT)
    return f"stop broker {number}, which led, for {seconds:.1f} s"


def lose_two(cluster: NodesCluster, rng: random.Random) -> str:
    """Kill two at once: too few copies to write, and no quorum of controllers. Both come back."""
    first, second = rng.sample(list(cluster.nodes.numbers), 2)
    away_s = rng.uniform(5, 15)
    cluster.nodes.kill(first)
    cluster.nodes.kill(second)
    threading.Event().wait(away_s)
    cluster.nodes.spawn(first)
    cluster.nodes.spawn(second)
    cluster.nodes.wait_for(first)
    cluster.nodes.wait_for(second)
    return f"kill -9 brokers {first} and {second}; started again {away_s:.1f} s later"
