"""What processes use: CPU seconds, resident memory, and the core that they may run on.

>>> import os
>>> tree = Tree(os.getpid())
>>> tree.cpu_s() > 0, tree.peak_mb() > 1
(True, True)

CPU seconds are user and system time, as the kernel counts them; a machine that others use changes them by a third
between two sittings (caches and hyper-threads are shared), so figures that are compared come from one sitting, and
from one core: what is measured has a core of its own, the broker and whoever loads it have the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from tests.cluster import ROOT, tree_of


@dataclass(frozen=True)
class Cost:
    """What something took.

    Args:
        events: input records.
        cpu_s: user and system time of all its processes.
        wall_s: from start to end.
        peak_mb: resident memory at its highest, all its processes together.
    """

    events: int
    cpu_s: float
    wall_s: float
    peak_mb: float

    @property
    def us_per_event(self) -> float:
        """CPU microseconds an event, which is CPU seconds a million events."""
        return self.cpu_s / self.events * 1e6

    @property
    def events_per_cpu_s(self) -> float:
        """Events for each CPU second."""
        return self.events / self.cpu_s


class Tree:
    """A process and its descendants.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return sum(sum(process.cpu_times()[:2]) for process in tree_of(self.pid))

    def rss_mb(self) -> float:
        """Resident memory now."""
        return sum(process.memory_info().rss for process in tree_of(self.pid)) / 1e6

    def peak_mb(self) -> float:
        """Resident memory at its highest: the sum of each process's own peak, so never too little."""
        return sum(_peak_mb(process) for process in tree_of(self.pid))

    def threads(self) -> int:
        """Threads now."""
        return sum(process.num_threads() for process in tree_of(self.pid))

    def files(self) -> int:
        """Open file descriptors now, sockets included."""
        return sum(process.num_fds() for process in tree_of(self.pid))

    def connections(self) -> int:
        """TCP connections that are established now."""
        found = [one for process in tree_of(self.pid) for one in process.net_connections("tcp")]
        return sum(one.status == psutil.CONN_ESTABLISHED for one in found)


def _peak_mb(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return process.memory_info().rss / 1e6
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024 / 1e6


@contextmanager
def core(*, measured: bool) -> Generator[None]:
    """Processes that are started in the block run on the core for what is measured, or on all the others.

    Args:
        measured: whether what is started is measured. On one core, or where nobody can choose, nothing is chosen.
    """
    if not sys.platform.startswith("linux") or len(before := os.sched_getaffinity(0)) < 2:
        yield
        return
    own = {max(before)}
    os.sched_setaffinity(0, own if measured else before - own)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def timed(command: Sequence[str], *, measured: bool) -> tuple[float, float, float]:
    """Run a command to its end.

    Returns:
        ``(CPU seconds, wall seconds, peak MB)``.

    Raises:
        CalledProcessError: it failed.
    """
    begin = time.monotonic()
    with core(measured=measured):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, time.monotonic() - begin, used.ru_maxrss * 1024 / 1e6


def module(
    name: str, *arguments: str, environment: Mapping[str, str] | None = None, measured: bool = True
) -> dict[str, Any]:
    """What ``python -m name`` prints as its last line, a JSON object; it runs on the core for what is ``measured``."""
    command = [sys.executable, "-m", name, *arguments]
    with core(measured=measured):
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        output, _ = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return orjson.loads(output.splitlines()[-1])
