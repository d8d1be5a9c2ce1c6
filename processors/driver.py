"""The production partition on an in-memory log and a hand clock: for unit tests and for authors of plug-in streams.

>>> from aggregators.aggregator import Counting
>>> from aggregators.sites import Sites
>>> from schemas.sites import SITES
>>> driver = Driver(SITES, Sites(Counting()))
>>> driver.send(b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}', b"torn")
>>> driver.read(); driver.clock.now += 1.0
>>> driver.end_epoch()
>>> driver.newest["7"]["emails"], [reason for _, reason in driver.dead_letters]
(1, ['JSON is malformed: invalid character (byte 4)'])
>>> driver.crash("committed")          # memory is gone; the store lacks the epoch, the changelog has it
>>> driver.partition.position
2

What is in memory here is Kafka (`MemoryLog`), RocksDB (`PrefixStore`) and time; `Partition`, `Rows`, epochs and stamps
are the code that runs in a worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import orjson

from aggregators.aggregator import Aggregator
from aggregators.rows import Changes, Memory, MemoryStore, Rows
from processors.epoch import STAMP_KEY, Epoch, Output
from processors.partition import Partition, start_position
from processors.run import Loose, Record, Run
from schemas.schema import Schema
from schemas.wire import LETTER_MESSAGE

R = TypeVar("R")

STEPS = ("sealed", "committed", "settled")
"""The steps of an epoch after which `Driver.crash` can end the process. ``sealed``: the transaction is lost."""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """What a monotonic clock says."""
        return self.now


class PrefixStore(MemoryStore):
    """A store in memory that knows which prefix of the changelog it holds."""

    offset = -1

    def write(self, changes: Changes, offset: int | None = None) -> None:
        """Apply an epoch's rows; they reach to the changelog's ``offset``."""
        super().write(changes)
        if offset is not None:
            self.offset = offset


class MemoryLog:
    """What Kafka keeps of one partition: its input, and what its epochs committed."""

    def __init__(self) -> None:
        self.input: list[Record] = []
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.outputs: list[Output] = []
        self.published: list[Output] = []
        self.letters: list[tuple[bytes, str]] = []

    def commit(self, epoch: Epoch) -> int:
        """All of ``epoch``; the changelog offset of its stamp."""
        self.changelog += epoch.rows.items()
        self.changelog.append((STAMP_KEY, epoch.stamp.encode()))
        self.outputs += epoch.outputs
        self.published += epoch.published
        for letter in epoch.letters:
            self.letters.append((letter.value, dict(letter.headers)[LETTER_MESSAGE].decode()))
        return len(self.changelog) - 1


class Driver(Generic[R]):
    """One partition of a stream, driven by hand.

    Args:
        schema: of the stream.
        aggregator: of the stream.
        partition: the number of the partition.
        partitions: how many the stream has.
        memory: the budget of kept objects.
    """

    def __init__(
        self,
        schema: Schema[R],
        aggregator: Aggregator[R],
        *,
        partition: int = 0,
        partitions: int = 1,
        memory: Memory | None = None,
    ) -> None:
        self.clock = Clock()
        self.log = MemoryLog()
        self.store = PrefixStore()
        self.memory = memory or Memory()
        self._schema = schema
        self._aggregator = aggregator
        self._number = partition
        self._partitions = partitions
        self.partition = self._start()

    def send(self, *values: bytes | None) -> None:
        """Append input records."""
        now_ms = int(self.clock.now * 1000)
        for value in values:
            self.log.input.append(Record(len(self.log.input), value, timestamp=now_ms))

    def read(self, most: int = 1 << 30) -> None:
        """Hand the partition a run of up to ``most`` records, from where it is."""
        first = self.partition.position
        records = self.log.input[first : first + most]
        end = len(self.log.input)
        packets = [Loose(records)] if records else []
        run = Run(
            self._schema.topics.input, self._number, first=first, next=first + len(records), packets=packets, end=end
        )
        if not self.partition.accept(run):
            raise AssertionError(f"the partition refused {run!r} at its own position")
        self.memory.shrink()

    def end_epoch(self, *, settle: bool = True) -> None:
        """Seal the open epoch, commit it, and write it to the store."""
        epoch = self.partition.seal()
        if epoch is not None:
            self.partition.committed(epoch, self.log.commit(epoch))
        if settle:
            self.partition.settle()

    def crash(self, after: str) -> None:
        """End the process after the step ``after`` of the next epoch (one of `STEPS`), and start it again."""
        epoch = self.partition.seal()
        if epoch is not None and after != "sealed":
            self.partition.committed(epoch, self.log.commit(epoch))
            if after == "settled":
                self.partition.settle()
        self.memory.leave(self.partition.rows)
        self.partition = self._start()

    def _start(self) -> Partition[R]:
        rest = self.log.changelog[self.store.offset + 1 :]
        if rest:
            self.store.write(dict(rest), len(self.log.changelog) - 1)
        topic = self._schema.topics.input
        position, _ = start_position(
            self.store, self._aggregator.version, topic, self._number, 0, len(self.log.input)
        )  # fmt: skip
        rows = Rows(self.store, partition=self._number, partitions=self._partitions, memory=self.memory)
        return Partition(
            self._schema, self._aggregator, rows, self.store, position=position, clock=self.clock, epoch_s=1.0
        )

    @property
    def newest(self) -> dict[str, dict[str, Any]]:
        """The newest summary of each entity, without those that were removed."""
        return _newest(self.log.outputs)

    @property
    def newest_rows(self) -> dict[str, dict[str, Any]]:
        """The newest value of each key of the topic beside the summaries, without those that were removed."""
        return _newest(self.log.published)

    @property
    def dead_letters(self) -> list[tuple[bytes, str]]:
        """``(value, reason)`` of each dead letter, in order."""
        return self.log.letters


def _newest(outputs: Iterable[Output]) -> dict[str, dict[str, Any]]:
    newest = {key.decode(): value for key, value, _ in outputs}
    return {key: orjson.loads(value) for key, value in newest.items() if value is not None}
