"""A broker, a worker and what it is to count: real processes, driven through the command line as people drive them.

with Rig(folder).running() as rig:
    rig.load(path)                     # streamgauge replay
    drained = rig.drain()              # streamgauge worker, until everything is counted; then it is stopped
    rig.check(right)                   # streamgauge report sites: what readers see
    rig.uncount()                      # as if nothing had ever been counted: once more
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import orjson
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.kafka import answered
from ops.topics import ensure
from ops.worker import directory
from processors.store import RocksStore, StoreMemory
from schemas.schema import Schema
from schemas.sites import SITES
from schemas.wire import merge_topics
from tests.bench.measure import Cost, Tree, core, timed
from tests.cluster import Cluster
from tests.progress import Progress
from tests.waiting import until

WORKER = "bench"
LOOK_EVERY_S = 0.1
READY_EVERY_S = 0.02
"""When a worker is ready is a figure itself."""
LIMIT_S = 3600.0
ANSWER_S = 30.0
READ_BYTES = 32 << 20


class WrongAnswer(Exception):
    """The worker's report is not the batch script's: its speed is of no interest."""


@dataclass(frozen=True)
class Drained:
    """A backlog, counted.

    Args:
        cost: from the worker's start, which is part of it, until everything is durable.
        counters: what the engine says that it did.
        changelog_bytes: of the changelogs in the broker's directory, compressed as they were sent.
        state_bytes: of all rows, keys and values, without what compression saves.
    """

    cost: Cost
    counters: dict[str, int] = field(default_factory=dict[str, int])
    changelog_bytes: int = 0
    state_bytes: int = 0


class Written(NamedTuple):
    """What lies in a topic."""

    entries: int
    nbytes: int


class Rig:
    """A broker with the topics of a stream, and what is run against it.

    Args:
        folder: where everything lies; it must not exist yet.
        partitions: of the topics.
        schema: of the stream.
    """

    def __init__(self, folder: Path, partitions: int = 4, schema: Schema[Any] = SITES) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.cluster = Cluster(folder, schema.name)
        self.partitions = partitions
        self.schema = schema

    @contextmanager
    def running(self) -> Generator[Rig]:
        """The broker is up, the topics are there; at the end everything is stopped, whatever happened."""
        with core(measured=False):
            cluster = self.cluster.__enter__()
        try:
            ensure(cluster.kafka, self.schema, partitions=self.partitions)
            yield self
        finally:
            cluster.__exit__(*sys.exc_info())

    @property
    def kafka(self) -> dict[str, str]:
        """Client properties."""
        return self.cluster.kafka

    def progress(self) -> Progress:
        """How far the worker has counted."""
        return Progress(self.kafka, self.schema.topics)

    def load(self, *paths: Path) -> Cost:
        """Replay ``paths`` into the input topic."""
        return self.send("replay", self.schema.name, *map(str, paths))

    def send(self, *words: str) -> Cost:
        """Run a command that sends records."""
        before = sum(self.progress().ends().values())
        used = timed(self.cluster.command(*words, "--quiet"), measured=False)
        return Cost(sum(self.progress().ends().values()) - before, *used)

    # -- the worker

    def start(self, *options: str, pinned: bool = True) -> Tree:
        """Start the worker on its core; not ``pinned``, on all of them, as on a machine of its own."""
        with core(measured=True) if pinned else nullcontext():
            self.cluster.start_worker(WORKER, *options)
        return Tree(self.cluster.workers[WORKER].pid)

    def start_idle(self, *options: str, pinned: bool = True) -> tuple[Tree, float]:
        """Start the worker and wait until it is ready; its processes, and the CPU seconds that this took."""
        tree = self.start(*options, pinned=pinned)
        self.wait_until_ready()
        return tree, tree.cpu_s()

    def stop(self) -> None:
        """Stop the worker, orderly, and wait for its end."""
        worker = self.cluster.workers.pop(WORKER)
        worker.send_signal(signal.SIGTERM)
        worker.wait()

    @property
    def log(self) -> Path:
        """The worker's log."""
        return self.folder / f"{WORKER}.log"

    def wait_until_ready(self) -> None:
        """Wait until the worker that was started says so.

        Raises:
            RuntimeError: it ended.
        """

        def ready() -> bool:
            self._alive()
            return b'"event":"ready"' in self.log.read_bytes()

        until(ready, "the worker is ready", LIMIT_S, READY_EVERY_S)

    def drain(self, *options: str) -> Drained:
        """Run a worker until everything that was sent is counted, durable and readable; then stop it.

        Raises:
            RuntimeError: the worker ended.
            Behind: it did not come to an end.
        """
        progress = self.progress()
        events = sum(progress.ends().values())
        begin = time.monotonic()
        tree = self.start("--leave", *options)
        progress.wait(LIMIT_S, self._alive)
        cost = Cost(events, tree.cpu_s(), time.monotonic() - begin, tree.peak_mb())
        counters = self.counters()
        self.stop()
        return Drained(cost, counters, sum(self.written(name).nbytes for name in self.changelogs), self._state_bytes())

    @property
    def changelogs(self) -> list[str]:
        """The changelogs of all stages."""
        merging = [merge_topics(self.schema.name).changelog] if self.schema.merges else []
        return [self.schema.topics.changelog, *merging]

    def written(self, topic: str) -> Written:
        """What lies in a topic: records, markers included, and bytes in the broker's directory."""
        return Written(
            sum(Progress(self.kafka, self.schema.topics._replace(input=topic)).ends().values()),
            size_of(self.folder / "broker", f"{topic}-[0-9]*/*.log"),
        )

    def _state_bytes(self) -> int:
        """What the stopped worker's stores hold."""
        found = 0
        for path in (self.folder / "data").rglob("CURRENT"):
            store = RocksStore.open(path.parent, StoreMemory(READ_BYTES))
            found += sum(len(key) + len(row) for key, row in store.scan(b"\0", b"\xff"))
            store.close()
        return found

    def _alive(self) -> None:
        if self.cluster.workers[WORKER].poll() is not None:
            raise RuntimeError(f"the worker ended: {self.log.read_text().splitlines()[-1:]}")

    def counters(self) -> dict[str, int]:
        """What the worker's engine says that it did."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                # The entry is written after the worker is ready, maybe behind a small backlog.
                (entry,) = [entry for entry in directory.read(self.kafka) if entry.worker == WORKER]
                with urlopen(f"http://{entry.http}/status", timeout=ANSWER_S) as answer:
                    status: dict[str, Any] = orjson.loads(answer.read())
                return status["engines"][0]["counters"]
            except (URLError, ValueError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_EVERY_S)

    # -- answers

    def check(self, right: str) -> None:
        """Compare what ``streamgauge report sites`` prints with the right report.

        Raises:
            WrongAnswer: they differ.
        """
        command = self.cluster.command("report", "sites", "--quiet")
        report = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
        if report != right:
            told, wanted = set(report.splitlines()), set(right.splitlines())
            raise WrongAnswer(
                f"{len(told)} sites are reported, {len(wanted)} there are; "
                f"reported wrongly: {sorted(told - wanted)[:3]}, not reported so: {sorted(wanted - told)[:3]}"
            )

    def uncount(self) -> None:
        """Delete what was counted: state, changelogs, what was published, offsets. The input is counted anew.

        The last worker must have left the group, as that of `drain` has.
        """
        counting = self.schema.topics
        topics, groups = {counting.changelog, counting.summaries, counting.output, counting.rows} - {""}, {counting.app}
        if self.schema.merges:
            merging = merge_topics(self.schema.name)
            topics.add(merging.changelog)
            groups.add(merging.app)
        admin = AdminClient({**self.kafka, "log_level": "0"})
        for group in groups:
            until(lambda group=group: _forgotten(admin, group), f"{group} has no members", ANSWER_S)
        for answer in admin.delete_topics(list(topics)).values():
            answer.result()
        until(lambda: topics.isdisjoint(admin.list_topics(timeout=10).topics), f"{topics} are gone", ANSWER_S)
        ensure(self.kafka, self.schema, partitions=self.partitions)
        self.forget()

    def forget(self) -> None:
        """Delete the worker's directory and log; the changelog has its state."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self.log.unlink(missing_ok=True)


def _forgotten(admin: AdminClient, group: str) -> bool:
    """Delete a group, if there is one; not while a member that could not say that it leaves is in it."""

    def ask() -> bool:
        try:
            admin.delete_consumer_groups([group])[group].result()
        except KafkaException as error:
            answer = error.args[0].name()
            if answer not in {"NON_EMPTY_GROUP", "GROUP_ID_NOT_FOUND"}:
                raise
            return answer == "GROUP_ID_NOT_FOUND"
        return True

    return answered(ask)


def size_of(folder: Path, pattern: str) -> int:
    """Bytes of the files below ``folder``, in any directory, that match ``pattern``."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())
