"""A worker of `sites` as a process of its own, for tests that look at it from outside."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil

from tests.waiting import until

PROGRAM = Path(sys.executable).with_name("streamgauge")
PATIENCE_S = 60
STOP_S = 10


class Running:
    """A worker process, its log and its HTTP."""

    def __init__(self, folder: Path, brokers: str, name: str = "w", *words: str) -> None:
        self.folder, self.brokers = folder, brokers
        self.log = folder / f"{name}.log"
        command = [PROGRAM, "worker", "sites", "--id", name, "--data", folder, "--brokers", brokers, *words]
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

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the program against the same brokers and data."""
        command = [PROGRAM, *words, "--brokers", self.brokers, "--data", self.folder]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def engine(self) -> psutil.Process:
        """Its engine process."""
        return until(psutil.Process(self.process.pid).children)[0]

    def stop(self) -> int:
        """Stop it as a supervisor does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
