"""What a record costs when there is more of something: workers, keys, state, partitions, bytes.

    for table in partitions(Bench(Path("/tmp/bench"), events=200_000)):
        print(table.markdown())

Counted is `sites`. What must not cost: keys and state that no record touches, and partitions, for which there is one
producer each. What may: a record that finds its site alone in its epoch pays for that site's rows and summary by
itself. As everywhere, there are no figures unless all summaries are what the batch script says.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ops.topics import ensure
from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.curves import curve
from tests.bench.figures import Cell, Table
from tests.bench.measure import Cost, Tree
from tests.bench.resting import resting
from tests.bench.rig import LIMIT_S, Drained, Rig

KEYS = (10_000, 100_000, 1_000_000)
STATES = (1, 1, 2, 4)
"""Backlogs that are counted one after the other, in eighths of all."""
PARTITIONS = (8, 32, 128, 256)
SIZES = (100, 1_000, 10_000)
MOST_BYTES = 400_000_000
"""Of an input of large records."""
WORKERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "one worker": {"one": ()},
    "two workers": {"two-a": (), "two-b": ()},
    "one worker, `--processes 2`": {"both": ("--processes", "2")},
}
"""Options of each worker, by what they are together."""


def workers(bench: Bench) -> list[Table]:
    """The same backlog for one worker, for two, and for one of two processes; all cores are everybody's."""
    path = bench.inputs.many_sites(bench.events, SITES_COUNT)
    rows: list[tuple[Cell, ...]] = []
    with _on_all_cores(bench.rig()) as rig:
        starts = {what: _started(rig, names) for what, names in WORKERS.items()}
        rig.load(path)
        alone = 0.0
        for what, names in WORKERS.items():
            cost, broker_s = _together(rig, names)
            ready_s, start_s = starts[what]
            rig.check(bench.right(path))
            rate = cost.events / (cost.wall_s - ready_s)
            alone = alone or rate
            cpu_us = (cost.cpu_s - start_s) / cost.events * 1e6
            rows.append((what, rate, rate / alone, cpu_us, broker_s / cost.events * 1e6, start_s, cost.peak_mb))
            rig.uncount()
    columns = (
        "what",
        "events/s",
        "times one",
        "CPU µs an event",
        "broker, CPU µs an event",
        "CPU s of the start",
        "peak MB",
    )
    note = "The time and the CPU of the start are left out. The broker has no core of its own here."
    return [
        Table(f"Workers beside each other: {bench.events:,} events, 4 partitions, all cores", columns, rows, [note])
    ]


@contextmanager
def _on_all_cores(rig: Rig) -> Generator[Rig]:
    """A rig whose broker may run wherever the workers may."""
    with rig.cluster:
        ensure(rig.kafka, rig.schema, partitions=rig.partitions)
        yield rig


def _started(rig: Rig, names: Mapping[str, tuple[str, ...]]) -> tuple[float, float]:
    """Start and stop workers that have nothing to do: seconds until all are ready, and the CPU seconds of that."""
    begin = time.monotonic()
    trees = _start(rig, names)
    rig.cluster.wait_until_ready()
    found = time.monotonic() - begin, sum(tree.cpu_s() for tree in trees)
    _stop(rig, names)
    rig.forget()
    return found


def _together(rig: Rig, names: Mapping[str, tuple[str, ...]]) -> tuple[Cost, float]:
    """Count everything with these workers: their cost, and the CPU seconds of the broker meanwhile."""
    progress = rig.progress()
    events = sum(progress.ends().values())
    broker = Tree(rig.cluster.broker.pid)
    begin, broker_s = time.monotonic(), broker.cpu_s()
    trees = _start(rig, names)
    progress.wait(LIMIT_S, lambda: _alive(rig, names))
    wall_s = time.monotonic() - begin
    cost = Cost(events, sum(tree.cpu_s() for tree in trees), wall_s, sum(tree.peak_mb() for tree in trees))
    broker_s = broker.cpu_s() - broker_s
    _stop(rig, names)
    return cost, broker_s


def _start(rig: Rig, names: Mapping[str, tuple[str, ...]]) -> list[Tree]:
    for name, options in names.items():
        rig.cluster.start_worker(name, "--leave", *options)
    return [Tree(rig.cluster.workers[name].pid) for name in names]


def _alive(rig: Rig, names: Mapping[str, tuple[str, ...]]) -> None:
    for name in names:
        if rig.cluster.workers[name].poll() is not None:
            raise RuntimeError(f"the worker {name} ended: {rig.cluster.log_of(name).splitlines()[-1:]}")


def _stop(rig: Rig, names: Mapping[str, tuple[str, ...]]) -> None:
    for name in names:
        rig.cluster.stop_worker(name)


# -- keys, state, partitions, bytes


def keys(bench: Bench) -> list[Table]:
    """Two backlogs over so many sites: in the first one all are new, in the second one all are known."""
    each = bench.events // 2
    counts = [count for count in KEYS if count <= each]
    rows: list[tuple[Cell, ...]] = []
    for count in counts:
        path = bench.inputs.all_sites(2 * each, count)
        with bench.rig().running() as rig:
            start_s = resting(rig).start_s
            parts = [_counted(rig, part, start_s) for part in bench.inputs.parts(path, [each, each])]
            rig.check(bench.right(path))
        rows += [(f"{count:,}", what, *_figures(one)) for what, one in zip(("new", "known"), parts, strict=True)]
        _tidy(rig)
    title = f"Keys: {each:,} events spread evenly over so many sites, and as many again, 4 partitions"
    lines = {f"{name} sites": [_us(row) for row in rows if row[1] == name] for name in ("new", "known")}
    picture = curve("CPU µs an event against sites", [_short(count) for count in counts], lines)
    return [Table(title, ("sites", "they are", *FIGURES), rows, [START], picture)]


