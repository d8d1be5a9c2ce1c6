r"""Cut a stream of bytes into numbered lines, in bounded memory whatever the lines are like.

>>> splitter = LineSplitter()
>>> splitter.feed(b'\xef\xbb\xbf{"a":1}\r\n\n{"a"')
Lines(values=[b'{"a":1}'], numbers=[1], huge=[], next=3)
>>> splitter.feed(b':2}\n').values, splitter.end().values
([b'{"a":2}'], [])
>>> splitter.line, splitter.offset           # where reading would go on
(4, 21)

Blank lines count and are left out; so is a byte-order mark at the start. Numbers are those of an editor: 1 is the
first. A line longer than the limit is never held: its head, its length and its SHA-256 are all that is kept of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from schemas.wire import LETTER_BYTES, MAX_RECORD_BYTES

_BOM = b"\xef\xbb\xbf"


class Huge(NamedTuple):
    """A line over the limit, as far as it is kept."""

    number: int
    head: bytes
    """The first `LETTER_BYTES`."""
    length: int
    sha256: str


class Lines(NamedTuple):
    """Some lines of one source, without their ends, blank ones left out."""

    values: list[bytes]
    numbers: Sequence[int]
    """``numbers[i]`` is the line at which ``values[i]`` begins."""
    huge: list[Huge]
    next: int
    """The number of the first line after these."""

    def since(self, line: int) -> Lines:
        """These without what begins before ``line``."""
        if line <= 1:
            return self
        first = next((i for i, number in enumerate(self.numbers) if number >= line), len(self.values))
        huge = [each for each in self.huge if each.number >= line]
        return Lines(self.values[first:], self.numbers[first:], huge, self.next)

    def cut(self, count: int) -> tuple[Lines, Lines]:
        """The first ``count`` values with what lies before and between them, and the rest."""
        if count >= len(self.values):
            return self, Lines([], range(0), [], self.next)
        border = self.numbers[count]
        first = Lines(self.values[:count], self.numbers[:count], [h for h in self.huge if h.number < border], border)
        rest = [h for h in self.huge if h.number >= border]
        return first, Lines(self.values[count:], self.numbers[count:], rest, self.next)


class LineSplitter:
    """Turns blocks, cut anywhere, into lines.

    Args:
        line: the number of the line at which the first block begins.
        offset: how many bytes of the source lie before the first block (0: a byte-order mark may follow).
        limit: the longest line that is handed on whole.
    """

    def __init__(self, *, line: int = 1, offset: int = 0, limit: int = MAX_RECORD_BYTES) -> None:
        self.line = line
        """The number of the first line that was not handed on."""
        self.offset = offset
        """Where that line begins: bytes from the start of the source."""
        self._limit = limit
        self._carry: bytearray = bytearray()
        self._huge: _HugeLine | None = None
        self._begun = offset > 0

    def feed(self, block: bytes) -> Lines:
        """Take the next bytes of the source; the lines that are complete now."""
        if not self._begun:
            block = self._without_mark(block)
        huge: list[Huge] = []
        if self._huge is not None:
            rest, end, block = block.partition(b"\n")
            self._huge.add(rest)
            if not end:
                return self._lines(self.line, [], [])
            huge += self._huge.finish(self.line)
            self._passed(1, self._huge.size + 1)
            self._huge = None
        border = block.rfind(b"\n")
        if border < 0:
            self._hold(block)
            return self._lines(self.line, [], huge)
        first = self.line
        carry = self._carry
        if carry:
            carry += block[: border + 1]
            whole = bytes(carry)
            self._carry = bytearray()
        else:
            whole = block[: border + 1]
        values = whole.split(b"\n")
        values.pop()  # what follows the last line end: nothing
        self._passed(len(values), len(whole))
        self._hold(block[border + 1 :])
        if b"\r" in whole:
            values = [value[:-1] if value.endswith(b"\r") else value for value in values]
        return self._lines(first, values, huge)

    def end(self) -> Lines:
        """The source has ended: its last line, when that has no end of its own."""
        if self._huge is not None:
            huge = self._huge.finish(self.line)
            self._passed(1, self._huge.size)
            self._huge = None
            return Lines([], range(0), huge, self.line)
        if not self._carry:
            return Lines([], range(0), [], self.line)
        first, value = self.line, bytes(self._carry)
        self._carry = bytearray()
        self._passed(1, len(value))
        return self._lines(first, [value.removesuffix(b"\r")], [])

    def _without_mark(self, block: bytes) -> bytes:
        block = bytes(self._carry) + block
        self._carry = bytearray()
        if len(block) < len(_BOM) and _BOM.startswith(block):
            self._carry += block
            return b""
        self._begun = True
        if block.startswith(_BOM):
            self.offset += len(_BOM)
            return block[len(_BOM) :]
        return block

    def _passed(self, lines: int, size: int) -> None:
        self.line += lines
        self.offset += size

    def _hold(self, part: bytes) -> None:
        """Keep the beginning of a line whose end has not come yet."""
        self._carry += part
        if len(self._carry) > self._limit + 1:  # one more than the limit may still be a CR
            self._huge = _HugeLine()
            self._huge.add(bytes(self._carry))
            self._carry = bytearray()

    def _lines(self, first: int, values: list[bytes], huge: list[Huge]) -> Lines:
        """``values`` are the lines from ``first`` on, all of them."""
        limit = self._limit
        kept = [value for value in values if value and len(value) <= limit and not value.isspace()]
        if len(kept) == len(values):
            return Lines(values, range(first, first + len(values)), huge, self.line)
        return self._numbered(values, range(first, first + len(values)), huge)

    def _numbered(self, values: list[bytes], numbers: Sequence[int], huge: list[Huge]) -> Lines:
        """``values`` begin at the lines ``numbers``; blank and huge ones are sorted out."""
        kept = Lines([], list[int](), huge, self.line)
        places: list[int] = []
        for number, value in zip(numbers, values, strict=True):
            if not value or value.isspace():
                continue
            if len(value) > self._limit:
                huge.append(Huge(number, value[:LETTER_BYTES], len(value), hashlib.sha256(value).hexdigest()))
            else:
                kept.values.append(value)
                places.append(number)
        return kept._replace(numbers=places)


class _HugeLine:
    """A line over the limit while it passes by."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes so far, a CR at the end included."""
        self._hash = hashlib.sha256()
        self._head = b""
        self._length = 0
        self._blank = True
        self._cr = b""

    def add(self, part: bytes) -> None:
        """Take the next bytes of the line."""
        if not part:
            return
        self.size += len(part)
        part = self._cr + part
        # A CR may turn out to belong to the line's end, so one at the end of a part waits for the next.
        self._cr = b"\r" if part.endswith(b"\r") else b""
        part = part.removesuffix(b"\r")
        self._hash.update(part)
        self._length += len(part)
        self._blank = self._blank and (not part or part.isspace())
        if len(self._head) < LETTER_BYTES:
            self._head += part[: LETTER_BYTES - len(self._head)]

    def finish(self, number: int) -> list[Huge]:
        """The line's end has come; nothing when it was blank."""
        return [] if self._blank else [Huge(number, self._head, self._length, self._hash.hexdigest())]
