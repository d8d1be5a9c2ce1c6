"""One stream's publisher, shared by many requests on an event loop, none of which may wait in it.

    intake = Intake(publisher)
    pumping = asyncio.create_task(intake.pump())
    await intake.room()                            # until the broker has taken some of what is under way
    ticket = intake.send(origin, parsed)
    await intake.acknowledged(ticket)

A publisher waits where its queue is full, and with it the loop and every other client. So no more than half of the
queue is used, and who wants to send waits here, in the order in which they came; a socket that nobody reads meanwhile
pushes back on its client. When the broker refuses for good, all of them hear of it, and this intake is at its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from producers.publisher import Letter, Publisher, Ticket
from producers.records import Parsed
from schemas.errors import StreamgaugeError

PUMP_S = 0.01
"""How often the broker's answers are taken while something is under way."""
IDLE_S = 1.0
"""And while nothing is: librdkafka has things to tell about brokers that went away, too."""
MOST_RECORDS = 100_000
MOST_BYTES = 48 << 20


@dataclass
class Totals:
    """What a stream has got."""

    accepted: int = 0
    rejected: int = 0
    nbytes: int = 0
    letters: list[Letter] = field(default_factory=list[Letter])
    """The first dead letters."""

    def add(self, ticket: Ticket) -> None:
        """Count what the broker has of ``ticket``."""
        accepted = ticket.records - ticket.records_left
        self.accepted += accepted
        self.rejected += ticket.rejected - ticket.letters_left
        self.nbytes += ticket.nbytes if accepted == ticket.records else ticket.nbytes * accepted // ticket.records


class Intake:
    """Sends for many.

    Args:
        publisher: of the stream; nobody else sends by it.
        totals: what was sent is added to these when it is acknowledged.
    """

    def __init__(self, publisher: Publisher, totals: Totals) -> None:
        self.failure: StreamgaugeError | None = None
        """Why nothing more can be sent by this intake."""
        self._publisher = publisher
        self._totals = totals
        # librdkafka takes 0 for "as many as you like".
        self._most_records = min(MOST_RECORDS, publisher.queue_records // 2 or MOST_RECORDS)
        self._most_bytes = min(MOST_BYTES, publisher.queue_bytes // 2 or MOST_BYTES)
        self._letters = list(totals.letters)
        self._under_way: list[tuple[Ticket, int]] = []
        """With the bytes of each, bad lines included."""
        self._bytes = 0
        self._for_room: deque[asyncio.Future[None]] = deque()
        self._for_answers: list[tuple[Ticket, asyncio.Future[None]]] = []
        self._busy = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether more may be sent now."""
        return self._publisher.under_way < self._most_records and self._bytes < self._most_bytes

    @property
    def stalled_s(self) -> float:
        """Seconds for which something has been under way and nothing was acknowledged."""
        return self._publisher.stalled_s

    async def room(self) -> None:
        """Wait until more may be sent. Where others wait, too, they have their turns one after the other.

        Raises:
            StreamgaugeError: nothing more can be, by this intake.
        """
        if self.failure is not None:
            raise self.failure
        if self.has_room and not self._for_room:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._for_room.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """The turn that `room` gave is not needed; otherwise `send` passes it on."""
        while self._for_room and self.has_room:
            turn = self._for_room.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def send(self, name: str, parsed: Parsed) -> Ticket:
        """Send records of the source called ``name``; `room` was waited for.

        Raises:
            StreamgaugeError: the broker refused, for all who send by this intake.
        """
        if self.failure is not None:
            raise self.failure
        try:
            ticket = self._publisher.send(name, parsed)
        except StreamgaugeError as error:
            self.fail(error)
            raise
        size = ticket.nbytes + sum(len(rejected.value) for rejected in parsed.rejected)
        self._under_way.append((ticket, size))
        self._bytes += size
        self._busy.set()
        self.pass_on()
        return ticket

    async def acknowledged(self, ticket: Ticket) -> None:
        """Wait until the broker has all of ``ticket``.

        Raises:
            StreamgaugeError: it will not, ever.
        """
        if self.failure is not None:
            raise self.failure
        if ticket.left:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._for_answers.append((ticket, answer))
            await answer

    async def pump(self) -> None:
        """Take the broker's answers, and tell who waits for them, until something fails or this is cancelled."""
        while self.failure is None:
            try:
                self._publisher.rest(0)
            except StreamgaugeError as error:
                self.fail(error)
                return
            self._settle()
            if self._publisher.under_way or self._under_way or self._for_room:
                # Where a broker is away, there is nothing to be quick about.
                await asyncio.sleep(PUMP_S if self.stalled_s < IDLE_S else IDLE_S / 4)
            else:
                self._busy.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._busy.wait(), IDLE_S)

    def fail(self, error: StreamgaugeError) -> None:
        """Give up what is under way, and tell all who wait for it."""
        self.failure = error
        self._busy.set()
        self._publisher.abandon()
        self._settle()
        for ticket, _ in self._under_way:
            self._totals.add(ticket)
        self._under_way.clear()
        for waiting in (*self._for_room, *(answer for _, answer in self._for_answers)):
            if not waiting.done():
                waiting.set_exception(error)
        self._for_room.clear()
        self._for_answers.clear()

    def _settle(self) -> None:
        left = [(ticket, size) for ticket, size in self._under_way if ticket.left]
        if len(left) < len(self._under_way):
            for ticket, _ in self._under_way:
                if not ticket.left:
                    self._totals.add(ticket)
            self._under_way = left
            self._bytes = sum(size for _, size in left)
            self._totals.letters = [*self._letters, *self._publisher.letters]
        # Offsets serve `replay --wait`. Here they would add up for as long as others write to the topic, too.
        self._publisher.spans.clear()
        waiting = [(ticket, answer) for ticket, answer in self._for_answers if ticket.left and not answer.done()]
        for ticket, answer in self._for_answers:
            if not ticket.left and not answer.done():
                answer.set_result(None)
        self._for_answers = waiting
        self.pass_on()
