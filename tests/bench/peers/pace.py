"""The comparison at a pace: events come by a clock, and each engine's summaries are as old as it makes them.

    for table in pace(Bench(Path("/tmp/bench"))):
        print(table.markdown())

For each engine, and each rate that it is asked to hold, topics of its own are empty at first:

1. a backlog lies there, some seconds' worth, and the engine is started; once its summaries count it, the engine is
   ready and warm: a JVM that had to warm up in the loop would still carry what it could not count meanwhile;
2. an open loop sends by its clock, first to settle, then what is measured (`tests.bench.open_loop`);
3. the backlog, if there is one, must be gone soon after the last event, and the last summaries must be right, site for
   site: an engine that does not get there has no figures.

What an engine publishes is not looked at before the end of the loop, because the sender shares a core with whoever
reads. Statuses are sent, too, but the job does not count them, so they have no latency.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from schemas.wire import partition_of
from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.figures import Cell, Table
from tests.bench.measure import core
from tests.bench.open_loop import COLUMNS, Loop, Pace, Record, send, without_collections
from tests.bench.peers.answer import Answer, Loader
from tests.bench.peers.arrivals import Arrivals, Echo
from tests.bench.peers.engines import ENGINES, RATES, Engine, Job
from tests.bench.peers.jobs import PARTITIONS, Jobs, jobs, telling
from tests.bench.peers.running import Running, Wrong, until

COMMIT_S = 0.1
BACKLOG_S = 10.0
"""How many seconds' events lie there before the loop."""
WARM_S = 5.0
MEASURED_S = 20.0
START_LIMIT_S = 90.0
END_LIMIT_S = 30.0
RIGHT = "the right answer after the last event was sent"
BEFORE = float("-inf")
"""When the backlog was due: it is not measured."""


class Feed:
    """What one rate takes: the records of the loop, and what must come of them.

    Args:
        path: the events; the first ones are the backlog.
        rate: events/s.
    """

    def __init__(self, path: Path, rate: int) -> None:
        self.pace = Pace(rate, WARM_S, MEASURED_S)
        self.backlog = int(rate * BACKLOG_S)
        self.answer = Answer()
        self.records: list[Record] = []
        self._messages: list[str] = []
        """The site of each record; of a status, nothing."""
        homes: dict[bytes, int] = {}
        with path.open("rb") as file:
            for value in islice(file, self.backlog):
                self.answer.count(value)
            self._before = dict(self.answer.sites)
            for line in islice(file, self.pace.events):
                value, before = line.rstrip(), self.answer.messages
                key = self.answer.count(value)
                if key not in homes:
                    homes[key] = partition_of(key, PARTITIONS)
                self.records.append(Record(value, key, homes[key]))
                self._messages.append(key.decode() if self.answer.messages > before else "")

    def due(self, moments: Sequence[float]) -> dict[str, list[float]]:
        """When each message of a site was due, given when each record was."""
        found = {site: [BEFORE] * self._before.get(site, 0) for site in self.answer.sites}
        for site, moment in zip(self._messages, moments, strict=True):
            if site:
                found[site].append(moment)
        return found


@dataclass
class Paced:
    """What was found of one engine at one rate."""

    engine: Engine | None
    """None: nobody counts, and the reader reads what is sent."""
    rate: int
    loop: Loop | None = None
    published: float = 0.0
    """Summaries an event."""
    troubles: list[str] = field(default_factory=list[str])

    @property
    def title(self) -> str:
        """Who it is."""
        return self.engine.title if self.engine else "sender, broker and reader"

    @property
    def row(self) -> tuple[Cell, ...]:
        """Its row of the table."""
        if self.loop is None:
            raise ValueError(f"{self.title} has no figures")
        told: tuple[Cell, Cell] = (self.engine.guarantee, self.published) if self.engine else ("", "")
        return self.title, told[0], self.rate, *self.loop.cells, told[1]


