"""How long summaries stand still after a kill -9, and how quickly state comes back from its changelog.

The state is what the usual backlog leaves. Records trickle in all the while. The clock starts at the kill
and stops when a reader gets a summary that was sent after it; what a start takes without anything to restore is
measured first, so that the rate of restoring is that of restoring alone.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.figures import Cell, Table
from tests.bench.measure import core
from tests.bench.rig import WORKER, Rig
from tests.bench.watch import Watch
from tests.cluster import kill, tree_of

TRICKLE_RATE = 500
TRICKLE_S = 240
LIMIT_S = 120.0
RESTORED = re.compile(r'"event":"partition restored".*?"entries":(\d+)')


def recovery(bench: Bench) -> list[Table]:
    """From kill -9 to the first new summary; entries a second of a restore."""
    path = bench.inputs.many_sites(bench.events, SITES_COUNT)
    trickle = bench.inputs.equal_sites(TRICKLE_RATE * TRICKLE_S, TRICKLE_S)
    with bench.rig().running() as rig:
        rig.load(path)
        drained = rig.drain()
        rig.check(bench.right(path))
        kept_s, _ = _start_to_ready(rig)
        rig.stop()
        rig.forget()
        deleted_s, entries = _start_to_ready(rig)
        with _trickling(rig, str(trickle)), Watch(rig.kafka, rig.partitions) as watch:
            engine_s = _strike(rig, watch, engine_only=True)
            both_s = _strike(rig, watch, engine_only=False)
            empty_s = _strike(rig, watch, engine_only=False, forget=True)
        rig.stop()
    restoring_s = deleted_s - kept_s
    rows: list[tuple[Cell, ...]] = [
        ("start to ready, state on the disk", kept_s),
        (f"start to ready, state from the changelog ({entries:,} entries)", deleted_s),
        ("kill -9 of the engine → first new summary (the parent starts it again)", engine_s),
        ("kill -9 of parent and engine, started again at once → first new summary", both_s),
        ("the same, and the state's directory is gone, too", empty_s),
    ]
    note = "Too few entries to tell a rate"
    if restoring_s > 0.1:
        row_mb = drained.counters["row_bytes"] / 1e6
        note = f"Restored: {entries / restoring_s:,.0f} entries/s, {row_mb / restoring_s:.0f} MB/s of rows"
    title = f"After a kill -9: state of {bench.events:,} events of {SITES_COUNT:,} sites, 4 partitions"
    return [Table(title, ("what", "s"), rows, [f"{note} (what the second start takes more than the first)."])]


def _start_to_ready(rig: Rig) -> tuple[float, int]:
    """Start the worker; the seconds until it is ready, and how many changelog entries it read."""
    rig.log.unlink(missing_ok=True)
    begin = time.monotonic()
    rig.start()
    rig.wait_until_ready()
    seconds = time.monotonic() - begin
    return seconds, sum(int(entries) for entries in RESTORED.findall(rig.log.read_text()))


def _strike(rig: Rig, watch: Watch, *, engine_only: bool, forget: bool = False) -> float:
    """Kill; the seconds until a reader sees the first summary that was sent afterwards."""
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
    return watch.wait_for(everything, LIMIT_S, after=at) - begin


@contextmanager
def _trickling(rig: Rig, path: str) -> Generator[None]:
    command = rig.cluster.command("replay", "sites", path, "--quiet", "--rate", str(TRICKLE_RATE))
    with core(measured=False):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
