"""Real processes, and what happens to them: a broker and workers that are killed at random moments and come back.

    with Cluster(folder) as cluster:
        cluster.start_worker("a")
        nemesis = Nemesis.plan(7, cluster, worker_kills=3, broker_kills=1, within_s=20)
        nemesis.run()       # in a thread, while load is sent

A worker is killed as a crash would: the engine process alone, its parent alone, or both at once. What supervises
workers in production (systemd, Kubernetes) is played by `Cluster.keep`: it starts a worker that is gone again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from ops.broker import LocalBroker
from ops.broker.launch import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venv" / "bin" / "streamgauge"
LOOK_EVERY_S = 0.1
RESTART_S = 1.0
ENGINE_S = 10.0
EPOCH = "200ms"


class Cluster:
    """A broker and workers as processes of their own, below one folder; all of it is gone at the end.

    Args:
        folder: where everything is kept, logs included.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = free_port()
        self.broker = LocalBroker(folder / "broker", port)
        self.bootstrap = f"127.0.0.1:{port}"
        """The broker's address, also while it is away."""
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts = 0
        """How often a worker was started again because it was gone."""
        self._seen: set[psutil.Process] = set()
        self._keeping = threading.Event()
        self._keeper: threading.Thread | None = None
        self._lock = threading.Lock()
        self._broker_back: threading.Timer | None = None

    def __enter__(self) -> Self:
        self.broker.start(foreground=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()
        self._keeping.set()
        if self._keeper is not None:
            self._keeper.join()
        for process in self.workers.values():
            self._seen.update(tree_of(process.pid))
        for process in self._seen:
            kill(process)
        for process in self.workers.values():
            process.wait()
        self.broker.stop()

    @property
    def kafka(self) -> dict[str, str]:
        """Client properties."""
        return {"bootstrap.servers": self.bootstrap}

    def command(self, *words: str) -> list[str]:
        """A command line of the program for this cluster."""
        return [str(PROGRAM), *words, "--brokers", self.bootstrap, "--data", str(self.folder / "data")]

    def start_worker(self, name: str) -> None:
        """Start the worker called ``name``; its log is ``NAME.log`` in the folder."""
        words = self.command("worker", "sites", "--id", name, "--epoch", EPOCH)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Wait until every worker has said that its partitions are restored.

        Raises:
            TimeoutError: one did not.
        """
        deadline = time.monotonic() + seconds
        for name in self.workers:
            log = self.folder / f"{name}.log"
            while b'"event":"ready"' not in log.read_bytes():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} is not ready after {seconds:g} s: {log}")
                time.sleep(LOOK_EVERY_S)

    def keep(self) -> None:
        """Start whichever worker is gone again, until the end."""

        def watch() -> None:
            while not self._keeping.wait(RESTART_S):
                with self._lock:
                    for name in [name for name, process in self.workers.items() if process.poll() is not None]:
                        self.restarts += 1
                        self.start_worker(name)

        self._keeper = threading.Thread(target=watch, name="keeper")
        self._keeper.start()

    def kill_worker(self, name: str, whom: str) -> str:
        """Kill ``whom`` of the worker's processes: its ``engine``, its ``parent`` or ``both``; says what was done."""
        self._wait_for_engine(name)
        with self._lock:
            tree = tree_of(self.workers[name].pid)
            self._seen.update(tree)  # an engine outlives its parent for a moment, and is nobody's child then
            victims = {"engine": tree[1:], "parent": tree[:1], "both": tree}[whom]
            for victim in victims:
                kill(victim)
        return f"kill -9 {name}'s {whom} ({', '.join(str(victim.pid) for victim in victims) or 'none was running'})"

    def _wait_for_engine(self, name: str) -> None:
        """A worker that was struck a moment ago is starting: let it get as far as an engine process."""
        deadline = time.monotonic() + ENGINE_S
        while len(tree_of(self.workers[name].pid)) < 2 and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)

    def kill_broker(self, away_s: float) -> str:
        """Kill the broker; it starts again on its port ``away_s`` seconds later, while other things happen."""
        pid = self.broker.pid
        os.kill(pid, signal.SIGKILL)
        self._broker_back = threading.Timer(away_s, self.broker.start, kwargs={"foreground": True})
        self._broker_back.start()
        return f"kill -9 the broker ({pid}), its start begins {away_s:.1f} s later"

    def settle(self) -> None:
        """Wait until the broker is back, if it was killed."""
        if self._broker_back is not None:
            self._broker_back.join()


def tree_of(pid: int) -> list[psutil.Process]:
    """The process ``pid`` and its descendants; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    """As ``kill -9`` does; a process that is gone already is fine (psutil knows a reused id)."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


class Strike(NamedTuple):
    """One disturbance: when, what it is called, and how it is done."""

    at_s: float
    name: str
    do: Callable[[], str]


@dataclass
class Nemesis:
    """A plan of strikes, made from a seed before anything starts.

    Args:
        strikes: in the order of their moments.
        diary: what was done when, for whoever reads a failure.
    """

    strikes: list[Strike]
    diary: list[str] = field(default_factory=list[str])

    @classmethod
    def plan(cls, seed: int, cluster: Cluster, *, worker_kills: int, broker_kills: int, within_s: float) -> Nemesis:
        """Spread the kills over ``within_s`` seconds: one at a random moment of each slice, on random victims."""
        rng = random.Random(seed)
        strikes: list[Strike] = []
        slice_s = within_s / worker_kills
        for number in range(worker_kills):
            name, whom = rng.choice(sorted(cluster.workers)), rng.choice(("engine", "parent", "both"))
            strikes.append(
                Strike(
                    slice_s * (number + rng.random()),
                    f"{name} {whom}",
                    lambda n=name, w=whom: cluster.kill_worker(n, w),
                )
            )
        for _ in range(broker_kills):
            away_s = rng.uniform(0, 2)
            # In the middle, so that there is load before and after.
            at_s = rng.uniform(within_s * 0.25, within_s * 0.75)
            strikes.append(Strike(at_s, "broker", lambda away=away_s: cluster.kill_broker(away)))
        return cls(sorted(strikes, key=lambda strike: strike.at_s))

    def run(self) -> None:
        """Strike at the planned moments, counted from now."""
        begin = time.monotonic()
        for strike in self.strikes:
            time.sleep(max(0.0, begin + strike.at_s - time.monotonic()))
            now_s = time.monotonic() - begin
            self.diary.append(f"{now_s:6.2f} s  {strike.do()}")
