"""A backlog counted by a worker, from its start to the last committed offset: CPU, wall time, memory, exactness.

with Rig(folder) as rig:
    rig.load(path)                     # streamgauge replay, timed
    rig.drain("a", "--epoch", "500ms") # streamgauge worker, timed
    rig.report()                       # streamgauge report sites: what readers see
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.topics import ensure
from schemas.sites import SITES
from tests.cluster import Cluster, tree_of
from tests.progress import Progress

LOOK_EVERY_S = 0.1
LIMIT_S = 1800.0


@dataclass(frozen=True)
class Cost:
    """What something took.

    Args:
        events: input records.
        cpu_s: user and system time of all its processes, start-up included.
        start_s: the part of ``cpu_s`` before it was ready to count.
        wall_s: from start to end.
        peak_mb: resident memory of the largest process.
    """

    events: int
    cpu_s: float
    start_s: float
    wall_s: float
    peak_mb: float

    @property
    def events_per_cpu_s(self) -> float:
        """Events per CPU-second, start-up included."""
        return self.events / self.cpu_s


class Rig:
    """A broker with the topics of `sites`, and what is run against it.

    Args:
        folder: where everything lies; it must not exist yet.
        partitions: of the topics.
    """

    def __init__(self, folder: Path, partitions: int = 4) -> None:
        folder.mkdir(parents=True)
        self.cluster = Cluster(folder)
        self.partitions = partitions

    @contextmanager
    def running(self) -> Iterator[Rig]:
        """The broker is up, the topics are there."""
        with self.cluster as cluster:
            ensure(cluster.kafka, SITES, partitions=self.partitions)
            yield self

    def load(self, path: Path) -> Cost:
        """Replay ``path`` into the input topic."""
        begin = time.monotonic()
        command = self.cluster.command("replay", "sites", str(path), "--quiet")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"replay ended with {process.returncode}")
        cpu_s = used.ru_utime + used.ru_stime
        return Cost(
            sum(Progress(self.cluster.kafka, SITES.topics).ends().values()),
            cpu_s,
            0.0,
            time.monotonic() - begin,
            used.ru_maxrss / 1000,
        )

    def drain(self, name: str, *options: str) -> Cost:
        """Run a worker until the group has committed everything that was sent; then stop it."""
        progress = Progress(self.cluster.kafka, SITES.topics)
        ends = progress.ends()
        begin = time.monotonic()
        self.cluster.start_worker(name, *options)
        worker = self.cluster.workers[name]
        start_s = 0.0
        while (committed := progress.committed(ends)) != ends:
            if not start_s and self.cluster.is_ready(name):
                start_s = cpu_of(worker.pid)
            if worker.poll() is not None or time.monotonic() - begin > LIMIT_S:
                raise RuntimeError(f"the worker did not count everything: {committed} of {ends}")
            time.sleep(LOOK_EVERY_S)
        wall_s = time.monotonic() - begin
        cpu_s, peak_mb = cpu_of(worker.pid), peak_of(worker.pid)
        worker.send_signal(signal.SIGTERM)
        worker.wait()
        return Cost(sum(ends.values()), cpu_s, start_s, wall_s, peak_mb)

    def report(self) -> str:
        """What ``streamgauge report sites`` prints."""
        command = self.cluster.command("report", "sites", "--quiet")
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its descendants so far."""
    return sum(sum(process.cpu_times()[:2]) for process in tree_of(pid))


def peak_of(pid: int) -> float:
    """The largest resident memory that any of a process and its descendants ever had, in MB."""
    peaks: list[float] = []
    for process in tree_of(pid):
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            peaks.append(int(fields["VmHWM"].split()[0]) / 1000)
        else:
            peaks.append(psutil.Process(process.pid).memory_info().rss / 1e6)
    return max(peaks)
