"""How long summaries stand still after a kill -9 or a lost machine, and how quickly a changelog gives state back.

    for table in recovery(Bench(Path("/tmp/bench"), events=200_000)):
        print(table.markdown())

Two states are killed: large rows (what the usual backlog leaves) and many small ones (sites of one event each). Records
trickle in all the while. The clock starts at the kill and stops when a reader gets a summary that was sent after it;
what a start takes without anything to restore is measured first, so that the rate of restoring is that of restoring
alone. Where a machine is lost, another worker has followed its partitions.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ops.worker import directory
from processors.transport import SESSION_TIMEOUT_S
from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.figures import Cell, Table
from tests.bench.measure import core
from tests.bench.rig import WORKER, Rig
from tests.bench.watch import Watch
from tests.cluster import Cluster, kill, tree_of
from tests.waiting import until

TRICKLE_RATE = 500
TRICKLE_S = 600
LIMIT_S = 600.0
LEAST_S = 0.1
"""A restore that takes less tells no rate."""
TAKE_OVERS = 3
TWO = ("one", "other")
RESTORED = re.compile(r'"event":"partition restored".*?"entries":(\d+)')
RESTORED_AT = re.compile(r'"time":"([^"]+)"[^\n]*"event":"partition restored"')


class Start(NamedTuple):
    """A start until the worker is ready."""

    seconds: float
    cpu_s: float
    entries: int
    """Changelog entries that it read."""


class Restored(NamedTuple):
    """Two starts that differ in what is to be restored."""

    kept: Start
    """With the state on the disk."""
    empty: Start
    """Without."""

    def told(self, row_bytes: int) -> str:
        """The rate, in words, where there is one: ``row_bytes`` were in the changelog."""
        seconds, cpu_s = self.empty.seconds - self.kept.seconds, self.empty.cpu_s - self.kept.cpu_s
        if seconds < LEAST_S:
            return "too few entries to tell a rate"
        return (
            f"{self.empty.entries / seconds:,.0f} entries/s, {row_bytes / 1e6 / seconds:.0f} MB/s of rows, "
            f"{cpu_s / self.empty.entries * 1e6:.2f} CPU s per million entries"
        )


def recovery(bench: Bench) -> list[Table]:
    """From kill -9, and from the loss of a machine, to the first new summary; entries a second of a restore."""
    trickle = bench.inputs.equal_sites(TRICKLE_RATE * TRICKLE_S, TRICKLE_S)
    large = bench.inputs.many_sites(bench.events, SITES_COUNT)
    keys = bench.events // 2
    small = bench.inputs.all_sites(keys, keys)
    tables: list[Table] = []
    for path, what in (
        (large, f"{bench.events:,} events of {SITES_COUNT:,} sites"),
        (small, f"{keys:,} sites of one event"),
    ):
        with bench.rig().running() as rig:
            rig.load(path)
            row_bytes = rig.drain().counters["row_bytes"]
            rig.check(bench.right(path))
            tables.append(recovered(rig, trickle, what, row_bytes))
    return [*tables, _taken_over(bench, trickle)]


def recovered(rig: Rig, trickle: Path, what: str, row_bytes: int) -> Table:
    """Kill and start the worker of a rig whose input is counted, in every way.

    Args:
        rig: its worker has stopped.
        trickle: records that come meanwhile.
        what: the state, in words.
        row_bytes: of the changelog.
    """
    one_core, all_cores = _restored(rig, pinned=True), _restored(rig, pinned=False)
    with _trickling(rig.cluster, trickle), Watch(rig.kafka, rig.partitions) as watch:
        rig.start()
        strikes = [
            ("kill -9 of the engine (the parent starts it again)", _strike(rig, watch, engine_only=True)),
            ("kill -9 of parent and engine, started again at once", _strike(rig, watch)),
            ("the same, and the state's directory is gone, too", _strike(rig, watch, forget=True)),
        ]
    rig.stop()
    rows: list[tuple[Cell, ...]] = [
        ("start, state on the disk", one_core.kept.seconds, ""),
        (f"start, state from the changelog ({one_core.empty.entries:,} entries)", one_core.empty.seconds, ""),
        *((name, restored_s, summary_s) for name, (restored_s, summary_s) in strikes),
    ]
    note = (
        f"Restored on the worker's core: {one_core.told(row_bytes)}; on all {os.cpu_count()} cores, which the broker "
        f"shares: {all_cores.told(row_bytes)} (what a start takes more than one with its state on the disk)."
    )
    columns = ("what", "until all is restored, s", "until the first new summary, s")
    return Table(f"After a kill -9: state of {what}, {rig.partitions} partitions", columns, rows, [note])


def _restored(rig: Rig, *, pinned: bool) -> Restored:
    """Start a worker that has its state, and one that must fetch it; both are stopped."""
    kept = _start_to_ready(rig, pinned=pinned)
    rig.forget()
    return Restored(kept, _start_to_ready(rig, pinned=pinned))


def _start_to_ready(rig: Rig, *, pinned: bool) -> Start:
    rig.log.unlink(missing_ok=True)
    begin = time.monotonic()
    _, cpu_s = rig.start_idle(pinned=pinned)
    seconds = time.monotonic() - begin
    rig.stop()
    return Start(seconds, cpu_s, sum(int(entries) for entries in RESTORED.findall(rig.log.read_text())))


def _strike(rig: Rig, watch: Watch, *, engine_only: bool = False, forget: bool = False) -> tuple[float, float]:
    """Kill; seconds until the last partition is restored, and until a reader sees the first summary sent afterwards."""
    everything = set(range(rig.partitions))
    watch.wait_for(everything, LIMIT_S, after=time.time())
    worker = rig.cluster.workers[WORKER]
    parent, *engines = tree_of(worker.pid)
    at, begin = time.time(), time.monotonic()
    for process in engines if engine_only else [parent, *engines]:
        kill(process)
    if not engine_only:
        worker.wait()
        if forget:
            rig.forget()
        rig.start()
    summary_s = watch.wait_for(everything, LIMIT_S, after=at) - begin
    restored_at = max(datetime.fromisoformat(told).timestamp() for told in RESTORED_AT.findall(rig.log.read_text()))
    return restored_at - at, summary_s


def _taken_over(bench: Bench, trickle: Path) -> Table:
    """Lose one of two workers, each of which follows the other's partitions."""
    rows: list[tuple[Cell, ...]] = []
    with bench.rig().running() as rig, Watch(rig.kafka, rig.partitions) as watch:
        cluster = rig.cluster
        for name in TWO:
            cluster.start_worker(name, "--standbys", "1")
        with _trickling(cluster, trickle):
            for number in range(TAKE_OVERS):
                lost, left = TWO[number % 2], TWO[1 - number % 2]
                until(lambda: all(_counts(rig, name) for name in TWO), "both workers count", LIMIT_S)
                partitions = _counts(rig, lost)
                watch.wait_for(set(range(rig.partitions)), LIMIT_S, after=time.time())
                at, begin = time.time(), time.monotonic()
                cluster.lose_worker(lost)
                watch.wait_for(partitions, LIMIT_S, after=at)
                new = {one.partition: one.at for one in reversed(watch.seen) if one.sent_at > at}
                took = [new[partition] - begin for partition in partitions]
                rows.append((f"{lost} is lost, {left} goes on", len(partitions), min(took), max(took)))
                cluster.start_worker(lost, "--standbys", "1")
    columns = ("what", "partitions", "first new summary of one of them, s", "of the last, s")
    note = f"A member that is silent for {SESSION_TIMEOUT_S:g} s has left the group."
    return Table("A machine is lost whose partitions a standby follows", columns, rows, [note])


def _counts(rig: Rig, worker: str) -> set[int]:
    """The partitions that a worker says it counts."""
    return {number for entry in directory.read(rig.kafka) if entry.worker == worker for number in entry.active}


@contextmanager
def _trickling(cluster: Cluster, path: Path) -> Generator[None]:
    command = cluster.command("replay", "sites", str(path), "--quiet", "--rate", str(TRICKLE_RATE))
    with core(measured=False):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
