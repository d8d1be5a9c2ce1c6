"""The comparison: every engine in the same run, on the same broker and topic, with the same answer to reach.

    for table in peers(Bench(Path("/tmp/bench"), events=200_000)):
        print(table.markdown())

The topic holds a prefix of one file of events, and grows:

1. `START` events, which each engine counts from nothing: what its start costs;
2. a trickle, while each engine in turn is killed and started again;
3. the backlog: each engine counts, from nothing, as many events as its share says, the slow ones first.

The engine has one core, the broker, who sends and who reads have the others. A phase ends when what a reader of
committed summaries has got is the right answer, site for site; an engine that does not get there has no figures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.cases import SITES_COUNT, Bench, split_table
from tests.bench.figures import Cell, Table
from tests.bench.measure import Cost, core, module
from tests.bench.peers.answer import Loader
from tests.bench.peers.engines import COMMIT_S, ENGINES, Engine, plugged_in
from tests.bench.peers.jobs import END_LIMIT_S, PARTITIONS, Jobs, jobs, telling
from tests.bench.peers.ours.streamgauge_visitors import SCHEMA
from tests.bench.peers.picture import Bar, bars
from tests.bench.peers.reader import Reader
from tests.bench.peers.running import Running, Wrong, until

START = 1_000
TRICKLE_RATE = 200.0
ENOUGH = 400_000
"""Events there are at least: a trickle that dried up would look like an engine that stands still."""
STEADY_S = 3.0
COUNT_LIMIT_S = 1800.0
KILL_LIMIT_S = 90.0
IN_FLIGHT_S = 0.1
"""After a process was killed, the broker still takes in what it had sent."""


@dataclass
class Found:
    """What was found of one engine."""

    engine: Engine
    start: Cost | None = None
    """Of `START` events."""
    count: Cost | None = None
    """Of its share of the backlog."""
    records: int = 0
    """Summaries that it published then."""
    kill_s: float | None = None
    """From kill -9 to the first new summary."""
    kept: str = "–"
    """Whether its summaries were exact afterwards."""
    troubles: list[str] = field(default_factory=list[str])

    @property
    def steady(self) -> float:
        """Events for each CPU second, without the start."""
        if self.start is None or self.count is None:
            return 0.0
        return (self.count.events - self.start.events) / max(self.count.cpu_s - self.start.cpu_s, 0.01)


class Comparison:
    """One topic of events, and the engines one after the other.

    Args:
        broker: where all of it happens.
        path: the events.
    """

    def __init__(self, broker: Jobs, path: Path) -> None:
        self._broker = broker
        with core(measured=False):
            self.loader = Loader(broker.kafka, path, SCHEMA.topics.input, PARTITIONS)

    def load_up_to(self, events: int) -> None:
        """Let the topic hold so many events."""
        with ThreadPoolExecutor(1) as threads:
            with core(measured=False):
                loading = threads.submit(self.loader.load_up_to, events)
            loading.result()

    def count(self, engine: Engine) -> tuple[Cost, int]:
        """Let an engine count the whole topic from nothing.

        Returns:
            What it took, its start included, until its summaries were right; and how many it published.

        Raises:
            Wrong: they never were, or what came last was not.
            Unavailable: it cannot be run here.
        """
        with self._broker.job(engine) as (job, log):
            with self._broker.reading(job.output, Reader) as reader, Running(engine, job, log) as running:
                self._await_answer(reader, running, COUNT_LIMIT_S)
                wall_s = time.monotonic() - running.began
                cost = Cost(self.loader.sent, running.tree.cpu_s(), wall_s, running.tree.peak_mb())
                running.stop()
            return cost, self._broker.check(job, self.loader.answer)

    def strike(self, found: Found) -> None:
        """Kill an engine while events trickle in, start it again, and see how long its summaries stand still.

        Raises:
            Wrong: it never got as far.
            Unavailable: it cannot be run here.
        """
        engine = found.engine
        broker = self._broker
        with (
            broker.job(engine) as (job, log),
            broker.reading(job.output, Reader) as reader,
            self._trickling() as end_trickle,
        ):
            with Running(engine, job, log) as running:
                until(lambda: self._keeps_up(reader), "keeping up with a trickle", KILL_LIMIT_S, running)
                time.sleep(STEADY_S)
                struck = time.time()
                running.kill()
            with Running(engine, job, log) as running:
                ready = time.time() + IN_FLIGHT_S
                first = until(lambda: reader.first_after(ready), "a new summary", KILL_LIMIT_S, running)
                found.kill_s = float(first or 0.0) - struck
                until(lambda: self._keeps_up(reader), "keeping up again", KILL_LIMIT_S, running)
                end_trickle()
                try:
                    self._await_answer(reader, running, END_LIMIT_S)
                    found.kept = "yes"
                except Wrong:
                    found.kept = f"no, {len(reader.wrong(self.loader.answer))} sites wrong"
                running.stop()

    def split(self) -> Table:
        """Where the CPU of our engine goes, the topic counted once more."""
        broker = self._broker
        arguments = broker.kafka["bootstrap.servers"], str(broker.folder / "split"), str(self.loader.sent), SCHEMA.name
        found = module("tests.bench.split", *arguments, environment=plugged_in())
        return split_table(found["cpu_s"], self.loader.sent, SCHEMA.name)

    # -- pieces

    def _keeps_up(self, reader: Reader) -> bool:
        """Whether the summaries are at most some seconds old."""
        return reader.messages >= self.loader.answer.messages - 4 * TRICKLE_RATE * COMMIT_S

    def _await_answer(self, reader: Reader, running: Running, seconds: float) -> None:
        until(lambda: reader.is_right(self.loader.answer), "the right answer", seconds, running)

    @contextmanager
    def _trickling(self) -> Generator[Callable[[], None]]:
        """Send events all the while; what it gives ends that."""
        ending = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            with core(measured=False):
                trickling = threads.submit(self.loader.trickle, TRICKLE_RATE, ending)

            def end() -> None:
                ending.set()
                trickling.result()

            try:
                yield end
            finally:
                end()


def peers(bench: Bench) -> list[Table]:
    """One job on Streamgauge, Kafka Streams, Quix, Pathway, Bytewax, Faust, and without any engine."""
    path = bench.inputs.many_sites(max(bench.events, ENOUGH), SITES_COUNT)
    results = [Found(engine) for engine in ENGINES]
    for found in results:
        with telling(found.troubles, found.engine.title):
            found.engine.install()
    with jobs(bench.folder / "peers") as broker:
        comparison = Comparison(broker, path)
        comparison.load_up_to(START)
        slow_first = sorted([found for found in results if not found.troubles], key=lambda found: found.engine.share)
        for found in slow_first:
            with telling(found.troubles, found.engine.title):
                found.start, _ = comparison.count(found.engine)
        for found in slow_first:
            if found.engine.recovers:
                with telling(found.troubles, found.engine.title):
                    comparison.strike(found)
        for found in slow_first:
            comparison.load_up_to(int(bench.events * found.engine.share))
            with telling(found.troubles, found.engine.title):
                found.count, found.records = comparison.count(found.engine)
        split = comparison.split()
    return [*_tables(results), split]


def _tables(results: Sequence[Found]) -> list[Table]:
    done = [found for found in results if found.count is not None]
    ours = next((found for found in done if found.engine.ours), None)
    ranked = sorted(done, key=lambda found: found.steady, reverse=True)
    rows: list[tuple[Cell, ...]] = [_row(found, ours) for found in ranked]
    notes = [JOB, CPU, KILL]
    notes += [f"**{found.engine.title}** has no figures: {found.troubles[0]}." for found in results if found.troubles]
    bars_of = [
        Bar(found.engine.title, found.steady, found.engine.guarantee, found.engine.ours, not found.engine.recovers)
        for found in ranked
    ]
    title = "Events per CPU-second: messages and distinct visitors per site, from Kafka to Kafka"
    speed = Table("One job on several engines", COLUMNS, rows, notes, picture=bars(title, bars_of))
    versions = [(f.engine.title, f.engine.version(), f.engine.settings) for f in results]
    return [speed, Table("The engines", ("engine", "version", "settings"), versions)]


JOB = (
    f"Job: per `site_id` the messages and the distinct visitors; {PARTITIONS} partitions, {SITES_COUNT:,} sites; input "
    f"not compressed; everybody commits every {COMMIT_S:g} s with acks=all, and has one core. The last summaries of "
    "each engine were read from its topic and are right, site for site."
)
CPU = (
    "CPU: user and system time of the engine's processes from their start until all summaries were readable. The start "
    f"is what the same takes for {START:,} events; the first column of rates leaves it out."
)
KILL = (
    f"Kill -9 of all its processes, under {TRICKLE_RATE:g} events/s and with little state; started again at once with "
    "what it left on the disk."
)
COLUMNS = (
    "engine",
    "summaries are",
    "events",
    "events per CPU-second",
    "with its start",
    "Streamgauge is … times as fast",
    "CPU s of the start",
    "events/s",
    "summaries",
    "peak MB",
    "kill -9 → first new summary, s",
    "exact after it",
)


def _row(found: Found, ours: Found | None) -> tuple[Cell, ...]:
    if found.count is None or found.start is None:
        raise ValueError(f"{found.engine.title} has no figures")
    cost = found.count
    return (
        found.engine.title,
        found.engine.guarantee,
        cost.events,
        found.steady,
        cost.events_per_cpu_s,
        ours.steady / found.steady if ours else "–",
        found.start.cpu_s,
        cost.events / cost.wall_s,
        found.records,
        cost.peak_mb,
        "–" if found.kill_s is None else found.kill_s,
        found.kept,
    )
