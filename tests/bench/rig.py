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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import orjson
from confluent_kafka.admin import AdminClient

from ops.topics import ensure
from ops.worker import directory
from schemas.sites import SITES
from tests.bench.measure import Cost, Tree, core, timed
from tests.cluster import Cluster
from tests.progress import Progress

WORKER = "bench"
LOOK_EVERY_S = 0.1
LIMIT_S = 3600.0
GONE_S = 30.0


class WrongAnswer(Exception):
    """The worker's report is not the batch script's: its speed is of no interest."""


@dataclass(frozen=True)
class Drained:
    """A backlog, counted.

    Args:
        cost: from the worker's start, which is part of it, until everything is durable.
        counters: what the engine says that it did.
        changelog_bytes: of the changelog in the broker's directory, compressed as it was sent.
        state_bytes: of the rows in the worker's directory.
    """

    cost: Cost
    counters: dict[str, int] = field(default_factory=dict[str, int])
    changelog_bytes: int = 0
    state_bytes: int = 0


class Rig:
    """A broker with the topics of `sites`, and what is run against it.

    Args:
        folder: where everything lies; it must not exist yet.
        partitions: of the topics.
    """

    def __init__(self, folder: Path, partitions: int = 4) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.cluster = Cluster(folder)
        self.partitions = partitions

    @contextmanager
    def running(self) -> Generator[Rig]:
        """The broker is up, the topics are there; at the end everything is stopped, whatever happened."""
        with core(measured=False):
            cluster = self.cluster.__enter__()
        try:
            ensure(cluster.kafka, SITES, partitions=self.partitions)
            yield self
        finally:
            cluster.__exit__(*sys.exc_info())

    @property
    def kafka(self) -> dict[str, str]:
        """Client properties."""
        return self.cluster.kafka

    def progress(self) -> Progress:
        """How far the worker has counted."""
        return Progress({**self.kafka, "log_level": "0"}, SITES.topics)

    def load(self, path: Path) -> Cost:
        """Replay ``path`` into the input topic."""
        before = sum(self.progress().ends().values())
        used = timed(self.cluster.command("replay", "sites", str(path), "--quiet"), measured=False)
        return Cost(sum(self.progress().ends().values()) - before, *used)

    # -- the worker

    def start(self, *options: str) -> Tree:
        """Start the worker on its core."""
        with core(measured=True):
            self.cluster.start_worker(WORKER, *options)
        return Tree(self.cluster.workers[WORKER].pid)

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
        while b'"event":"ready"' not in self.log.read_bytes():
            self._alive()
            time.sleep(0.02)

    def drain(self, *options: str) -> Drained:
        """Run a worker until the group has committed everything that was sent; then stop it.

        Raises:
            RuntimeError: the worker ended, or did not come to an end.
        """
        progress = self.progress()
        ends = progress.ends()
        begin = time.monotonic()
        tree = self.start(*options)
        while (committed := progress.committed(ends)) != ends:
            self._alive()
            if time.monotonic() - begin > LIMIT_S:
                raise RuntimeError(f"the worker did not count everything: {committed} of {ends}")
            time.sleep(LOOK_EVERY_S)
        cost = Cost(sum(ends.values()), tree.cpu_s(), time.monotonic() - begin, tree.peak_mb())
        counters = self.counters()
        self.stop()
        changelog = size_of(self.folder / "broker", f"{SITES.topics.changelog}-*/*.log")
        return Drained(cost, counters, changelog, size_of(self.folder / "data", "**/*.sst"))

    def _alive(self) -> None:
        if self.cluster.workers[WORKER].poll() is not None:
            raise RuntimeError(f"the worker ended: {self.log.read_text().splitlines()[-1:]}")

    def counters(self) -> dict[str, int]:
        """What the worker's engine says that it did."""
        (entry,) = [entry for entry in directory.read(self.kafka) if entry.worker == WORKER]
        deadline = time.monotonic() + GONE_S
        while True:
            try:
                with urlopen(f"http://{entry.http}/status", timeout=GONE_S) as answer:
                    status: dict[str, Any] = orjson.loads(answer.read())
                return status["engines"][0]["counters"]
            except URLError:  # it is at work
                if time.monotonic() > deadline:
                    raise

    # -- answers

    def check(self, right: str) -> None:
        """Compare what ``streamgauge report sites`` prints with the right report.

        Raises:
            WrongAnswer: they differ.
        """
        command = self.cluster.command("report", "sites", "--quiet")
        report = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
        if report != right:
            pairs = zip(report.splitlines(), right.splitlines(), strict=False)
            wrong = [pair for pair in pairs if pair[0] != pair[1]]
            raise WrongAnswer(f"of {len(right.splitlines())} sites {len(wrong)} are wrong: {wrong[:3]}")

    def uncount(self) -> None:
        """Delete what was counted: state, changelog and summaries. Without a stamp the input is counted anew."""
        topics = [SITES.topics.changelog, SITES.topics.summaries]
        admin = AdminClient({**self.kafka, "log_level": "0"})
        for answer in admin.delete_topics(topics).values():
            answer.result()
        deadline = time.monotonic() + GONE_S
        while not set(topics).isdisjoint(admin.list_topics(timeout=10).topics):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topics} are not gone after {GONE_S:g} s")
            time.sleep(LOOK_EVERY_S)
        ensure(self.kafka, SITES, partitions=self.partitions)
        self.forget()

    def forget(self) -> None:
        """Delete the worker's directory and log; the changelog has its state."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self.log.unlink(missing_ok=True)


def size_of(folder: Path, pattern: str) -> int:
    """Bytes of the files below ``folder``, in any directory, that match ``pattern``."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())
