"""A worker as a process of its own, for tests that look at it from outside, and commands beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from subprocess import PIPE
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil

from ops import console
from ops.cli import run
from tests.waiting import until

PROGRAM = Path(sys.executable).with_name("streamgauge")
PATIENCE_S = 60
STOP_S = 10


class Running:
    """A worker process, its log and its HTTP.

    Args:
        folder: for its state and its log.
        brokers: where Kafka is.
        stream: that it counts.
        words: further options.
    """

    def __init__(self, folder: Path, brokers: str, stream: str = "sites", *words: str) -> None:
        self.folder, self.brokers = folder, brokers
        self.log = folder / "w.log"
        command = [PROGRAM, "worker", stream, "--id", "w", *self._shared, *words]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines about ``event``; each line of the log is JSON."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, event: str, times: int = 1) -> dict[str, Any]:
        """The line that says ``event``, once it has been said so often."""
        return until(lambda: self.events(event)[times - 1 :])[-1]

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP."""
        try:
            with urlopen(self.wait_for("worker started")["http"] + path, timeout=10) as answer:  # noqa: S310 - http
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    @property
    def _shared(self) -> tuple[str, ...]:
        return "--brokers", self.brokers, "--data", str(self.folder)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the program against the same brokers and data."""
        command = [PROGRAM, *words, *self._shared]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def begin(self, *words: str | Path) -> subprocess.Popen[str]:
        """Leave such a command running."""
        return subprocess.Popen(
            [PROGRAM, *words, *self._shared], stdin=subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, text=True
        )

    def prints(self, *words: str | Path, code: int = 0) -> str:
        """What such a command prints, run in this process, where it starts at once; it must end with ``code``."""
        return self.prints_and_says(*words, code=code)[0]

    def prints_and_says(self, *words: str | Path, code: int = 0) -> tuple[str, str]:
        """The same, and what it says on stderr."""
        printed, said = TextIOWrapper(BytesIO(), "utf-8", newline=""), StringIO()
        with redirect_stdout(printed), redirect_stderr(said):
            ended = run([*map(str, words), *self._shared])
        console.configure(quiet=False, verbose=0, color="auto")
        assert ended == code, said.getvalue()
        printed.seek(0)
        return printed.read(), said.getvalue()

    def engine(self) -> psutil.Process:
        """Its engine process."""
        return until(psutil.Process(self.process.pid).children)[0]

    @contextmanager
    def serving(self) -> Generator[Self]:
        """Ready at first; at the end it must stop well."""
        try:
            self.wait_for("ready")
            yield self
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(PATIENCE_S) == 0
        finally:
            self.end()

    def stop(self) -> int:
        """Stop it as a supervisor does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
