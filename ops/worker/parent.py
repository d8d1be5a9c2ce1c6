"""The worker: a small parent over its engine processes, one for each stream times ``--processes``.

    worker ─┬─ engine process sites ID-0      (a crash ends one engine; the others count on)
            ├─ engine process sites ID-1
            └─ HTTP: /live /ready /metrics /status /state /views, and pages for people

It holds no Kafka client and no state, so there is little in it that could fail or need memory. It makes the sockets
on which it asks its engines before it starts them: a question that meets a restart waits and is answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from ops.worker.lock import WorkerLock
from ops.worker.order import Order
from ops.worker.process import COMMAND, EngineProcess
from ops.worker.reach import any_answers

log = logging.getLogger("streamgauge.worker")

IMPATIENT_S = 1.0
"""Signals that come together are one: `timeout`, for example, sends its own to the process and to the whole group."""


@dataclass(frozen=True)
class Plan:
    """What a worker is to run.

    Args:
        worker: its id.
        data: the data directory.
        streams: to serve.
        processes: engine processes a stream.
        http: ``(host, port)`` to serve on, port 0 for a free one; None serves nothing.
        advertise: ``HOST:PORT`` under which others reach it; None takes that of ``http``.
        order: what all engine processes are told alike.
    """

    worker: str
    data: Path
    streams: Sequence[str]
    processes: int
    http: tuple[str, int] | None
    advertise: str | None
    order: Order


class Worker:
    """Runs a `Plan` until it is stopped.

    Args:
        plan: what to run.
        command: of an engine process.
    """

    def __init__(self, plan: Plan, command: Sequence[str] = COMMAND) -> None:
        self.plan = plan
        self.engines: list[EngineProcess] = []
        self.stopping = False
        self.interrupted = False
        """Whether it was Ctrl-C that stopped it, not a supervisor's SIGTERM."""
        self._command = command
        self._was_ready = False
        self._stopped_at = 0.0

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; another one, after a moment, ends the engines at once.

        Raises:
            IdInUse: another worker of this machine has the id.
            GaveUp: an engine failed for good.
            StreamgaugeError: the address is taken, the state directory cannot be written, an engine did not stop.
        """
        lock = WorkerLock(self.plan.data, self.plan.worker, log.warning)
        with lock as folder:
            async with AsyncExitStack() as stack:
                advertise = await self._serve(stack)
                self.engines[:] = [
                    self._engine(stack, lock.fd, folder, stream, n, advertise)
                    for stream in self.plan.streams
                    for n in range(self.plan.processes)
                ]
                loop = asyncio.get_running_loop()
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, self._asked, number)
                log.info(
                    "worker started",
                    extra={
                        "worker": self.plan.worker,
                        "pid": os.getpid(),
                        "streams": ",".join(self.plan.streams),
                        "processes": self.plan.processes,
                        "brokers": self.plan.order.kafka["bootstrap.servers"],
                        "http": f"http://{advertise}" if advertise else "off",
                    },
                )
                await self._watch()
        log.info("worker stopped", extra={"worker": self.plan.worker})

    @property
    def not_ready(self) -> str:
        """Why the worker is not ready; empty when it is."""
        if self.stopping:
            return "the worker is stopping"
        if not self.engines:
            return "the worker is starting"
        return "; ".join(f"{engine.name}: {engine.reason}" for engine in self.engines if engine.state != "ready")

    async def _watch(self) -> None:
        """Keep all engines running; when one gave up, stop the others and say why."""
        running = [asyncio.create_task(engine.keep_running()) for engine in self.engines]
        await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        if not self.stopping:
            self._stop("an engine gave up")
        ends = await asyncio.gather(*running, return_exceptions=True)
        failures = [end for end in ends if isinstance(end, BaseException)]
        for failure in failures[1:]:
            log.error(str(failure))
        if failures:
            raise failures[0]

    def _engine(
        self, stack: AsyncExitStack, lock_fd: int, folder: Path, stream: str, n: int, advertise: str | None
    ) -> EngineProcess:
        instance = f"{self.plan.worker}-{n}"
        listener = None
        if advertise is not None:
            listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        return EngineProcess(
            replace(
                self.plan.order,
                stream=stream,
                worker=self.plan.worker,
                instance=instance,
                pid=os.getpid(),
                state_dir=folder / instance / stream,
                advertise=advertise,
                listen_fd=listener.fileno() if listener else -1,
            ),
            listener=listener,
            inherit=[lock_fd],
            broker_answers=lambda: any_answers(self.plan.order.kafka["bootstrap.servers"]),
            changed=self._changed,
            command=self._command,
        )

    async def _serve(self, stack: AsyncExitStack) -> str | None:
        """Open the HTTP port; returns the address under which others reach it."""
        if self.plan.http is None:
            return None
        from ops.worker.server import serve  # aiohttp costs 20 MB

        host, port = await serve(stack, self, self.plan.http)
        if self.plan.advertise is not None:
            return self.plan.advertise
        if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - asked for by name
            host = socket.gethostname()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _changed(self) -> None:
        """Log each time that the worker has become ready."""
        ready = all(engine.state == "ready" for engine in self.engines)
        if ready and not self._was_ready:
            log.info("ready", extra={"worker": self.plan.worker, "engines": len(self.engines)})
        self._was_ready = ready

    def _asked(self, number: signal.Signals) -> None:
        """A signal asked for the end."""
        self.interrupted = self.interrupted or (number == signal.SIGINT and not self.stopping)
        if self.stopping and time.monotonic() - self._stopped_at >= IMPATIENT_S:
            for engine in self.engines:
                engine.kill("was still stopping when a second signal came")
        self._stop(f"received {number.name}")

    def _stop(self, why: str) -> None:
        if self.stopping:
            return
        self.stopping = True
        self._stopped_at = time.monotonic()
        log.info("worker stops", extra={"worker": self.plan.worker, "why": why})
        for engine in self.engines:
            engine.stop()
