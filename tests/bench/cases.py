"""What a backlog of `sites` costs a worker: beside the batch script, hot, large, and larger than its memory.

    for table in drain(Bench(Path("/tmp/bench"), events=200_000)):
        print(table.markdown())

Each case begins with an empty broker and ends with the answer: what readers see must be what the batch script says,
site for site, or there are no figures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.figures import Cell, Table
from tests.bench.inputs import Inputs
from tests.bench.measure import Cost, module
from tests.bench.resting import Idle, resting
from tests.bench.rig import Drained, Rig
from tests.bench.split import START

SITES_COUNT = 20_000
SMALL = 2_000
SMALLEST_MEMORY = 32 << 20
COST = ("what", "CPU s per million events", "events per CPU-second", "events/s", "peak MB")


@dataclass
class Bench:
    """What the cases share.

    Args:
        folder: for everything that is gone at the end.
        events: of the usual backlog; the other sizes follow from it.
        kept: where inputs lie; default in the folder.
    """

    folder: Path
    events: int = 2_000_000
    kept: Path | None = None
    rigs: int = 0
    answers: dict[Path, tuple[Cost, str]] = field(default_factory=dict[Path, tuple[Cost, str]])

    @property
    def inputs(self) -> Inputs:
        """The files of events."""
        return Inputs(self.kept or self.folder / "inputs")

    def rig(self, partitions: int = 4) -> Rig:
        """A new broker, not yet started."""
        self.rigs += 1
        return Rig(self.folder / f"rig-{self.rigs}", partitions)

    def floor(self, path: Path) -> Cost:
        """Run the batch script."""
        report = self.folder / f"{path.stem}.txt"
        begin = time.monotonic()
        found = module("tests.bench.floor", str(path), str(report))
        cost = Cost(found["events"], found["cpu_s"], time.monotonic() - begin, found["peak_mb"])
        self.answers[path] = (cost, report.read_text())
        return cost

    def right(self, path: Path) -> str:
        """The batch script's report of ``path``."""
        if path not in self.answers:
            self.floor(path)
        return self.answers[path][1]


def drain(bench: Bench) -> list[Table]:
    """Worker and batch script side by side on the same file; what the worker writes; where its CPU goes."""
    path = bench.inputs.many_sites(bench.events, SITES_COUNT)
    before = bench.floor(path)
    with bench.rig().running() as rig:
        idle = resting(rig)
        loading = rig.load(path)
        drained = rig.drain()
        after = bench.floor(path)
        rig.check(bench.right(path))
        rig.uncount()
        arguments = rig.cluster.bootstrap, str(rig.folder / "split"), str(bench.events)
        split: dict[str, float] = module("tests.bench.split", *arguments)["cpu_s"]
    return [
        _beside(before, after, loading, drained, idle.start_s),
        _written(drained),
        split_table(split, bench.events),
        _idle(idle),
    ]


def _idle(found: Idle) -> Table:
    columns = ("what", "start to ready, s", "CPU s of the start", "then, % of a core", "resident MB")
    rows = [("worker (parent and engine)", found.ready_s, found.start_s, found.share * 100, found.rss_mb)]
    return Table("A worker without anything to do, 4 partitions", columns, rows)


def _beside(before: Cost, after: Cost, loading: Cost, drained: Drained, start_s: float) -> Table:
    cost = drained.cost
    script = (before.events_per_cpu_s + after.events_per_cpu_s) / 2
    counting = Cost(cost.events, cost.cpu_s - start_s, cost.wall_s, cost.peak_mb)
    rows = [
        row("batch script, before", before),
        row("batch script, after", after),
        row("worker, from its start", cost),
        row("worker, without its start", counting),
        row("`replay` of the same file", loading),
    ]
    note = (
        f"The worker (durable, exactly once) reaches {cost.events_per_cpu_s / script:.2f} of the batch script's events "
        f"per CPU-second; {counting.events_per_cpu_s / script:.2f} without its start. "
        "All sites' summaries are the script's."
    )
    return Table(
        f"A backlog of {cost.events:,} events of {SITES_COUNT:,} sites, 4 partitions, a week in no order",
        COST,
        rows,
        [note],
    )


