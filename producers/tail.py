"""One file that grows: read as far as it goes, noticing when it was emptied and written anew.

tail = Tail("app.log", os.open("app.log", os.O_RDONLY), read, positions)
for growth in tail.grown():                   # what was written since: complete lines only
    send(growth.lines)
    growth.after(next_line)                   # where to go on, once everything before that line is acknowledged
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from producers.lines import Lines
from producers.positions import MARK_BYTES, Position, Positions, digest, identity_of, mark_of
from producers.records import Format, Reading
from producers.sources import BLOCK_BYTES


class Growth(NamedTuple):
    """Some lines that were new in a file."""

    reading: Reading
    """Parses them."""
    lines: Lines
    after: Callable[[int], Position]
    """The position when everything before a line, of these or the next after them, is acknowledged."""


class Tail:
    """One open file.

    Args:
        name: under which it is followed: goes into the header ``origin``.
        descriptor: of the open file; the tail closes it.
        read: the stream's format.
        positions: where it goes on.
    """

    def __init__(self, name: str, descriptor: int, read: Format, positions: Positions) -> None:
        self.name = name
        self.identity = identity_of(descriptor)
        self._path = str(Path(name).absolute())
        self._descriptor = descriptor
        self._read = read
        position = positions.find(descriptor)
        if position is None:
            self._begin(0, 1, 1)
        else:
            self._begin(position.offset, position.line, position.next)

    @property
    def removed(self) -> bool:
        """Whether no directory names the file any more."""
        return os.fstat(self._descriptor).st_nlink == 0

    def grown(self) -> Iterator[Growth]:
        """What was written up to now, from where the last call came to."""
        size = os.fstat(self._descriptor).st_size
        # Emptied and written anew, it may be as long as before by now: the bytes before our place tell. What the
        # writer wrote between our last look and the emptying is in the copy that copytruncate made, and lost here.
        if size < self._at or (size > self._at and mark_of(self._descriptor, self._at) != self._mark):
            reading, rest = self._reading, self._reading.end()
            self._begin(0, 1, 1)
            yield Growth(reading, rest, self._after(0, 1))
        while self._at < size:
            block = os.pread(self._descriptor, min(BLOCK_BYTES, size - self._at), self._at)
            if not block:
                return
            offset, line = self._reading.offset, self._reading.line
            lines = self._reading.feed(block).since(self._skip_to)
            self._at += len(block)
            self._mark = mark_of(self._descriptor, self._at)
            yield Growth(self._reading, lines, self._after(offset, line))

    def rest(self, *, finished: bool) -> Growth:
        """The last line, when it has no end; ``finished``: nobody will look at this file again."""
        lines = self._reading.end().since(self._skip_to)
        return Growth(self._reading, lines, self._after(self._reading.offset, self._reading.line, finished=finished))

    def renamed(self, name: str) -> None:
        """The file is followed under another name from now on."""
        self.name = name
        self._path = str(Path(name).absolute())

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)

    def _begin(self, offset: int, line: int, next_line: int) -> None:
        self._reading = self._read(self.name, line=line, offset=offset)
        self._skip_to = next_line
        self._at = offset
        self._mark = mark_of(self._descriptor, offset)

    def _after(self, offset: int, line: int, *, finished: bool = False) -> Callable[[int], Position]:
        """Positions within the lines between ``offset``, where ``line`` begins, and where the reading is now."""
        end, end_line, skip_to = self._reading.offset, self._reading.line, self._skip_to

        def after(reached: int) -> Position:
            if reached >= end_line:
                return self._position(end, end_line, max(end_line, skip_to), finished)
            return self._position(offset, line, max(reached, skip_to), False)

        return after

    def _position(self, offset: int, line: int, next_line: int, finished: bool) -> Position:
        there = os.fstat(self._descriptor).st_size - offset
        ahead = max(0, min(MARK_BYTES, there)) if next_line > line else 0
        mark = digest(mark_of(self._descriptor, offset, ahead))
        return Position(self._path, offset, line, next_line, mark, ahead, finished)
