"""Latency of `sites` in an open loop: what an epoch's length does to it, and to the CPU.

The loop itself is `tests.bench.open_loop`; the same for other engines, on a smaller job, `tests.bench.peers.pace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from schemas.sites import SITES
from schemas.wire import partition_of
from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.figures import Cell, Table
from tests.bench.measure import Tree, core
from tests.bench.open_loop import COLUMNS, Loop, Pace, Record, Step, send, without_collections
from tests.bench.rig import Rig
from tests.bench.watch import Echo, Watch
from tests.waiting import until

PACE = Pace(rate=20_000, warm_s=20, measured_s=30)
"""A new broker takes some fifteen seconds until its code is compiled and it answers as it will from then on."""
EPOCHS = ("100ms", "500ms")
LIMIT_S = 60.0


def latency(bench: Bench) -> list[Table]:
    """An open loop of 20,000 records/s: from a record's due time to the summary that counts it."""
    path = bench.inputs.many_sites(PACE.events, SITES_COUNT)
    rows: list[tuple[Cell, ...]] = []
    with bench.rig().running() as rig:
        rows.append(("no worker", *_open_loop(rig, path, Echo).cells))
    for epoch in EPOCHS:
        with bench.rig().running() as rig:
            tree = rig.start("--epoch", epoch)
            rig.wait_until_ready()
            loop = _open_loop(rig, path, Watch, tree)
            rig.check(bench.right(path))
            rig.stop()
        rows.append((epoch, *loop.cells))
    note = (
        f"After {PACE.warm_s:g} s to warm up, {PACE.measured_s:g} s; 4 partitions; the reader reads committed. Without "
        "a worker it reads the input: what sender, broker and reader take by themselves."
    )
    return [Table(f"Latency of an open loop of {PACE.rate:,} records/s", ("epoch", *COLUMNS), rows, [note])]


def _open_loop(rig: Rig, path: Path, watching: type[Watch], tree: Tree | None = None) -> Loop:
    """Send the lines of ``path``, and watch what comes of them."""
    values = path.read_bytes().splitlines()
    keys: list[bytes] = [orjson.loads(value)["site_id"].encode() for value in values]
    homes = {key: partition_of(key, rig.partitions) for key in set(keys)}
    records = [Record(value, key, homes[key]) for value, key in zip(values, keys, strict=True)]
    due: dict[int, list[float]] = {number: [] for number in range(rig.partitions)}
    with core(measured=False), watching(rig.kafka, rig.partitions) as watch, without_collections():
        sent = send(rig.kafka, SITES.topics.input, records, PACE, tree)
        for record, moment in zip(records, sent.due, strict=True):
            due[record.partition].append(moment)
        _await(watch, {number: len(moments) for number, moments in due.items()})
    # A revision is a position, and a partition's first record has the offset 0: it counts so many of them.
    steps = {
        number: [Step(one.at, one.revision) for one in watch.seen if one.partition == number]
        for number in range(rig.partitions)
    }
    return sent.loop(due, steps)


def _await(watch: Watch, ends: Mapping[int, int]) -> None:
    """Wait until the summaries count everything."""

    def counted() -> bool:
        newest = dict.fromkeys(ends, 0)
        for one in list(watch.seen):
            newest[one.partition] = max(newest[one.partition], one.revision)
        return all(newest[partition] >= end for partition, end in ends.items())

    until(counted, "summaries that count all that was sent", LIMIT_S)
