"""What producers make of a source's lines: records fit for the topic, and rejected ones fit for a dead letter.

Every kind of input is a `Reading`: JSON lines (`producers.jsonl`) cut a source at its line ends, a CSV reading cuts
it into rows that may span lines. What reads sources, paces, publishes and counts does not know which it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from producers.lines import Huge, Lines
from schemas.wire import LETTER_BYTES, MAX_RECORD_BYTES


class Rejected(NamedTuple):
    """A record that producers do not let in."""

    line: int
    """Where it begins, in its source."""
    value: bytes
    """Its original bytes without the line end; of a huge one the first `LETTER_BYTES`."""
    reason: str
    length: int | None = None
    """Of a huge one: its whole length in bytes."""
    sha256: str | None = None
    """Of a huge one: the SHA-256 of all of it."""


@dataclass
class Parsed:
    """Some lines as records: what goes to the topic, column by column, and what does not."""

    keys: list[bytes]
    values: list[bytes]
    lines: Sequence[int]
    """``lines[i]`` is the line at which ``values[i]`` begins."""
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    op: str = ""
    """What the rejected ones were to do, where rows are commands: their bytes do not say it."""
    form: str = ""
    """What the rejected ones are (a word of `producers.formats`), where they are none of the stream's files."""


class Reading(Protocol):
    """How one source is cut and parsed. Made anew for each source: it may remember a header."""

    @property
    def line(self) -> int:
        """The number of the first line that was not handed on."""
        ...

    @property
    def offset(self) -> int:
        """Where that line begins: bytes from the start of the source."""
        ...

    def feed(self, block: bytes) -> Lines:
        """Take the next bytes; the records that are complete now, unparsed."""
        ...

    def end(self) -> Lines:
        """The source has ended: what was left."""
        ...

    def parse(self, lines: Lines) -> Parsed:
        """Validate, with the stream's whole schema; never raises for what the lines contain."""
        ...


class Format(Protocol):
    """How sources of a stream are read."""

    def __call__(self, name: str, *, line: int = 1, offset: int = 0) -> Reading:
        """A reading of the source called ``name``, from ``offset`` on, where ``line`` begins.

        Raises:
            UsageError: a file of that name holds no records of the stream.
        """
        ...


def too_large(huge: Huge) -> Rejected:
    """Reject a record over the limit."""
    reason = (
        f"the record is {huge.length} bytes; at most {MAX_RECORD_BYTES} are taken (the letter keeps {LETTER_BYTES})"
    )
    return Rejected(huge.number, huge.head, reason, huge.length, huge.sha256)