def _written(drained: Drained) -> Table:
    events, counters = drained.cost.events, drained.counters
    return Table(
        "What the worker wrote meanwhile",
        ("what", "an event"),
        [
            ("changelog, bytes of changed rows", counters["row_bytes"] / events),
            ("changelog, bytes in the broker (lz4)", drained.changelog_bytes / events),
            ("changelog, rows", counters["rows"] / events),
            ("summaries", counters["summaries"] / events),
            ("state, bytes of rows at the end", drained.state_bytes / events),
        ],
        [f"In {counters['epochs']:,} epochs (transactions) of all partitions."],
    )


def split_table(cpu_s: dict[str, float], events: int, stream: str = "sites") -> Table:
    """Where an engine's CPU goes, by stage."""
    counted = sum(cpu_s.values()) - cpu_s[START]
    rows: list[tuple[Cell, ...]] = [
        (stage, seconds / events * 1e6, "" if stage == START else f"{seconds / counted:.0%}")
        for stage, seconds in cpu_s.items()
    ]
    rows.append(("all but the start", counted / events * 1e6, ""))
    note = (
        "Timed, not sampled: each stage by its thread's clock, without the stages that it calls; threads of the "
        "consumer, librdkafka and RocksDB as the kernel counts them (`tests/bench/split.py`)."
    )
    return Table(
        f"Where an engine's CPU goes, the same {events:,} events" + f" of {stream}" * (stream != "sites"),
        ("stage", "CPU s per million events", "share"),
        rows,
        [note],
    )


def hot(bench: Bench) -> list[Table]:
    """One site with all the events against many small ones: the cost law."""
    costs: list[Cost] = []
    small = min(SMALL, bench.events)
    for each in (bench.events, small):
        path = bench.inputs.equal_sites(bench.events, each)
        with bench.rig().running() as rig:
            rig.load(path)
            costs.append(rig.drain().cost)
            rig.check(bench.right(path))
    ratio = costs[0].events_per_cpu_s / costs[1].events_per_cpu_s
    rows = [
        row(f"one site of {bench.events:,}", costs[0]),
        row(f"{bench.events // small:,} sites of {small:,}", costs[1]),
    ]
    title = f"A hot site: {bench.events:,} events of one site, and of small ones"
    return [Table(title, COST, rows, [f"Hot ÷ small, in events per CPU-second: {ratio:.2f}."])]


def memory(bench: Bench) -> list[Table]:
    """Five times the backlog under the default budget: how much is resident."""
    events = 5 * bench.events
    path = bench.inputs.many_sites(events, SITES_COUNT)
    script = bench.floor(path)
    with bench.rig().running() as rig:
        rig.load(path)
        drained = rig.drain()
        rig.check(bench.right(path))
    rows = [row("worker, `--memory 1GiB` (the default)", drained.cost), row("batch script", script)]
    note = "Resident: the highest of parent and engine, added up. All sites' summaries are the script's."
    return [Table(f"{events:,} events of {SITES_COUNT:,} sites", COST, rows, [note])]


def budget(bench: Bench) -> list[Table]:
    """A state several times as large as `--memory`: what an event costs then."""
    events = 5 * bench.events // 2
    path = bench.inputs.many_sites(events, SITES_COUNT)
    rows: list[tuple[Cell, ...]] = []
    drained: list[Drained] = []
    with bench.rig().running() as rig:
        rig.load(path)
        for options in ((), ("--memory", "32MiB")):
            if drained:
                rig.uncount()
            drained.append(rig.drain(*options))
            rig.check(bench.right(path))
    large, small = drained
    for what, budget_bytes, one in (("1 GiB", 1 << 30, large), ("32 MiB", SMALLEST_MEMORY, small)):
        times = one.state_bytes / budget_bytes
        evictions = one.counters["evictions"]
        rows.append((what, one.state_bytes / 1e6, times, *row("", one.cost)[1:], evictions))
    columns = ("`--memory`", "state, MB of rows", "state ÷ memory", *COST[1:], "objects evicted")
    slower = small.cost.us_per_event / large.cost.us_per_event
    note = f"An event costs {slower:.2f} times as much. Both times all sites' summaries are the script's."
    return [Table(f"State larger than memory: {events:,} events of {SITES_COUNT:,} sites", columns, rows, [note])]


def row(what: str, cost: Cost) -> tuple[Cell, ...]:
    """A line of a table of costs."""
    rate = cost.events / cost.wall_s if cost.wall_s else 0.0
    return what, cost.us_per_event, cost.events_per_cpu_s, rate, cost.peak_mb
