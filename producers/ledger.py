"""How far a command has come: what was sent in order, and up to where the broker has all of it.

    ledger.add(publisher.send(name, parsed), position)    # position: where reading goes on after this
    for position in ledger.settle(): ...                  # acknowledged, and everything before it too

Partitions acknowledge each at their own speed, so what is acknowledged has holes; what can be resumed after has none.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from producers.publisher import Ticket

P = TypeVar("P")


class Ledger(Generic[P]):
    """Tickets in the order in which they were sent, each with the position after it."""

    def __init__(self) -> None:
        self._accepted = 0
        self._rejected = 0
        self._nbytes = 0
        self._open: deque[tuple[Ticket | None, P]] = deque()

    def add(self, ticket: Ticket, position: P) -> None:
        """Keep an eye on ``ticket``; ``position`` is where reading goes on after it."""
        self._open.append((ticket, position))

    def reach(self, position: P) -> None:
        """``position`` follows on what was sent so far, with nothing to send in between."""
        self._open.append((None, position))

    def settle(self) -> list[P]:
        """The positions that were reached since the last call: the broker has all that lies before the last."""
        reached: list[P] = []
        while self._open:
            ticket, position = self._open[0]
            if ticket is not None:
                if ticket.left:
                    break
                self._accepted += ticket.records
                self._rejected += ticket.rejected
                self._nbytes += ticket.nbytes
            self._open.popleft()
            reached.append(position)
        return reached

    @property
    def tickets(self) -> list[Ticket]:
        """Those that were not settled yet."""
        return [ticket for ticket, _ in self._open if ticket is not None]

    @property
    def accepted(self) -> int:
        """Records that the broker has."""
        return self._accepted + sum(ticket.records - ticket.records_left for ticket in self.tickets)

    @property
    def rejected(self) -> int:
        """Records whose dead letter the broker has."""
        return self._rejected + sum(ticket.rejected - ticket.letters_left for ticket in self.tickets)

    @property
    def nbytes(self) -> int:
        """Bytes of the accepted records; of a ticket that is open its acknowledged share."""
        return self._nbytes + sum(
            ticket.nbytes * (ticket.records - ticket.records_left) // ticket.records
            for ticket in self.tickets
            if ticket.records
        )