def state(bench: Bench) -> list[Table]:
    """Backlogs of the same sites, one after the other: more and more is known of each of them."""
    each = bench.events // 4
    backlogs = [each * share for share in STATES]
    path = bench.inputs.all_sites(sum(backlogs), SITES_COUNT)
    rows: list[tuple[Cell, ...]] = []
    with bench.rig().running() as rig:
        start_s = resting(rig).start_s
        for done, part in enumerate(bench.inputs.parts(path, backlogs)):
            one = _counted(rig, part, start_s)
            rows.append((f"{sum(backlogs[:done]):,}", *_figures(one), one.state_bytes / 1e6))
        rig.check(bench.right(path))
    _tidy(rig)
    columns = ("events counted before", *FIGURES, "state then, MB of rows")
    places = [_short(sum(backlogs[:done])) for done in range(len(backlogs))]
    picture = curve("CPU µs an event against events before", places, {"": [_us(row) for row in rows]})
    return [Table(f"State: events of the same {SITES_COUNT:,} sites, 4 partitions", columns, rows, [START], picture)]


def partitions(bench: Bench) -> list[Table]:
    """The same backlog in so many partitions, of one worker; and what they cost one that is idle."""
    path = bench.inputs.all_sites(bench.events // 2, SITES_COUNT)
    idle: list[tuple[Cell, ...]] = []
    rows: list[tuple[Cell, ...]] = []
    for count in PARTITIONS:
        with bench.rig(count).running() as rig:
            found = resting(rig)
            idle.append(
                (
                    count, found.ready_s, found.start_s, found.share * 100, found.broker_share * 100,
                    found.rss_mb, found.threads, found.files, found.connections,
                )
            )  # fmt: skip
            rows.append((str(count), *_figures(_counted(rig, path, found.start_s))))
            rig.check(bench.right(path))
        _tidy(rig)
    title = f"Partitions: {bench.events // 2:,} events of {SITES_COUNT:,} sites, one worker"
    columns = (
        "partitions", "start to ready, s", "CPU s of the start", "idle, % of a core", "broker then, % of a core",
        "resident MB", "threads", "open files", "connections",
    )  # fmt: skip
    picture = curve(
        "CPU µs an event against partitions", [str(row[0]) for row in rows], {"": [_us(row) for row in rows]}
    )
    costs = Table(title, ("partitions", *FIGURES), rows, [START], picture)
    return [costs, Table("Partitions of an idle worker", columns, idle)]


def sizes(bench: Bench) -> list[Table]:
    """Messages of so many bytes."""
    rows: list[tuple[Cell, ...]] = []
    for nbytes in SIZES:
        path = bench.inputs.sized(min(bench.events // 2, MOST_BYTES // nbytes), SITES_COUNT, nbytes)
        with bench.rig().running() as rig:
            start_s = resting(rig).start_s
            one = _counted(rig, path, start_s)
            rig.check(bench.right(path))
        _tidy(rig)
        size = path.stat().st_size / one.cost.events
        rows.append((f"{size:,.0f}", f"{one.cost.events:,}", *_figures(one), size / one.cost.us_per_event))
    columns = ("bytes", "records", *FIGURES, "MB for each CPU-second")
    picture = curve(
        "CPU µs an event against its bytes", [str(row[0]) for row in rows], {"": [_us(row) for row in rows]}
    )
    title = f"Record size: messages of {SITES_COUNT:,} sites, 4 partitions"
    return [Table(title, columns, rows, [START], picture)]


CASES: dict[str, Callable[[Bench], list[Table]]] = {
    "workers": workers,
    "keys": keys,
    "state": state,
    "partitions": partitions,
    "sizes": sizes,
}


FIGURES = ("CPU µs an event", "events/s", "peak MB", "changelog rows an event", "summaries an event", "epochs")
START = "The CPU of the worker's start is left out, its time is not. All sites' summaries are the batch script's."


def _figures(one: Drained) -> tuple[Cell, ...]:
    cost, done = one.cost, one.counters
    written = done["rows"] / cost.events, done["summaries"] / cost.events
    return cost.us_per_event, cost.events / cost.wall_s, cost.peak_mb, *written, done["epochs"]


def _us(row: tuple[Cell, ...]) -> float:
    """The cost in a row of a table: its first figure that is no whole number."""
    return next(cell for cell in row if isinstance(cell, float))


def _counted(rig: Rig, path: Path, start_s: float) -> Drained:
    """Send ``path`` and count it, after whatever was counted before; without the CPU of the worker's start."""
    events = rig.load(path).events
    drained = rig.drain()
    return replace(drained, cost=replace(drained.cost, events=events, cpu_s=drained.cost.cpu_s - start_s))


def _tidy(rig: Rig) -> None:
    """Nobody needs the broker's data and the state any more."""
    shutil.rmtree(rig.folder)


def _short(count: int) -> str:
    """A round number as a label.

    >>> _short(10_000), _short(1_500_000), _short(0)
    ('10 k', '1.5 M', '0')
    """
    if count >= 1_000_000:
        return f"{count / 1e6:g} M"
    return f"{count / 1e3:g} k" if count else "0"
