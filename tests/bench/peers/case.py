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

import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # where its stubs have it

from ops.topics import ensure
from tests.bench.cases import SITES_COUNT, Bench, split_table
from tests.bench.figures import Cell, Table
from tests.bench.measure import Cost, core, module
from tests.bench.peers.answer import Loader
from tests.bench.peers.engines import COMMIT_S, ENGINES, Engine, Job, plugged_in
from tests.bench.peers.install import Unavailable
from tests.bench.peers.ours.streamgauge_visitors import SCHEMA
from tests.bench.peers.picture import Bar, bars
from tests.bench.peers.reader import Reader
from tests.bench.peers.running import Running, Wrong
from tests.cluster import Cluster

PARTITIONS = 4
START = 1_000
TRICKLE_RATE = 200.0
ENOUGH = 400_000
"""Events there are at least: a trickle that dried up would look like an engine that stands still."""
STEADY_S = 3.0
LOOK_EVERY_S = 0.02
COUNT_LIMIT_S = 900.0
KILL_LIMIT_S = 90.0
END_LIMIT_S = 30.0
IN_FLIGHT_S = 0.1
"""After a process was killed, the broker still takes in what it had sent."""
GONE_S = 30.0
STAMPED = {"message.timestamp.type": "LogAppendTime"}
"""Engines give a summary the time of the event, or their own; when it was appended, the broker knows."""


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
    """A broker with the topics of the job, and the engines one after the other.

    Args:
        cluster: the broker.
        folder: for the engines' states and logs.
        path: the events.
    """

    def __init__(self, cluster: Cluster, folder: Path, path: Path) -> None:
        self._kafka = cluster.kafka
        self._folder = folder
        self._runs = 0
        self._admin = AdminClient({**self._kafka, "log_level": "0"})
        self._create_ours()
        with core(measured=False):
            self.loader = Loader(self._kafka, path, SCHEMA.topics.input, PARTITIONS)

    def load_up_to(self, events: int) -> None:
        """Let the topic hold so many events."""
        with core(measured=False):
            thread = threading.Thread(target=self.loader.load_up_to, args=(events,))
            thread.start()
        thread.join()

    def count(self, engine: Engine) -> tuple[Cost, int]:
        """Let an engine count the whole topic from nothing.

        Returns:
            What it took, its start included, until its summaries were right; and how many it published.

        Raises:
            Wrong: they never were, or what came last was not.
            Unavailable: it cannot be run here.
        """
        with self._job(engine) as (job, log):
            with self._reading(job) as reader, Running(engine, job, log) as running:
                self._await_answer(reader, running, COUNT_LIMIT_S)
                wall_s = time.monotonic() - running.began
                cost = Cost(self.loader.sent, running.tree.cpu_s(), wall_s, running.tree.peak_mb())
                running.stop()
            with self._reading(job) as again:
                _await(lambda: not again.unread, "the end of its summaries", END_LIMIT_S)
            wrong = again.wrong(self.loader.answer)
            if wrong:
                raise Wrong(f"of {len(wrong)} sites its last summaries are wrong: {sorted(wrong.items())[:2]}")
            return cost, again.records

    def strike(self, found: Found) -> None:
        """Kill an engine while events trickle in, start it again, and see how long its summaries stand still.

        Raises:
            Wrong: it never got as far.
            Unavailable: it cannot be run here.
        """
        engine = found.engine
        with self._job(engine) as (job, log), self._reading(job) as reader, self._trickling() as end_trickle:
            with Running(engine, job, log) as running:
                _await(lambda: self._keeps_up(reader), "keeping up with a trickle", KILL_LIMIT_S, running)
                time.sleep(STEADY_S)
                struck = time.time()
                running.kill()
            with Running(engine, job, log) as running:
                ready = time.time() + IN_FLIGHT_S
                first = _await(lambda: reader.first_after(ready), "a new summary", KILL_LIMIT_S, running)
                found.kill_s = float(first or 0.0) - struck
                _await(lambda: self._keeps_up(reader), "keeping up again", KILL_LIMIT_S, running)
                end_trickle()
                try:
                    self._await_answer(reader, running, END_LIMIT_S)
                    found.kept = "yes"
                except Wrong:
                    found.kept = f"no, {len(reader.wrong(self.loader.answer))} sites wrong"
                running.stop()

    def split(self) -> Table:
        """Where the CPU of our engine goes, the topic counted once more."""
        arguments = self._kafka["bootstrap.servers"], str(self._folder / "split"), str(self.loader.sent), SCHEMA.name
        found = module("tests.bench.split", *arguments, environment=plugged_in())
        return split_table(found["cpu_s"], self.loader.sent, SCHEMA.name)

    # -- pieces

    def _keeps_up(self, reader: Reader) -> bool:
        """Whether the summaries are at most some seconds old."""
        return reader.messages >= self.loader.answer.messages - 4 * TRICKLE_RATE * COMMIT_S

    def _await_answer(self, reader: Reader, running: Running, seconds: float) -> None:
        _await(lambda: reader.is_right(self.loader.answer), "the right answer", seconds, running)

    @contextmanager
    def _trickling(self) -> Generator[Callable[[], None]]:
        """Send events all the while; what it gives ends that."""
        ending = threading.Event()
        with core(measured=False):
            thread = threading.Thread(target=self.loader.trickle, args=(TRICKLE_RATE, ending))
            thread.start()

        def end() -> None:
            ending.set()
            thread.join()

        try:
            yield end
        finally:
            end()

    @contextmanager
    def _reading(self, job: Job) -> Generator[Reader]:
        with ExitStack() as stack:
            with core(measured=False):
                reader = stack.enter_context(Reader(self._kafka, job.output, PARTITIONS))
            yield reader
        if reader.broken is not None:
            raise reader.broken

    @contextmanager
    def _job(self, engine: Engine) -> Generator[tuple[Job, Path]]:
        """A run of an engine, with nothing left of earlier ones; and its log."""
        self._runs += 1
        name = f"peer-{self._runs}-{engine.name}"
        output = SCHEMA.topics.summaries if engine.ours else f"{name}-summaries"
        job = Job(self._kafka["bootstrap.servers"], SCHEMA.topics.input, output, name, self._folder / name)
        before = self._topics()
        if not engine.ours:
            self._create([output])
        engine.prepare(job)
        try:
            yield job, self._folder / f"{name}.log"
        finally:
            made = self._topics() - before
            if engine.ours:
                made |= {SCHEMA.topics.summaries, SCHEMA.topics.changelog}
            self._delete(made)
            if engine.ours:
                self._create_ours()
            shutil.rmtree(job.state, ignore_errors=True)

    def _topics(self) -> set[str]:
        return {name for name in self._admin.list_topics(timeout=30).topics if not name.startswith("__")}

    def _create_ours(self) -> None:
        """The topics of our stream."""
        self._create([SCHEMA.topics.summaries], **{"cleanup.policy": "compact"})
        ensure(self._kafka, SCHEMA, partitions=PARTITIONS, admin=self._admin)

    def _create(self, names: Sequence[str], **config: str) -> None:
        topics = [NewTopic(name, PARTITIONS, 1, config={**STAMPED, **config}) for name in names]
        for answer in self._admin.create_topics(topics).values():
            answer.result()

    def _delete(self, names: set[str]) -> None:
        """Delete topics, and wait until they are gone."""
        if not names:
            return
        for answer in self._admin.delete_topics(sorted(names)).values():
            answer.result()
        _await(lambda: names.isdisjoint(self._topics()), "the end of the topics", END_LIMIT_S)


