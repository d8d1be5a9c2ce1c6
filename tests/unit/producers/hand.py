"""A publisher that acknowledges when the test says so, an interrupt that the test asks for, and sites' lines."""

from __future__ import annotations

from typing import Any, cast

from producers.formats import format_of
from producers.interrupt import Interrupt
from producers.pace import Pace
from producers.publisher import Letter, Publisher, Spans, Ticket
from producers.records import Parsed
from producers.sender import Sender
from schemas.sites import SITES

READ = format_of(SITES, "jsonl")


def event(number: int) -> bytes:
    """A good line."""
    return b'{"id":"e%d","type":"message","from":"v","site_id":"7","timestamp":%d,"data":{}}' % (number, number)


class HandPublisher:
    """Keeps what is sent.

    Args:
        acknowledges: at once; otherwise when `acknowledge` is called.
    """

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.acknowledges = acknowledges
        self.spans: Spans = {}
        self.letters: list[Letter] = []
        self.records: list[tuple[str, int, bytes]] = []
        """``(file, line, value)`` in the order in which they were sent."""
        self.rejected: list[tuple[str, int]] = []
        self.tickets: list[Ticket] = []
        self.room = 1 << 60
        """How many more records are taken before somebody asks for the interrupt."""
        self.interrupt = Interrupt()

    def send(self, file: str, parsed: Parsed) -> Ticket:
        """Keep the records."""
        ticket = Ticket(cast("Publisher", self))
        count = min(self.room, len(parsed.values))
        self.room -= count
        self.interrupt.asked = self.room == 0
        ticket.records, ticket.records_left = count, count
        ticket.nbytes = sum(map(len, parsed.values[:count]))
        ticket.rejected, ticket.letters_left = len(parsed.rejected), len(parsed.rejected)
        self.records += [(file, line, value) for line, value in zip(parsed.lines[:count], parsed.values, strict=False)]
        self.rejected += [(file, rejected.line) for rejected in parsed.rejected]
        self.tickets.append(ticket)
        if self.acknowledges:
            self.acknowledge(ticket)
        return ticket

    def acknowledge(self, ticket: Ticket) -> None:
        """The broker has all of ``ticket``."""
        ticket.records_left = ticket.letters_left = 0

    def rest(self, seconds: float) -> None:
        """Nothing to wait for."""

    def sender(self, pace: Pace | None = None) -> Sender:
        """A sender into this publisher."""
        return Sender(cast("Any", self), self.interrupt, pace)
