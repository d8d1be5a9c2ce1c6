"""Latency of an open loop: records arrive by a clock, whether the worker keeps up or not.

A record's latency runs from the moment at which it was due to be sent (not from when a busy sender came to it) to
the moment at which a ``read_committed`` reader is handed the first summary that counts it.
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import Producer

from schemas.sites import SITES
from schemas.wire import partition_of
from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.figures import Cell, Table
from tests.bench.measure import Tree, core
from tests.bench.rig import Rig
from tests.bench.watch import Echo, Seen, Watch

RATE = 20_000
WARM_S = 10
MEASURED_S = 30
TICK_S = 0.005
EPOCHS = ("100ms", "500ms")
LIMIT_S = 60.0


class Loop(NamedTuple):
    """What an open loop gave."""

    latencies_ms: list[float]
    """Of each record of the measured part, sorted."""
    cpu_s: float
    """Of the worker, while the measured part was sent; 0 without one."""
    late_ms: float
    """How far the sender was behind its clock at the worst: beyond some ms the figures are the sender's."""


def latency(bench: Bench) -> list[Table]:
    """An open loop of 20,000 records/s: from a record's due time to the summary that counts it."""
    path = bench.inputs.many_sites(RATE * (WARM_S + MEASURED_S), SITES_COUNT)
    rows: list[tuple[Cell, ...]] = []
    with bench.rig().running() as rig:
        rows.append(_row("no worker", _open_loop(rig, path, Echo)))
    for epoch in EPOCHS:
        with bench.rig().running() as rig:
            tree = rig.start("--epoch", epoch)
            rig.wait_until_ready()
            loop = _open_loop(rig, path, Watch, tree)
            rig.check(bench.right(path))
            rig.stop()
        rows.append(_row(epoch, loop))
    columns = ("epoch", "p50 ms", "p99 ms", "p99.9 ms", "worker, % of a core", "CPU µs an event", "sender late, ms")
    note = (
        f"After {WARM_S} s to warm up, {MEASURED_S} s; 4 partitions; the reader reads committed. Without a worker it "
        "reads the input: what sender, broker and reader take by themselves."
    )
    return [Table(f"Latency of an open loop of {RATE:,} records/s", columns, rows, [note])]


def _row(what: str, loop: Loop) -> tuple[Cell, ...]:
    found = [_percentile(loop.latencies_ms, share) for share in (0.5, 0.99, 0.999)]
    share, each = loop.cpu_s / MEASURED_S * 100, loop.cpu_s / (RATE * MEASURED_S) * 1e6
    return what, *found, *((share, each) if loop.cpu_s else ("", "")), loop.late_ms


def _open_loop(rig: Rig, path: Path, watching: type[Watch], tree: Tree | None = None) -> Loop:
    """Send the lines of ``path`` at `RATE`, and watch what comes of them."""
    values = path.read_bytes().splitlines()
    keys: list[bytes] = [orjson.loads(value)["site_id"].encode() for value in values]
    homes: dict[bytes, int] = {key: partition_of(key, rig.partitions) for key in set(keys)}
    due: list[list[float]] = [[] for _ in range(rig.partitions)]
    cpu_s = late_s = 0.0
    # Neither the worker's core nor a collection of a million records' garbage is part of what is measured.
    with core(measured=False), watching(rig.kafka, rig.partitions) as watch, _without_collections():
        # An idempotent producer has five requests under way; while a sixth waits, librdkafka's thread spins, on the
        # core that the broker needs to answer. Without repetitions a record's offset is its place in the order, too.
        producer = Producer({**rig.kafka, "acks": "all", "retries": 0, "linger.ms": 2, "log_level": 0})
        begin = time.monotonic()
        warm = begin + WARM_S
        for first in range(0, len(values), each := int(RATE * TICK_S)):
            at = begin + first / RATE
            rest = at - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            elif at > warm:
                late_s = max(late_s, -rest)
            if tree is not None and not cpu_s and at >= warm:
                cpu_s = tree.cpu_s()
            for key, value in zip(keys[first : first + each], values[first : first + each], strict=True):
                home = homes[key]
                producer.produce(SITES.topics.input, value, key, home)
                due[home].append(at)
            producer.poll(0)
        if tree is not None:
            cpu_s = tree.cpu_s() - cpu_s
        producer.flush()
        ends = {number: len(sent) for number, sent in enumerate(due)}
        _await(watch, ends)
    return Loop(sorted(_latencies_ms(due, watch.seen, warm)), cpu_s, late_s * 1000)


@contextmanager
def _without_collections() -> Generator[None]:
    """The garbage collector looks through a million records whenever it runs, and the sender is late meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _await(watch: Watch, ends: Mapping[int, int]) -> None:
    """Wait until the summaries count everything."""
    deadline = time.monotonic() + LIMIT_S
    while any(max((s.revision for s in watch.seen if s.partition == p), default=0) < end for p, end in ends.items()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not everything is counted {LIMIT_S:g} s after it was sent")
        time.sleep(0.1)


def _latencies_ms(due: Sequence[Sequence[float]], seen: Sequence[Seen], begin: float) -> list[float]:
    """Of all records that were due after ``begin``; a record's offset is its place in its partition's list.

    >>> [round(ms) for ms in _latencies_ms([[1.0, 1.2, 1.4]], [Seen(1.5, 0, 2, 0.0), Seen(1.6, 0, 3, 0.0)], 1.1)]
    [300, 200]
    """
    found: list[float] = []
    for partition, moments in enumerate(due):
        epochs = [one for one in seen if one.partition == partition]
        revisions = [one.revision for one in epochs]
        found += [
            (epochs[bisect_right(revisions, offset)].at - moment) * 1000
            for offset, moment in enumerate(moments)
            if moment >= begin
        ]
    return found


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest of sorted ``values`` that ``share`` of them do not exceed.

    >>> _percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    return values[max(0, -int(-len(values) * share // 1) - 1)]
