r"""An engine as a process on its core, with a log; whatever happens, it is gone at the end.

    with Running(engine, job) as running:
        running.tree.cpu_s()
        running.kill()              # kill -9, of all its processes

>>> last_line(b"a warning\n\nthe reason\n\n")
'the reason'
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil

from tests import waiting
from tests.bench.measure import Tree, core
from tests.bench.peers.engines import Engine, Job
from tests.cluster import kill, tree_of

STOP_S = 30.0
LOOK_EVERY_S = 0.02
LINE = 200
"""As much of a line of a log as a table bears."""

T = TypeVar("T")


class Wrong(Exception):
    """An engine ended, or did not come to the right answer; the text says how far it came."""


class Running:
    """A started engine.

    Args:
        engine: which one.
        job: what it is to do.
        log: where its output goes.

    Raises:
        Unavailable: it cannot be run on this machine.
    """

    def __init__(self, engine: Engine, job: Job, log: Path) -> None:
        words, environment, folder = engine.command(job)
        self.log = log
        self.began = time.monotonic()
        with core(measured=True), log.open("ab") as file:
            self._process = subprocess.Popen(
                words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self.tree = Tree(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def look(self) -> None:
        """See whether it still runs.

        Raises:
            Wrong: it ended by itself.
        """
        code = self._process.poll()
        if code is not None:
            raise Wrong(f"it ended with code {code}: {last_line(self.log.read_bytes())}")

    def stop(self) -> None:
        """Let it end in order; kill it when it does not."""
        tree = tree_of(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(tree, timeout=STOP_S)
        for process in alive:
            kill(process)
        self._process.wait()

    def kill(self) -> None:
        """Kill all of its processes."""
        for process in tree_of(self._process.pid):
            kill(process)
        self._process.wait()


def until(condition: Callable[[], T], what: str, seconds: float, running: Running | None = None) -> T:
    """Wait until ``condition`` gives something true, and return that.

    Raises:
        Wrong: it did not within ``seconds``, or the engine ended before.
    """

    def looked_at() -> T:
        found = condition()
        if not found and running is not None:
            running.look()
        return found

    try:
        return waiting.until(looked_at, what, seconds, LOOK_EVERY_S)
    except TimeoutError as error:
        said = f"; its log ends with: {last_line(running.log.read_bytes())[:LINE]}" if running else ""
        raise Wrong(f"{error}{said}") from error


def last_line(log: bytes) -> str:
    """The last line of a log that says anything."""
    return next((line for line in reversed(log.decode(errors="replace").splitlines()) if line.strip()), "no word")
