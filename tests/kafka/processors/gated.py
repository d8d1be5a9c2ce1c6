"""A table of partitions with a log in memory, whose commits wait at a gate, and a consumer made by hand.

bench = Bench(tmp_path)
await bench.own()                             # assigned, fenced, restored
await bench.table.process(run_of(0, 5))
bench.log.gate.clear()                        # from now on epochs stay under way
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from aggregators.aggregator import Counting
from aggregators.sites import Sites
from processors.epoch import STAMP_KEY, Epoch
from processors.run import Loose, Record, Run
from processors.settings import EngineSettings
from processors.states import State
from processors.table import PartitionTable
from schemas.errors import StateError
from schemas.sites import SITES, SiteEvent


def message(number: int, site: str = "1") -> bytes:
    return b'{"id":"m%d","type":"message","from":"v","site_id":"%b","timestamp":0,"data":{}}' % (number, site.encode())


def run_of(first: int, count: int = 1) -> Run:
    packets = [Loose([Record(offset, message(offset)) for offset in range(first, first + count)])]
    return Run("sites", 0, first=first, next=first + count, packets=packets, end=first + count)


class Ended(Exception):
    """What stands in for the end of the process."""


class GatedLog:
    """A transactional log in memory. ``gate`` holds commits up; ``broken`` makes them fail."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.broken: Exception | None = None
        self.fences = 0
        self.epochs: list[Epoch] = []
        self.changelog: list[Record] = []
        self.hanging: list[Record] = []
        """Of a transaction that nobody ends."""

    def fence(self) -> None:
        self.fences += 1

    def abort(self) -> None:
        self.hanging.clear()

    def commit(self, epoch: Epoch) -> int:
        self.entered.set()
        if not self.gate.wait(20):
            raise StateError("the test left the gate shut")
        if self.broken is not None:
            raise self.broken
        self.epochs.append(epoch)
        for key, value in [*epoch.rows.items(), (STAMP_KEY, epoch.stamp.encode())]:
            self.changelog.append(Record(len(self.changelog), value, key=key))
        return len(self.changelog) - 1

    def close(self) -> None:
        """Nothing to let go of."""

    def restored(self) -> Run:
        packets = [Loose(self.changelog)] if self.changelog else []
        return Run("changelog", 0, first=0, next=len(self.changelog), packets=packets, end=len(self.changelog))


class HandSource:
    """A consumer that answers what the test set."""

    def __init__(self, log: GatedLog) -> None:
        self.start, self.end = 0, 100
        self.log = log
        self.seeks: list[int] = []

    async def log_starts(self, partitions: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, self.start)

    async def log_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, self.end)

    async def changelog_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, len(self.log.changelog))

    async def changelog_heads(self, partitions: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, len(self.log.changelog) + len(self.log.hanging))

    async def seek(self, partition: int, offset: int) -> None:
        self.seeks.append(offset)


class Bench:
    """A table, its log and its source, and what it ended with."""

    def __init__(self, folder: Path, *, skip_lost: bool = False, epoch_s: float = 60.0) -> None:
        self.log = GatedLog()
        self.source = HandSource(self.log)
        self.ends: list[BaseException] = []
        settings = EngineSettings(
            kafka={}, state_dir=folder, worker="w", instance="w-0", partitions=1, epoch_s=epoch_s,
            memory_bytes=32 << 20, skip_lost=skip_lost,
        )  # fmt: skip
        self.table: PartitionTable[SiteEvent] = PartitionTable(
            SITES, Sites(Counting()), settings, self.source, lambda _: self.log, fail=self._fail
        )

    def _fail(self, error: BaseException) -> NoReturn:
        self.ends.append(error)
        raise Ended from error

    async def own(self) -> None:
        """Be assigned the partition, restore it and count."""
        await self.table.assign({0}, set())
        self.table.stored_offset(0)
        self.table.restore(self.log.restored())
        await self.table.activate()

    def state(self) -> State:
        return self.table.slots[0].life.state

    def newest(self) -> bytes | None:
        return self.log.epochs[-1].outputs[-1].value if self.log.epochs else None
