"""One engine process, as the worker that keeps it running sees it.

    starting ─▶ waiting ─▶ restoring ─▶ ready          what the process reports of itself
        ▲          (broker)     ▲────────┘ (rebalance)
        └── restarting ◀── any of them, when it ends by itself     (`ops.worker.restarts`)
    stopping ─▶ stopped                                when the worker ends

The process reports by lines of JSON on its stdout, ``{"state", "reason", "final"}``; ``final`` says that another
start cannot help. It is told what to do by one line on its stdin (`ops.worker.order`), which stays open.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from ops.worker.order import Order
from ops.worker.restarts import LIMIT, Restarts
from schemas.errors import StreamgaugeError

STOP_S = 8.0
"""What an engine gets to finish its epoch and commit; then it is killed. The worker as a whole has 10 s."""
COMMAND = (sys.executable, "-P", "-m", "ops.worker.child")

log = logging.getLogger("streamgauge.worker")


_ALLOCATION = {"MALLOC_ARENA_MAX": "2"}
"""An engine's threads free what others made; with an arena each, glibc kept hundreds of MB of that for itself."""


class GaveUp(StreamgaugeError):
    """An engine process fails again and again, or in a way that no restart mends."""

    def __init__(self, reason: str, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class EngineProcess:
    """Starts, restarts and stops one engine process.

    Args:
        order: what it is told.
        listener: the socket on which it answers questions; it outlives the process, so a restart loses no caller.
        inherit: further file descriptors that the process holds on to.
        broker_answers: whether a failure can be held against the engine.
        changed: called after each change of `state`.
        command: what is run.
        restarts: counts its failures.
        clock: seconds, only rising.
    """

    def __init__(
        self,
        order: Order,
        *,
        listener: socket.socket | None,
        inherit: Sequence[int],
        broker_answers: Callable[[], Awaitable[bool]],
        changed: Callable[[], None],
        command: Sequence[str] = COMMAND,
        restarts: Restarts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.order = order
        self.listener = listener
        self.state = "starting"
        self.reason = "the engine is starting"
        self.starts = 0
        self.pid: int | None = None
        self.heard = clock()
        """When the process last reported, by ``clock``."""
        self._inherit = tuple(inherit) + ((listener.fileno(),) if listener else ())
        self._broker_answers = broker_answers
        self._changed = changed
        self._command = command
        self._clock = clock
        self._restarts = restarts or Restarts()
        self._stopping = asyncio.Event()
        self._killed = ""
        self._final = False

    @property
    def name(self) -> str:
        """For messages: stream and instance."""
        return f"{self.order.stream} engine {self.order.instance}"

    async def keep_running(self) -> None:
        """Run the process until `stop`; returns when it has ended well.

        Raises:
            GaveUp: it failed for good.
            StreamgaugeError: it did not end well when it was stopped.
        """
        while True:
            process = await self._start()
            try:
                await self._listen(process)
                code = await process.wait()
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
                self.pid = None
            if self._stopping.is_set():
                self._ended(code)
                return
            again_s = await self._failed(code)
            try:
                await asyncio.wait_for(self._stopping.wait(), again_s)
            except TimeoutError:
                continue
            self._move("stopped", "")
            return

    def stop(self) -> None:
        """Ask the process to finish its epoch and end; kill it when it takes longer than `STOP_S`."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(STOP_S, self.kill, f"did not stop within {STOP_S:g} s")

    def kill(self, why: str) -> None:
        """End the process at once."""
        self._stopping.set()
        if self.pid is not None:
            self._killed = self._killed or why
            self._signal(signal.SIGKILL)

    async def _start(self) -> Process:
        self.starts += 1
        self._final = False
        self._move("starting", "the engine is starting")
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, pass_fds=self._inherit, env=_ALLOCATION | os.environ
        )
        self.pid = process.pid
        if process.stdin is None:
            raise RuntimeError("a process started with a pipe has none")
        with suppress(ConnectionError):  # it died at once: its exit code says the rest
            process.stdin.write(self.order.line())
            await process.stdin.drain()
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        return process

    async def _listen(self, process: Process) -> None:
        """Follow the reports until the process closes its stdout, which it does when it ends."""
        if process.stdout is None:
            raise RuntimeError("a process started with a pipe has none")
        async for line in process.stdout:
            self.heard = self._clock()
            try:
                report: dict[str, Any] = json.loads(line)
                state, reason = str(report["state"]), str(report["reason"])
            except (ValueError, KeyError, TypeError):
                log.warning("an engine reported what cannot be read", extra=self._fields(line=repr(line[:200])))
                continue
            self._final = bool(report.get("final"))
            if state == "ready":
                self._restarts.ready(self._clock())
            else:
                self._restarts.unready()
            if (state, reason) != (self.state, self.reason):
                self._move(state, reason)

    def _ended(self, code: int) -> None:
        self._move("stopped", "")
        if self._killed:
            raise StreamgaugeError(
                f"{self.name} {self._killed} and was killed; the next start goes on from its last epoch"
            )
        # SIGTERM may have met the process before it could listen to it: then there was nothing to finish.
        if code not in (0, -signal.SIGTERM):
            raise StreamgaugeError(f"{self.name} {how_it_ended(code)} while it was stopping")

    async def _failed(self, code: int) -> float:
        """How long to wait before the next start."""
        told = self.state == "failed"
        reason = self.reason if told else how_it_ended(code)
        self._move("failed", reason)
        if self._final:
            raise GaveUp(f"{self.name}: {reason}", exit_code=max(1, code))
        again_s = self._restarts.failed(self._clock(), broker_answers=await self._broker_answers())
        if again_s is None:
            raise GaveUp(f"{self.name} failed {LIMIT} times in a row; the last time: {reason}")
        log.warning(
            "engine starts again",
            extra=self._fields(reason=reason, failures=self._restarts.failures, in_seconds=again_s),
        )
        self._move("restarting", f"the engine starts again in {again_s:g} s; it ended: {reason}")
        return again_s

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _move(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        self._changed()

    def _fields(self, **fields: Any) -> dict[str, Any]:
        return {"stream": self.order.stream, "instance": self.order.instance, **fields}


def how_it_ended(code: int) -> str:
    """Say what an exit code means.

    >>> how_it_ended(-9), how_it_ended(70)
    ('was killed by SIGKILL', 'ended with exit code 70')
    """
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"ended with exit code {code}"
