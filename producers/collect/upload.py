"""One request's body on its way into Kafka: read, sent and acknowledged, and how far that came.

How a request is answered:

    upload = Upload(request.content, body, intake, origin)
    await upload.run()                                # may be cancelled: the server stops, the client goes away
    upload.drain()                                    # then: what had come is taken all the same
    await upload.acknowledged(patience)
    upload.accepted, upload.line                      # everything before that line is on the broker

What is read goes out in pieces, none of which is waited for; only at the end all of them are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from producers.collect.body import Body
from producers.collect.intake import Intake
from producers.ledger import Ledger
from producers.records import Parsed


class Content(Protocol):
    """What aiohttp gives of a body."""

    async def readany(self) -> bytes:
        """What has come; empty at the end."""
        ...

    def read_nowait(self) -> bytes:
        """What has come already."""
        ...

    def at_eof(self) -> bool:
        """Whether all of it has come, and was read."""
        ...

    def exception(self) -> BaseException | None:
        """What went wrong with it."""
        ...


class Upload:
    """One body.

    Args:
        content: where it comes from.
        body: what is made of it.
        intake: where it goes.
        origin: what the request is called, in headers and dead letters.
        form: what its lines are, where they are not what the stream's files hold.
    """

    def __init__(self, content: Content, body: Body, intake: Intake, origin: str, form: str = "") -> None:
        self.whole = False
        """Whether all of the body was read and sent."""
        self._content = content
        self._body = body
        self._intake = intake
        self._origin = origin
        self._form = form
        self._ledger: Ledger[int] = Ledger()
        self._line = 1
        self._parts: Iterator[tuple[Parsed, int]] = iter(())
        self._ending = False
        self._cut = False

    @property
    def accepted(self) -> int:
        """Lines that the broker has."""
        return self._ledger.accepted

    @property
    def rejected(self) -> int:
        """Lines whose dead letter the broker has."""
        return self._ledger.rejected

    @property
    def line(self) -> int:
        """The first line that the broker may not have: everything before it is acknowledged."""
        self._settle()
        return self._line

    async def run(self) -> None:
        """Read and send all of it, or what is taken of it, as fast as the broker takes it.

        Raises:
            StreamgaugeError: the broker refused.
            Exception: whatever aiohttp says of a body that breaks off.
        """
        while True:
            await self._intake.room()
            if self._send_part():
                await asyncio.sleep(0)  # others, too
                continue
            self._intake.pass_on()
            if self._over:
                return
            self._take(await self._content.readany())

    def drain(self) -> None:
        """Send what has come already, without waiting for anything.

        Raises:
            StreamgaugeError: the broker refused.
        """
        while self._intake.has_room:
            if self._send_part():
                continue
            if self._over or self._content.exception() is not None:
                return
            block = self._content.read_nowait()
            if not block and not self._content.at_eof():
                return
            self._take(block)

    async def acknowledged(self, patience: Callable[[], AbstractAsyncContextManager[None]]) -> bool:
        """Wait until the broker has everything that was sent; False when it does not get on.

        Args:
            patience: makes what each part is waited for in; it raises TimeoutError when that takes too long.

        Raises:
            StreamgaugeError: it will not have all of it, ever.
        """
        self._settle()
        for ticket in self._ledger.tickets:
            try:
                async with patience():
                    await self._intake.acknowledged(ticket)
            except TimeoutError:
                return False
        self._settle()
        return True

    @property
    def _over(self) -> bool:
        """Whether nothing more will be sent."""
        return self._ending or self._cut or self._body.refused is not None

    def _take(self, block: bytes) -> None:
        """Take the next bytes; none of them: the body has ended."""
        if block:
            self._parts = self._body.feed(block)
        else:
            self._ending = True
            self._parts = self._body.end()

    def _send_part(self) -> bool:
        """Send the next part of what was read; False when there is none."""
        part = next(self._parts, None)
        if part is None:
            self.whole = self._ending and self._body.refused is None
            return False
        parsed, next_line = part
        parsed.form = self._form
        ticket = self._intake.send(self._origin, parsed)
        if ticket.records == len(parsed.values):
            self._ledger.add(ticket, next_line)
        else:  # an interrupt was asked for while the broker is away: the rest is not sent
            self._ledger.add(ticket, parsed.lines[ticket.records])
            self._parts, self._ending, self._cut = iter(()), False, True
        self._settle()
        return True

    def _settle(self) -> None:
        for line in self._ledger.settle():
            self._line = line
