"""A real Kafka as a child process: start, stop, status.

    broker = LocalBroker(data, port=9092)
    broker.start()                               # returns when clients are accepted; the broker outlives this process
    broker.stop()

    with ephemeral_broker(data) as bootstrap:    # ends with this process, kill -9 included, and leaves nothing
        …

A start finds Java and the jars, claims the directory, checks disk and port, writes the settings, formats the storage
(the first time), starts the JVM and waits until a client gets an answer. What goes wrong on the way is told in one
line, and nothing of it is left running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ops.broker import jars
from ops.broker.diagnosis import diagnose, tail
from ops.broker.home import Home, Record
from ops.broker.launch import LOOK_EVERY_S, READY_S, Launch, PortTaken, connects, free_port
from ops.broker.runtime import find_java
from schemas.errors import StreamgaugeError

T = TypeVar("T")

STOP_S = 20.0
KILLED_S = 10.0
PORT_TRIES = 3


@dataclass(frozen=True)
class Status:
    """What is known of a local broker.

    Args:
        state: ``running``, ``starting`` (or being stopped), ``stopped``, or ``died``: it ended without being asked.
        record: where it listens or listened; None when stopped.
        reason: why it died, if its log says so.
    """

    state: str
    record: Record | None = None
    reason: str | None = None


class LocalBroker:
    """The one broker of a data directory.

    Args:
        data: the directory; the broker writes below ``data/broker`` only.
        port: where clients connect, on loopback; None chooses a free one at each start.
    """

    def __init__(self, data: Path, port: int | None = None) -> None:
        self.home = Home(data)
        self.port = port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address of the running broker.

        Raises:
            StreamgaugeError: none runs.
        """
        return self._running().bootstrap

    @property
    def pid(self) -> int:
        """The process id of the running broker.

        Raises:
            StreamgaugeError: none runs.
        """
        return self._running().pid

    def status(self) -> Status:
        """What there is now; nothing is waited for."""
        record = self.home.read_record()
        if self.home.owned():
            return Status("running" if record is not None and connects(record.port) else "starting", record)
        if record is None:
            return Status("stopped")
        return Status("died", record, diagnose(tail(self.home.server_log, record.log_start)))

    def start(self, *, foreground: bool = False, wipe: bool = False) -> Record:
        """Start the broker, or find it running.

        Args:
            foreground: the broker ends when this process does, however that ends.
            wipe: and its directory goes with it (only with ``foreground``).

        Returns:
            Where it listens, now that it accepts clients.

        Raises:
            StreamgaugeError: it could not be started; or it runs already, though on another port than the one that
                was asked for, or where a foreground one was.
        """
        java, class_path = find_java(), jars.ensure()
        try:
            claimed = _until(self._claim_or_find, READY_S)
            if isinstance(claimed, Record):
                return self._accept(claimed, foreground=foreground)
            if claimed is None:
                raise StreamgaugeError(
                    f"{self.home.root} is held by another process, and no broker answers; see "
                    f"{self.home.server_log}, or end it: streamgauge broker stop --data {self.home.data}"
                )
            try:
                self.home.record.unlink(missing_ok=True)
                return self._launch(Launch(self.home, java, class_path, claimed, foreground, wipe))
            except BaseException:
                if wipe:
                    self.home.wipe()
                raise
            finally:
                os.close(claimed)
        except OSError as error:
            raise StreamgaugeError(
                f"cannot keep a broker in {self.home.root}: {error.strerror or error}; "
                "choose another directory with --data"
            ) from error

    def wait(self) -> int:
        """Wait for the end of a broker that this object started; its exit code.

        Raises:
            StreamgaugeError: this object started none.
        """
        if self._child is None:
            raise StreamgaugeError(f"the broker of {self.home.data} was started by another process")
        return self._reap(self._child)

    def stop(self, *, wipe: bool = False) -> bool:
        """Stop the broker, orderly if it can; it is fine when none runs.

        Args:
            wipe: remove its directory afterwards: topics, groups, everything.

        Returns:
            Whether one was running.

        Raises:
            StreamgaugeError: the directory is held by somebody who does not let go of it.
        """
        record = self.home.running()
        if record is not None:
            self._end(record.pid)
        if self._child is not None:
            self._reap(self._child)
        if self.home.root.exists():
            lock = _until(self.home.claim, STOP_S)
            if lock is None:
                raise StreamgaugeError(f"{self.home.root} is in use by another process (a start under way?); try again")
            try:
                self.home.record.unlink(missing_ok=True)
                if wipe:
                    self.home.wipe()
            finally:
                os.close(lock)
        return record is not None

    def _claim_or_find(self) -> int | Record | None:
        """The lock, or the broker that holds it and answers; None while neither is to be had."""
        lock = self.home.claim()
        if lock is not None:
            return lock
        found = self.home.running()
        return found if found is not None and connects(found.port) else None

    def _accept(self, found: Record, *, foreground: bool) -> Record:
        if foreground:
            raise StreamgaugeError(
                f"a broker of {self.home.data} runs already (pid {found.pid}, {found.bootstrap}); "
                "stop it first (streamgauge broker stop), or give this one a --data of its own"
            )
        if self.port not in {None, found.port}:
            raise StreamgaugeError(
                f"the broker of {self.home.data} runs on port {found.port} already; "
                "stop it first (streamgauge broker stop), or give another one a --data of its own"
            )
        return found

    def _launch(self, launch: Launch) -> Record:
        """Start on the port that was asked for, or on a free one; if somebody is quicker, on the next free one."""
        if self._child is not None:
            self._reap(self._child)  # an earlier one that died
        for left in reversed(range(1 if self.port else PORT_TRIES)):
            try:
                self._child, record = launch.run(self.port or free_port())
            except PortTaken:
                if not left:
                    raise
            else:
                return record
        raise StreamgaugeError("no free port")

    def _end(self, pid: int) -> None:
        """Ask the broker to end; make it when it does not."""
        for number, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, KILLED_S)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            if _until(lambda: not self.home.owned() or None, seconds):
                return

    def _reap(self, child: subprocess.Popen[bytes]) -> int:
        code = child.wait()
        if child.stdin is not None:
            child.stdin.close()
        self._child = None
        return code

    def _running(self) -> Record:
        record = self.home.running()
        if record is None:
            raise StreamgaugeError(
                f"no local broker runs on {self.home.data}; start one: streamgauge broker start --data {self.home.data}"
            )
        return record


@contextmanager
def ephemeral_broker(data: Path, port: int | None = None) -> Generator[str]:
    """A broker that ends with the block, or with this process, and takes its directory with it.

    Args:
        data: its data directory; removed, too, when nothing else is in it.
        port: where it listens; default a free port.

    Yields:
        The address for clients.
    """
    broker = LocalBroker(data, port)
    try:
        record = broker.start(foreground=True, wipe=True)
        try:
            yield record.bootstrap
        finally:
            broker.stop(wipe=True)
    finally:
        with suppress(OSError):
            data.rmdir()


def _until(condition: Callable[[], T | None], seconds: float) -> T | None:
    """Ask until the answer is not None, or the time is over."""
    deadline = time.monotonic() + seconds
    while (answer := condition()) is None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    return answer
