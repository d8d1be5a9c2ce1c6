"""What a worker keeps on its disk may be full, torn or old: it is a copy, and the changelog has the rest."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.faults.case import THRICE, Case, must_be_exact
from tests.faults.clusters import NodesCluster, compacting
from tests.faults.disk import Disk
from tests.faults.loads import sites
from tests.faults.nemesis import Strike, Strikes
from tests.faults.tearing import OldCopy, tear
from tests.waiting import until

FULL = "No space left on device"
NOTICED_S = 60.0
GAVE_UP_S = 400.0
"""Ten failures with ever longer waits between them take some four minutes."""


class SmallDisk(Cluster):
    """A cluster whose worker ``w0`` keeps its state on a small disk of its own."""

    def stand_on(self, standing: ExitStack) -> None:
        """The broker, and the disk."""
        self.disk = standing.enter_context(Disk(self.state_of("w0"), megabytes=48))
        super().stand_on(standing)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_a_disk_that_was_full_for_a_while_leaves_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """The engine ends with a line that says so, starts again for as long as it takes, and goes on from its stamp."""

    def fill(cluster: Cluster, seconds: float) -> str:
        assert isinstance(cluster, SmallDisk)
        told = cluster.log_of("w0").count(FULL)
        done = cluster.disk.fill()
        try:
            until(lambda: cluster.log_of("w0").count(FULL) > told, "the engine says that its disk is full", NOTICED_S)
            threading.Event().wait(seconds)
        finally:
            done += f"; {seconds:.1f} s after it was noticed {cluster.disk.free()}"
        return done

    plan = spread(3, lambda rng, cluster: fill(cluster, rng.uniform(0, 8)))
    must_be_exact(Case(seed, sites.make(seed, 120_000), 2_000, more=plan, cluster=SmallDisk), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_a_worker_whose_disk_stays_full_ends_with_the_reason_and_goes_on_when_there_is_room(
    tmp_path: Path, seed: int
) -> None:
    """Ten failures in a row are enough: exit 1, and the last line says which directory, what is wrong, what to do."""

    def fill(cluster: Cluster) -> str:
        assert isinstance(cluster, SmallDisk)
        worker = cluster.workers["w0"]
        done = cluster.disk.fill()
        try:
            with cluster.unkept():
                code = worker.wait(GAVE_UP_S)
                last = cluster.log_of("w0").strip().splitlines()[-1]
                assert code == 1, f"exit code {code}: {last}"
                assert FULL in last, last
                assert "free space" in last, last
        finally:
            cluster.disk.free()
        return f"{done}; the worker ended with {code}: {last}"

    def plan(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
        return [Strike(rng.uniform(0.2, 0.5) * within_s, lambda: fill(cluster))]

    must_be_exact(Case(seed, sites.make(seed, 30_000), 1_000, more=plan, cluster=SmallDisk), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_torn_state_leaves_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """Files cut, flipped or lost, of every partition of a worker: it is noticed, thrown away and restored."""

    def strike(rng: random.Random, cluster: Cluster) -> str:
        return cluster.change_state(rng.choice(sorted(cluster.workers)), lambda state: tear(rng, state))

    # Of few sites each row is written so often that a later one covers what a torn log has lost.
    load, strikes = sites.make(seed, 150_000, sites=20_000), Strikes(kills=3)
    must_be_exact(Case(seed, load, 2_000, strikes, more=spread(6, strike)), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_old_state_on_a_changelog_that_was_compacted_since_leaves_every_summary_exact(
    tmp_path: Path, seed: int
) -> None:
    """Compaction runs every second, between crashes; a copy of a worker's state comes back after a while."""
    copy = OldCopy(tmp_path / "copy")
    found: list[tuple[int, int]] = []

    def strike(rng: random.Random, cluster: Cluster) -> str:
        assert isinstance(cluster, NodesCluster)
        found.append(cluster.entries())
        left, sent = found[-1]
        return f"{cluster.change_state('w0', copy.swap)}; of at least {sent} changelog entries {left} are left"

    strikes = Strikes(kills=4, wipes=2)
    case = Case(seed, sites.make(seed, 150_000), 2_000, strikes, more=spread(4, strike), cluster=compacting)
    must_be_exact(case, tmp_path)
    left, sent = found[-1]
    assert left < sent / 2, f"compaction has hardly run: {found}"


def spread(
    count: int, strike: Callable[[random.Random, Cluster], str]
) -> Callable[[random.Random, Cluster, float], Sequence[Strike]]:
    """A plan: ``strike`` so many times, at a random moment of each slice of the first three quarters of a case."""

    def plan(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
        slice_s = 0.75 * within_s / count
        moments = [slice_s * (number + rng.random()) for number in range(count)]
        return [Strike(at_s, partial(strike, random.Random(rng.random()), cluster)) for at_s in moments]

    return plan
