"""Files, directories and stdin into a stream's topic, one after the other, each line once.

    replay = Replay(["a.jsonl", "logs/"], format_of(SITES, "jsonl"), interrupt)
    replay.run(sender)
    publisher.flush()
    replay.ledger.accepted, replay.resume        # resume is None: the broker has everything

What was interrupted says exactly where to go on: the paths that are left, and the line of the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from producers.interrupt import Interrupt
from producers.ledger import Ledger
from producers.lines import Lines
from producers.records import Format, Reading
from producers.sender import Sender
from producers.sources import Source, files_of


class Resume(NamedTuple):
    """Where to go on: everything before is acknowledged."""

    paths: tuple[str, ...]
    line: int
    """Of the first path, from 1; a directory's files count as one after the other."""


class Replay:
    """One run over some paths.

    Args:
        paths: files, directories (their files by name) and ``-``, in the order in which they are sent.
        read: the stream's format.
        interrupt: asked between two batches; a read that blocks ends by it.
        from_line: of the first path: what lies before it is passed over.

    Raises:
        StreamgaugeError: a path is not there (before anything is sent).
        UsageError: a path names a file that is none of the stream's.
    """

    def __init__(self, paths: Sequence[str], read: Format, interrupt: Interrupt, *, from_line: int = 1) -> None:
        self.ledger: Ledger[tuple[int, int]] = Ledger()
        self._paths = tuple(paths)
        self._sources: list[list[Source]] = []
        self.ignored: dict[str, int] = {}
        """How many files of each directory are none of the stream's."""
        for path in paths:
            sources, ignored = files_of(path, read)
            self._sources.append(sources)
            if ignored:
                self.ignored[path] = ignored
        self._read = read
        self._interrupt = interrupt
        self._reached = (0, from_line)
        """``(index of a path, line)``: everything before is acknowledged."""

    @property
    def read_bytes(self) -> int:
        """Bytes on disk that were read so far."""
        return sum(source.read for sources in self._sources for source in sources)

    @property
    def total_bytes(self) -> int | None:
        """Bytes on disk, or None where nobody knows."""
        sizes = [source.size for sources in self._sources for source in sources]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def resume(self) -> Resume | None:
        """Where to go on; None when everything is acknowledged."""
        self.settle()
        index, line = self._reached
        if index >= len(self._paths):
            return None
        return Resume(self._paths[index:], line)

    def settle(self) -> None:
        """Note what the broker has acknowledged."""
        reached = self.ledger.settle()
        if reached:
            self._reached = reached[-1]

    def run(self, sender: Sender) -> None:
        """Send everything, or as much as there was time for until the interrupt.

        Args:
            sender: takes the lines.

        Raises:
            StreamgaugeError: a source cannot be read (to its end), or the broker refused a record.
        """
        first = self._reached[1]
        for index, sources in enumerate(self._sources):
            passed = 0  # lines in the files of this path that were read to their end
            for source in sources:
                reading = self._read(source.name)
                for lines in self._lines(source, reading):
                    for ticket, line in sender.send(source.name, reading, lines.since(first - passed)):
                        self.ledger.add(ticket, (index, max(first, passed + line)))
                    self.settle()
                    if self._interrupt.asked:
                        break
                if self._interrupt.asked:
                    return
                passed += reading.line - 1
            self.ledger.reach((index + 1, 1))
            first = 1

    def _lines(self, source: Source, reading: Reading) -> Iterator[Lines]:
        """The lines of one source. A damaged one ends in an error, and the torn line at that place is not sent."""
        blocks = source.blocks()
        while True:
            try:
                with self._interrupt.breaking():
                    block = next(blocks, None)
            except KeyboardInterrupt:
                return
            if block is None:
                break
            yield reading.feed(block)
        yield reading.end()
