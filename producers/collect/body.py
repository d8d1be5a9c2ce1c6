r"""One body on its way in: unpacked, cut into lines, validated, and ended where a limit is reached.

>>> from producers.collect.unpack import unpacker
>>> from producers.jsonl import JsonLines
>>> from schemas.sites import SITES
>>> good = b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}\n'
>>> body = Body(JsonLines(SITES), unpacker("identity"), max_body=2 * len(good))
>>> [(parsed.keys, next_line) for parsed, next_line in body.feed(3 * good)]
[([b'7', b'7'], 3)]
>>> body.refused
Refused(status=413, reason='the body is over 154 bytes (--max-body); lines from 3 on were not taken')

However a body is cut into blocks on its way, the same lines of it are taken: those that are whole before the limit. A
line over `MAX_RECORD_BYTES` ends the body; it is read to its end, so that its dead letter can tell length and digest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from producers.collect.unpack import Damaged, Unpacker
from producers.lines import Lines
from producers.records import Parsed, Reading
from schemas.wire import MAX_RECORD_BYTES

MOST_ERRORS = 1_000
"""How many rejected lines an answer names."""
LONGEST_BYTES = 16 << 20
"""A line that is longer still is not read to its end."""


class Refused(NamedTuple):
    """Why nothing more of a body is taken."""

    status: int
    reason: str


class Body:
    """One body.

    Args:
        reading: cuts and parses it; made for this body.
        unpack: undoes its content encoding.
        max_body: the most bytes that are taken of it, unpacked; None: any number.
    """

    def __init__(self, reading: Reading, unpack: Unpacker, max_body: int | None = None) -> None:
        self.refused: Refused | None = None
        """Set when a limit was reached, or the encoding is damaged: nothing more is taken."""
        self.errors: list[tuple[int, str]] = []
        """``(line, reason)`` of the first `MOST_ERRORS` rejected lines."""
        self._reading = reading
        self._unpack = unpack
        self._max_body = max_body
        self._size = 0

    @property
    def held(self) -> int:
        """Bytes that are kept of it in memory: of an open line, and of what unpacks."""
        return min(self._size - self._reading.offset, MAX_RECORD_BYTES) + self._unpack.memory

    def feed(self, block: bytes) -> Iterator[tuple[Parsed, int]]:
        """Take the next bytes of the body, as they came.

        Returns:
            The records of the lines that are whole now, in pieces; with each the line at which the next piece begins.
            The next piece is made when it is asked for.
        """
        try:
            for piece in self._unpack.feed(block):
                yield from self._take(piece)
                if self.refused:
                    return
        except Damaged as error:
            self._refuse(400, f"the body is damaged: {error}")

    def end(self) -> Iterator[tuple[Parsed, int]]:
        """The body has ended: its last line may have no end of its own."""
        try:
            self._unpack.end()
        except Damaged as error:
            self._refuse(400, f"the body is damaged: {error}")
            return
        yield from self._parse(self._reading.end())

    def _take(self, piece: bytes) -> Iterator[tuple[Parsed, int]]:
        over = self._max_body is not None and self._size + len(piece) > self._max_body
        if over and self._max_body is not None:
            piece = piece[: self._max_body - self._size]
        self._size += len(piece)
        yield from self._parse(self._reading.feed(piece))
        if self.refused:
            return
        if over:
            self._refuse(413, f"the body is over {self._max_body} bytes (--max-body)")
        elif self._size - self._reading.offset > LONGEST_BYTES:
            lines = self._reading.end()
            yield from self._parse(lines, f"the record is over {LONGEST_BYTES} bytes and was not read to its end")

    def _parse(self, lines: Lines, torn: str = "") -> Iterator[tuple[Parsed, int]]:
        """Parse lines; ``torn`` says why the last one has no end."""
        if lines.huge:
            first = lines.huge[0]
            count = bisect_left(lines.numbers, first.number)
            lines = Lines(lines.values[:count], lines.numbers[:count], [first], first.number + 1)
        if not lines.values and not lines.huge:
            return
        parsed = self._reading.parse(lines)
        if torn:
            parsed.rejected[0] = parsed.rejected[0]._replace(reason=torn)
        parsed.rejected.sort(key=lambda rejected: rejected.line)
        for rejected in parsed.rejected[: MOST_ERRORS - len(self.errors)]:
            self.errors.append((rejected.line, rejected.reason))
        if lines.huge:
            number = lines.huge[0].number
            reason = f"line {number} is over {MAX_RECORD_BYTES} bytes and became a dead letter"
            self.refused = Refused(413, f"{reason}; lines from {number + 1} on were not taken")
        yield parsed, lines.next

    def _refuse(self, status: int, reason: str) -> None:
        self.refused = Refused(status, f"{reason}; lines from {self._reading.line} on were not taken")
