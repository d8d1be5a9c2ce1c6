"""A broker and workers as real processes of their own, below one folder, gone at the end whatever happened to them.

    with Cluster(folder) as cluster:
        cluster.start_worker("a", "--epoch", "200ms")
        cluster.wait_until_ready()
        subprocess.run(cluster.command("replay", "sites", "events.jsonl", "--wait"), check=True)
        cluster.kill_worker("a", "engine")

A worker is killed as a crash would: the engine process alone, its parent alone, or both at once. What supervises
workers in production (systemd, Kubernetes) is played by `Cluster.keep`: it starts a worker that is gone again.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from ops.broker import LocalBroker
from ops.broker.launch import free_port
from tests.waiting import until

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / ".venv" / "bin" / "streamgauge"
RESTART_S = 1.0
ENGINE_S = 10.0
STOP_S = 20.0
RESTORED = r'"time":"([^"]+)","level":"info","event":"partition restored","partition":(\d+)'
TAKEN_OVER_S = 180.0
"""A member's session, a restart of the other worker, a rebalance and a restore; machines are busy."""


class Sent(NamedTuple):
    """What came of a command that sent records.

    Args:
        code: its exit code.
        runs: how often it was run, because it was killed.
        result: what the last run printed, as ``--json`` has it.
        told: what the last run said to people.
    """

    code: int
    runs: int
    result: bytes
    told: str


