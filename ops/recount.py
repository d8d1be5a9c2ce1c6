"""The summaries that files alone give: the stream's own aggregator over a store in memory, without Kafka.

    recount = Recount(stream, counting(settings))
    recount.read("events.jsonl")
    recount.summaries()["7"]            # as it would be published, without its revision

The files are read as `replay` reads them, so what it would reject is skipped and counted here, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct, to_builtins

from aggregators.aggregator import Batch, Counting
from aggregators.rows import MemoryStore, Rows
from ops.registry import Stream
from producers.formats import format_of
from producers.records import Parsed
from producers.sources import Source, files_of

BATCH = 20_000
"""Records counted at once: a key's records of a batch are counted together."""


class Recount:
    """Counts files.

    Args:
        stream: whose records they hold.
        counting: the rules, which must be those of the worker that is compared with.
    """

    def __init__(self, stream: Stream, counting: Counting) -> None:
        self.records = 0
        """Good records, duplicates included."""
        self.rejected = 0
        """What `replay` would reject."""
        self.refused = 0
        """What only a worker can refuse: what state says (``too late``), and what the configuration does."""
        self._stream = stream
        self._aggregator = stream.aggregator(counting)
        self._decoder = stream.schema.with_fields(counting.dimensions).decoder
        self._store = MemoryStore()
        self._rows = Rows(self._store)
        self._waiting: list[bytes] = []
        self._entities: set[str] = set()
        self._published: dict[bytes, dict[str, Any] | Struct | None] = {}

    def read(self, path: str, progress: Callable[[Source], None] = lambda _: None) -> None:
        """Count the file or directory ``path``; ``progress`` is called as its sources are read.

        Raises:
            StreamgaugeError: it cannot be read.
            UsageError: it is a file, but none of the stream's.
        """
        make_reading = format_of(self._stream.schema, self._stream.lines)
        for source in files_of(path, make_reading)[0]:
            reading = make_reading(source.name)
            for block in source.blocks():
                self._take(reading.parse(reading.feed(block)))
                progress(source)
            self._take(reading.parse(reading.end()))
        self._count()

    def summaries(self) -> dict[str, dict[str, Any]]:
        """The summary of each entity, without ``revision``; removed ones are not there."""
        found: dict[str, dict[str, Any]] = {}
        for entity in self._entities:
            summary = self._aggregator.summary(self._rows, entity)
            if summary is not None and self._stream.schema.merges:
                summary = self._aggregator.merge(entity, [summary])
            if summary is not None:
                found[entity] = summary
        return found

    def rows(self) -> dict[bytes, dict[str, Any]]:
        """What would be published beside the summaries, by key; removed ones are not there."""
        return {key: to_builtins(row) for key, row in self._published.items() if row is not None}

    def _take(self, parsed: Parsed) -> None:
        self.rejected += len(parsed.rejected)
        self._waiting += parsed.values
        if len(self._waiting) >= BATCH:
            self._count()

    def _count(self) -> None:
        """Count what waits, as one epoch."""
        decoded = self._decoder.decode(self._waiting)
        records = decoded.records
        self._waiting = []
        # No broker took these in: the moment at which they are read stands for it.
        times = [int(time.time() * 1000)] * len(records) if self._aggregator.needs_broker_time else []
        changes = self._aggregator.update(self._rows, Batch(records, times))
        self.records += len(records)
        self.refused += len(changes.refused) + len(decoded.bad)
        self._entities.update(changes.entities)
        self._published.update(changes.published)
        self._store.end_epoch(self._rows)
