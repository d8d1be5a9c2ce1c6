"""A worker dies exactly where it could hurt: between any two steps of an epoch, of a recovery, of a rebalance.

The points are those of `processors.crash_points`; each is lit at a random moment of a case, and must be reached.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from processors.crash_points import POINTS, VARIABLE
from tests.cluster import Cluster, kill, tree_of
from tests.faults.case import THRICE, Case, must_be_exact
from tests.faults.loads import renders, sites
from tests.faults.nemesis import Strike
from tests.faults.workload import Workload
from tests.waiting import until

BURNS_S = 90.0
GUEST = "guest"
READY = '"event":"ready"'
IN_EPOCHS = {point for point in POINTS if point.startswith(("before-", "after-commit", "in-store"))}
"""Points that a worker comes by again and again while it counts; the others need an occasion."""


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_a_crash_at_every_point_leaves_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """Ten crashes, one at each point, each time in another order and at other passages."""
    must_be_exact(crashing(seed, sites.make(seed, 180_000), tmp_path), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_a_crash_at_every_point_of_either_stage_leaves_every_cell_exact(tmp_path: Path, seed: int) -> None:
    """Counting or merging, whichever gets there first dies, and the other with it."""
    must_be_exact(crashing(seed, renders.make(seed, 100_000), tmp_path), tmp_path)


def crashing(seed: int, load: Workload, folder: Path) -> Case:
    """A case whose workers die at every point, one after the other."""
    fuse = folder / "fuse"

    def plan(rng: random.Random, cluster: Cluster, within_s: float) -> Sequence[Strike]:
        points = [*POINTS]
        rng.shuffle(points)
        # On a machine that is busy each takes longer than its slice; there must be load for the last one, too.
        slice_s = 0.6 * within_s / len(points)
        return [
            Strike(slice_s * (number + 0.5 * rng.random()), light(cluster, fuse, point, rng.randint(1, 5), rng))
            for number, point in enumerate(points)
        ]

    return Case(seed, load, rate=1_000, more=plan, env={VARIABLE: str(fuse)})


def light(cluster: Cluster, fuse: Path, point: str, passages: int, rng: random.Random) -> Callable[[], str]:
    """Light the fuse, give it an occasion, and wait until somebody has died of it."""
    burnt = fuse.with_suffix(".burnt")
    host = rng.choice(sorted(cluster.workers))

    def do() -> str:
        draft = fuse.with_suffix(".draft")
        draft.write_text(f"{point}:{passages if point in IN_EPOCHS else 1}")
        draft.rename(fuse)
        occasion = "" if point in IN_EPOCHS else f" after: {give_occasion(cluster, point, host, burnt)}"
        until(burnt.exists, f"somebody dies at {point}", BURNS_S)
        burnt.unlink()
        # What is left of that worker would wait ever longer before it starts its engine again.
        trees = {name: tree_of(process.pid) for name, process in cluster.workers.items()}
        dead = [name for name, tree in trees.items() if len(tree) == 1]
        for name in dead:
            kill(trees[name][0])
        if GUEST in cluster.workers:
            cluster.stop_worker(GUEST)
        return f"{' and '.join(dead) or 'a worker'} died at {point} (passage {passages}){occasion}"

    return do


def give_occasion(cluster: Cluster, point: str, host: str, burnt: Path) -> str:
    """Make somebody restore, or the group change hands."""
    if point in {"in-recovery", "after-recovery"}:
        return cluster.wipe_worker(host)
    cluster.start_worker(GUEST, "--epoch", "200ms", "--leave", env=cluster.env_of(host))
    begun = len(cluster.log_of(GUEST))
    until(lambda: burnt.exists() or READY in cluster.log_of(GUEST)[begun:], f"{GUEST} is ready", BURNS_S)
    if burnt.exists():
        return f"{GUEST} joins"
    # It joined amid a change that had begun before the fuse was lit, and took nothing from anybody.
    return f"{GUEST} joins, and {cluster.stop_worker(GUEST)}"