def pace(bench: Bench) -> list[Table]:
    """Latency of an open loop on the same engines, by the same job, at rates that they hold."""
    results = [Paced(None, rate) for rate in RATES] + [Paced(one, rate) for one in ENGINES for rate in one.rates]
    for found in results:
        if found.engine:
            with telling(found.troubles, found.title):
                found.engine.install()
    rates = sorted({found.rate for found in results}, reverse=True)
    path = bench.inputs.many_sites(int(rates[0] * (BACKLOG_S + WARM_S + MEASURED_S)), SITES_COUNT)
    with jobs(bench.folder / "pace") as broker:
        _measure(
            broker, path, Feed(path, rates[0]), Paced(None, rates[0])
        )  # it warms the broker up, which is a JVM, too
        for rate in rates:
            feed = Feed(path, rate)
            for found in [found for found in results if found.rate == rate and not found.troubles]:
                print(f"pace: {found.title}, {rate:,} events/s", file=sys.stderr, flush=True)
                with telling(found.troubles, found.title):
                    _measure(broker, path, feed, found)
    rows = sorted((found.row for found in results if found.loop), key=lambda row: (float(row[2]), float(row[3])))
    notes = [JOB, FLOOR]
    notes += [f"**{one.title}** has no figures at {one.rate:,} events/s: {t}." for one in results for t in one.troubles]
    columns = ("engine", "summaries are", "events/s", *COLUMNS, "summaries an event")
    return [Table("Latency of one job on several engines, in an open loop", columns, rows, notes)]


JOB = (
    f"Job: per `site_id` the messages and the distinct visitors; {PARTITIONS} partitions, {SITES_COUNT:,} sites, state "
    f"from nothing. Each engine counts a backlog of {BACKLOG_S:g} s at once, then the loop begins: {WARM_S:g} s to "
    f"settle, and {MEASURED_S:g} s that are measured. Everybody commits every {COMMIT_S * 1000:g} ms with acks=all, "
    "and has one core. A message's latency runs from the moment at which it was due to be sent to the moment at which "
    "a reader of committed summaries is handed the first one that counts it. The last summaries of each engine are "
    "right, site for site."
)
FLOOR = "Sender, broker and reader by themselves: the reader reads the events, and nobody counts them."


def _measure(broker: Jobs, path: Path, feed: Feed, found: Paced) -> None:
    """Find what there is to find.

    Raises:
        Wrong: the engine did not keep up, or what came last was not the answer.
        Unavailable: it cannot be run here.
    """
    engine = found.engine
    with broker.job(engine, commit_s=COMMIT_S, own_input=True) as (job, log):
        with core(measured=False):
            loader = Loader(broker.kafka, path, job.input, PARTITIONS)
            loader.load_up_to(feed.backlog)
        if engine is None:
            with broker.reading(job.input, Echo) as echo:
                found.loop = _loop(broker, job, feed, echo)
            return
        with broker.reading(job.output, Arrivals) as arrivals, Running(engine, job, log) as running:
            until(lambda: _is_right(arrivals, loader.answer), "the right answer to the backlog", START_LIMIT_S, running)
            loop = _loop(broker, job, feed, arrivals, running)
            running.stop()
        found.published = broker.check(job, feed.answer) / (feed.backlog + len(feed.records))
        found.loop = loop


def _loop(broker: Jobs, job: Job, feed: Feed, arrivals: Arrivals, running: Running | None = None) -> Loop:
    """Send by the clock, and wait for the last summaries."""
    with core(measured=False), without_collections():
        sent = send(broker.kafka, job.input, feed.records, feed.pace, running.tree if running else None)
        try:
            until(lambda: arrivals.is_quiet() and _is_right(arrivals, feed.answer), RIGHT, END_LIMIT_S, running)
        except Wrong as error:
            arrivals.digest()
            counted = f"{arrivals.messages:,} of {feed.answer.messages:,} messages are counted"
            raise Wrong(f"{error} ({counted}, {len(arrivals.wrong(feed.answer)):,} sites are not right)") from error
    return sent.loop(feed.due(sent.due), arrivals.steps)


def _is_right(arrivals: Arrivals, answer: Answer) -> bool:
    arrivals.digest()
    return arrivals.is_right(answer)
