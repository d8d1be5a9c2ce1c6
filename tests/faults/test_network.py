"""A worker that is cut from its broker, one way or both, for a moment or for longer than it may be silent."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import PROGRAM, Cluster
from tests.faults.case import THRICE, Case, must_be_exact
from tests.faults.clusters import NodesCluster
from tests.faults.loads import sites
from tests.faults.nemesis import Strike
from tests.faults.network import WAYS, Direction, Network
from tests.nodes import Listener, Nodes

CUTS_S = ((0.5, 4.0), (12.0, 18.0), (12.0, 18.0), (42.0, 50.0))
"""Within a member's session, beyond it, and beyond the time-out of its requests."""
APART = "w0"


class Apart(NodesCluster):
    """Workers of which one reaches the broker over a cable that can be cut."""

    def __init__(self, folder: Path, stream: str) -> None:
        self.network = Network()
        super().__init__(folder, stream, Nodes(folder / "nodes", further=Listener("PLAINTEXT", self.network.here)))

    def stand_on(self, standing: ExitStack) -> None:
        """The nodes, behind the cable."""
        standing.enter_context(self.network)
        super().stand_on(standing)

    def worker_command(self, name: str, *options: str) -> list[str]:
        """One of them is inside."""
        if name != APART:
            return super().worker_command(name, *options)
        words = ("worker", self.stream, "--id", name, *options, "--data", str(self.folder / "data"))
        return self.network.inside(str(PROGRAM), *words, "--brokers", self.nodes.bootstrap(further=True))


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_a_worker_that_was_cut_from_its_broker_publishes_nothing_old(tmp_path: Path, seed: int) -> None:
    """Others take its partitions over; healed, it is fenced, or goes on where it was."""
    case = Case(seed, sites.make(seed, 200_000), 1_500, workers=3, more=cuts, cluster=Apart)
    must_be_exact(case, tmp_path)


def cuts(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
    """One of each length, in any order."""
    lengths = [rng.uniform(*between) for between in CUTS_S]
    rng.shuffle(lengths)
    pause_s = (0.9 * within_s - sum(lengths)) / len(lengths)
    at_s, strikes = 0.0, list[Strike]()
    for length in lengths:
        at_s += pause_s * rng.random()
        direction = rng.choice(WAYS)
        strikes.append(Strike(at_s, partial(cut, cluster, direction, length)))
        at_s += length
    return strikes


def cut(cluster: Cluster, direction: Direction, seconds: float) -> str:
    """Cut the cable, and mend it after so many seconds."""
    assert isinstance(cluster, Apart)
    cluster.network.cut(direction)
    try:
        threading.Event().wait(seconds)
    finally:
        cluster.network.heal()
    return f"healed {APART}, which was cut off ({direction}) for {seconds:.1f} s"
