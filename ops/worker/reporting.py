"""The page of sessions, made in a process of its own: one at a time, in limited time, and only while somebody waits.

reporting = Reporting(worker.plan)
status, html = await reporting.page([("last", "12h")], nobody_waits=lambda: False)
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ops.pages.report import FAULT, Errand
from ops.worker.process import how_it_ended
from schemas.errors import UsageError

if TYPE_CHECKING:
    from ops.worker.parent import Plan

COMMAND = (sys.executable, "-P", "-m", "ops.pages.report")
LIMIT_S = 120.0
TURN_S = 2.0
"""How long a question waits for the one before it: a reader who clicks on has left that one, which ends soon."""
LOOK_S = 0.2
MOST_BYTES = 16 << 20
STATUS = {0: 200, UsageError.exit_code: 400, 1: 503, FAULT: 500}
"""By the exit code of the process."""


class Reporting:
    """Makes pages.

    Args:
        plan: of the worker.
        command: of the process.
        limit_s: what a page may take.
    """

    def __init__(self, plan: Plan, command: Sequence[str] = COMMAND, limit_s: float = LIMIT_S) -> None:
        self._plan = plan
        self._command = command
        self._limit_s = limit_s
        self._turn = asyncio.Semaphore(1)

    async def page(self, query: Sequence[tuple[str, str]], nobody_waits: Callable[[], bool]) -> tuple[int, bytes]:
        """The status and the page that answers ``query``.

        Args:
            query: names and values as they were sent.
            nobody_waits: whether the reader has gone, or the worker stops; then the page does not matter.
        """
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            return self.refused(503, "another page of sessions is being made; ask again in a moment", query)
        try:
            return await self._made(query, nobody_waits)
        finally:
            self._turn.release()

    async def _made(self, query: Sequence[tuple[str, str]], nobody_waits: Callable[[], bool]) -> tuple[int, bytes]:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        talk = asyncio.create_task(_talk(process, self._errand(query)))
        deadline = time.monotonic() + self._limit_s
        try:
            while not talk.done():
                await asyncio.wait({talk}, timeout=LOOK_S)
                if nobody_waits():
                    return self.refused(503, "nobody waits for it", query)
                if time.monotonic() > deadline and not talk.done():
                    return self.refused(
                        503, f"the page was not made within {self._limit_s:g} s; ask for a shorter interval", query
                    )
            html = talk.result()
            if html is None:
                return self.refused(503, "the page became too large; ask for a shorter interval", query)
            code = await process.wait()
        finally:
            talk.cancel()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await asyncio.wait({talk})
            # What is left in a pipe that was not read to its end would keep it open.
            while process.stdout and await process.stdout.read(1 << 16):
                pass
            await process.wait()
        if code not in STATUS or not html:
            return self.refused(503, f"the process that makes the page {how_it_ended(code)}; ask again", query)
        return STATUS[code], html

    def _errand(self, query: Sequence[tuple[str, str]]) -> Errand:
        order = self._plan.order
        return Errand(
            kafka=order.kafka,
            streams=list(self._plan.streams),
            threshold=order.counting.threshold,
            query=list(query),
            log_style=order.log_style,
            log_level=order.log_level,
        )

    def refused(self, status: int, reason: str, query: Sequence[tuple[str, str]]) -> tuple[int, bytes]:
        """The status and the page of a question that gets no answer."""
        from ops.pages.sessions import refused_page

        return status, refused_page(reason, query, self._plan.order.counting.threshold, self._plan.streams)


async def _talk(process: Process, errand: Errand) -> bytes | None:
    """Send it for the page, and read that; None when it is too large. Stdin stays open: its end ends the process."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process started with pipes has none")
    with suppress(ConnectionError):  # it died at once: its exit code says the rest
        process.stdin.write(errand.line())
        await process.stdin.drain()
    html = bytearray()
    while part := await process.stdout.read(1 << 16):
        html += part
        if len(html) > MOST_BYTES:
            return None
    return bytes(html)
