"""Lines through parser, pace and publisher: what replaying a file and following one have in common.

for ticket, line in sender.send("a.jsonl", reading, lines):
    ledger.add(ticket, line)                 # everything before `line` of this source was sent by now
"""

from __future__ import annotations

from collections.abc import Iterator

from producers.interrupt import Interrupt
from producers.lines import Lines
from producers.pace import Pace
from producers.publisher import TICK_S, Publisher, Ticket
from producers.records import Reading


class Sender:
    """Sends lines, evenly paced when a pace is given, until an interrupt is asked for.

    Args:
        publisher: takes the records.
        interrupt: asked between two batches.
        pace: None sends as fast as the broker takes it.
    """

    def __init__(self, publisher: Publisher, interrupt: Interrupt, pace: Pace | None = None) -> None:
        self._publisher = publisher
        self._interrupt = interrupt
        self._pace = pace

    def send(self, file: str, reading: Reading, lines: Lines) -> Iterator[tuple[Ticket, int]]:
        """Send ``lines`` of the source called ``file``, in pieces.

        Returns:
            For each piece its ticket and the line at which the next one begins.
        """
        for piece in self._pieces(lines):
            parsed = reading.parse(piece)
            ticket = self._publisher.send(file, parsed)
            complete = ticket.records == len(parsed.values)
            yield ticket, piece.next if complete else parsed.lines[ticket.records]
            if self._interrupt.asked:
                return

    def _pieces(self, lines: Lines) -> Iterator[Lines]:
        """``lines`` as they fall due."""
        if self._pace is None or not lines.values:
            yield lines
            return
        while not self._interrupt.asked:
            count = self._pace.due(max(1, len(lines.values)))
            if not count:
                self._publisher.rest(min(TICK_S, self._pace.wait_s()))
                continue
            piece, lines = lines.cut(count)
            yield piece
            if not lines.values:
                return