T = TypeVar("T")


def _await(condition: Callable[[], T], what: str, seconds: float, running: Running | None = None) -> T:
    """Wait until ``condition`` gives something true, and return that.

    Raises:
        Wrong: it did not within ``seconds``, or the engine ended before.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if running is not None:
            running.look()
        if time.monotonic() > deadline:
            raise Wrong(f"not within {seconds:g} s: {what}")
        time.sleep(LOOK_EVERY_S)
    return found


def peers(bench: Bench) -> list[Table]:
    """One job on Streamgauge, Kafka Streams, Quix, Pathway, Bytewax, Faust, and without any engine."""
    path = bench.inputs.many_sites(max(bench.events, ENOUGH), SITES_COUNT)
    results = [Found(engine) for engine in ENGINES]
    for found in results:
        with _telling(found):
            found.engine.install()
    folder = bench.folder / "peers"
    folder.mkdir()
    with core(measured=False):
        cluster = Cluster(folder)
    with _broker(cluster):
        comparison = Comparison(cluster, folder, path)
        comparison.load_up_to(START)
        slow_first = sorted([found for found in results if not found.troubles], key=lambda found: found.engine.share)
        for found in slow_first:
            with _telling(found):
                found.start, _ = comparison.count(found.engine)
        for found in slow_first:
            if found.engine.recovers:
                with _telling(found):
                    comparison.strike(found)
        for found in slow_first:
            comparison.load_up_to(int(bench.events * found.engine.share))
            with _telling(found):
                found.count, found.records = comparison.count(found.engine)
        split = comparison.split()
    return [*_tables(results), split]


@contextmanager
def _broker(cluster: Cluster) -> Generator[None]:
    with core(measured=False):
        cluster.__enter__()
    try:
        yield
    finally:
        cluster.__exit__(*sys.exc_info())


@contextmanager
def _telling(found: Found) -> Generator[None]:
    """What one engine cannot do is told in the table, and the others go on."""
    try:
        yield
    except (Wrong, Unavailable) as error:
        found.troubles.append(str(error))
        print(f"peers: {found.engine.title}: {error}", file=sys.stderr, flush=True)


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
    f"not compressed; everybody commits every {COMMIT_S} s with acks=all, and has one core. The last summaries of each "
    "engine were read from its topic and are right, site for site."
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