class Cluster:
    """A broker and workers as processes of their own, below one folder; all of it is gone at the end.

    Args:
        folder: where everything is kept, logs included.
        stream: what the workers count.
    """

    def __init__(self, folder: Path, stream: str = "sites") -> None:
        self.folder = folder
        self.stream = stream
        port = free_port()
        self.broker = LocalBroker(folder / "broker", port)
        self.bootstrap = f"127.0.0.1:{port}"
        """The broker's address, also while it is away."""
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {}
        """Options and environment of each worker."""
        self.restarts = 0
        """How often a worker was started again because it was gone."""
        self._sender: subprocess.Popen[bytes] | None = None
        self._seen: set[psutil.Process] = set()
        self._keeping = threading.Event()
        self._keeper: threading.Thread | None = None
        self._lock = threading.RLock()
        self._timers: list[threading.Timer] = []
        self._standing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as standing:
            self.stand_on(standing)
            self._standing = standing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._standing:
            self.settle()
            self._keeping.set()
            if self._keeper is not None:
                self._keeper.join()
            for process in self.workers.values():
                self._seen.update(tree_of(process.pid))
            self.kill_sender()
            for process in self._seen:
                kill(process)
            for process in self.workers.values():
                process.wait()

    def stand_on(self, standing: ExitStack) -> None:
        """Start what workers need. What is left on ``standing`` ends after them, also where a later start fails."""
        self.broker.start(foreground=True)
        standing.callback(self.broker.stop)

    @property
    def kafka(self) -> dict[str, str]:
        """Client properties."""
        return {"bootstrap.servers": self.bootstrap}

    def command(self, *words: str) -> list[str]:
        """A command line of the program for this cluster."""
        return [str(PROGRAM), *words, "--brokers", self.bootstrap, "--data", str(self.folder / "data")]

    def worker_command(self, name: str, *options: str) -> list[str]:
        """The command line of the worker called ``name``."""
        return self.command("worker", self.stream, "--id", name, *options)

    def start_worker(self, name: str, *options: str, env: Mapping[str, str] | None = None) -> None:
        """Start the worker called ``name``; its log is ``NAME.log`` in the folder.

        Args:
            name: its id.
            options: of the command.
            env: added to the environment; also when it is started again.
        """
        self._started[name] = options, env or {}
        words = self.worker_command(name, *options)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})}
            )

    def env_of(self, name: str) -> Mapping[str, str]:
        """What the worker called ``name`` has in its environment beside ours."""
        return self._started[name][1]

    def wait_until_ready(self, seconds: float = 180.0) -> None:
        """Wait until every worker has said that its partitions are restored.

        Raises:
            TimeoutError: one did not.
        """
        for name in self.workers:
            until(lambda name=name: self.is_ready(name), f"{name} is ready: {self.folder / name}.log", seconds)

    def is_ready(self, name: str) -> bool:
        """Whether the worker called ``name`` ever said so."""
        return '"event":"ready"' in self.log_of(name)

    def keep(self) -> None:
        """Start whichever worker is gone again, until the end."""

        def watch() -> None:
            while not self._keeping.wait(RESTART_S):
                with self._lock:
                    for name in [name for name, process in self.workers.items() if process.poll() is not None]:
                        self.restarts += 1
                        options, env = self._started[name]
                        self.start_worker(name, *options, env=env)

        self._keeper = threading.Thread(target=watch, name="keeper")
        self._keeper.start()

    @contextmanager
    def unkept(self) -> Generator[None]:
        """Meanwhile nobody starts a worker that is gone."""
        with self._lock:
            yield

    def send(self, words: Sequence[str], folder: Path) -> Sent:
        """Run a command that sends records, in ``folder``, to its end; killed, it is run again."""
        runs = 0
        while True:
            runs += 1
            with (folder / "sender.json").open("w+b") as result, (folder / "sender.log").open("w+b") as told:
                command = self.command(*words, "--json")
                sender = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=result, stderr=told, cwd=folder)
                self._sender = sender
                code = sender.wait()
                result.seek(0)
                told.seek(0)
                if code != -signal.SIGKILL:
                    return Sent(code, runs, result.read(), told.read().decode(errors="replace"))

    def kill_sender(self) -> str:
        """Kill the command that sends records."""
        sender = self._sender
        if sender is None or sender.poll() is not None:
            return "kill -9 whoever sends (nobody did)"
        sender.kill()
        return f"kill -9 whoever sends ({sender.pid})"

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

    def lose_worker(self, name: str) -> str:
        """Kill the worker called ``name``, as the loss of its machine would: it does not come back."""
        with self._lock:
            done = self.kill_worker(name, "both")
            self.workers.pop(name).wait()
        return f"{done}, for good"

    def stop_worker(self, name: str) -> str:
        """Stop the worker called ``name`` for good, as SIGTERM does, and forget it."""
        with self._lock:
            process = self.workers.pop(name)
        self._seen.update(tree_of(process.pid))
        process.terminate()
        code = process.wait(STOP_S)
        said = self.log_of(name).strip().splitlines()  # nothing, when it was stopped before it could begin
        why = f": {said[-1]}" if code and said else ""
        return f"stop {name} (exit code {code}){why}"

    def wipe_worker(self, name: str) -> str:
        """Kill the worker called ``name`` and delete its state, as the loss of a machine would."""

        def delete(state: Path) -> str:
            shutil.rmtree(state, ignore_errors=True)
            return "delete its state"

        return self.change_state(name, delete)

    def change_state(self, name: str, change: Callable[[Path], str]) -> str:
        """Kill the worker called ``name`` and let ``change`` do to its state directory what it likes."""
        self._wait_for_engine(name)
        with self._lock:
            tree = tree_of(self.workers[name].pid)
            for process in tree:
                kill(process)
            psutil.wait_procs(tree, timeout=ENGINE_S)
            return f"kill -9 {name} and {change(self.state_of(name))}"

    def state_of(self, name: str) -> Path:
        """The state directory of the worker called ``name``."""
        return self.folder / "data" / "workers" / name

    def log_of(self, name: str) -> str:
        """What the worker called ``name`` has logged until now."""
        return (self.folder / f"{name}.log").read_text()

    def pause_worker(self, name: str, whom: str) -> str:
        """Stop ``whom`` of the worker's processes (SIGSTOP) until others have its partitions: a zombie comes back.

        Args:
            name: of the worker; another one must run.
            whom: its ``engine`` or ``all``.

        Raises:
            TimeoutError: nobody took over.
        """
        self._wait_for_engine(name)
        until(lambda: name in self.owners().values(), f"{name} has a partition", TAKEN_OVER_S)
        tree = tree_of(self.workers[name].pid)
        self._seen.update(tree)
        victims = tree[1:] if whom == "engine" else tree
        begin = time.monotonic()
        for victim in victims:
            signal_to(victim, signal.SIGSTOP)
        try:
            until(lambda: name not in self.owners().values(), f"others have the partitions of {name}", TAKEN_OVER_S)
        finally:
            for victim in victims:
                signal_to(victim, signal.SIGCONT)
        pids = ", ".join(str(victim.pid) for victim in victims)
        return f"resume {name}'s {whom} ({pids}), {time.monotonic() - begin:.1f} s after they were stopped"

    def owners(self) -> dict[int, str]:
        """Who restored each partition last, as the logs say."""
        restored = [
            (at, int(partition), name)
            for name in self.workers
            for at, partition in re.findall(RESTORED, self.log_of(name))
        ]
        return {partition: name for _, partition, name in sorted(restored)}

    def _wait_for_engine(self, name: str) -> None:
        """A worker that was struck a moment ago is starting: let it get as far as an engine process."""
        with suppress(TimeoutError):
            until(lambda: len(tree_of(self.workers[name].pid)) > 1, f"an engine process of {name}", ENGINE_S)

    def kill_broker(self, away_s: float) -> str:
        """Kill the broker; it starts again on its port ``away_s`` seconds later, while other things happen."""
        pid = self.broker.pid
        os.kill(pid, signal.SIGKILL)

        def start() -> None:
            # One that has not ended yet is found to be running: then nobody would start it.
            until(lambda: self.broker.home.running() is None, f"the end of the broker ({pid})")
            self.broker.start(foreground=True)

        back = threading.Timer(away_s, start)
        back.start()
        self._timers.append(back)
        return f"kill -9 the broker ({pid}), its start begins {away_s:.1f} s later"

    def pause_broker(self, seconds: float, fits: Callable[[], bool]) -> str:
        """Stop the broker (SIGSTOP), as a machine does that swaps or migrates, and resume it ``seconds`` later.

        Args:
            seconds: how long.
            fits: asked as soon as it stands still; where it does not, the broker goes on, and another moment is tried.

        Raises:
            TimeoutError: no moment did.
        """
        self.settle()  # it may have been killed a moment ago
        pid = self.broker.pid

        def stopped() -> bool:
            os.kill(pid, signal.SIGSTOP)
            until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"the broker ({pid}) stands still")
            if fits():
                return True
            os.kill(pid, signal.SIGCONT)
            return False

        until(stopped, f"a moment to stop the broker ({pid})")
        try:
            threading.Event().wait(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return f"resume the broker ({pid}), which was stopped for {seconds:.1f} s"

    def settle(self) -> None:
        """Wait until a broker that was killed is back."""
        for timer in self._timers:
            timer.join()


def tree_of(pid: int) -> list[psutil.Process]:
    """The process ``pid`` and its descendants; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    """As ``kill -9`` does."""
    signal_to(process, signal.SIGKILL)


def signal_to(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is fine (psutil knows a reused id)."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
