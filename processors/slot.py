"""What a process holds of one partition: its log, its store, its rows, what is under way, what is due.

    slot = Slot(3)
    slot.life.state                          # where it is in the drawing of `processors.states`

`processors.table` moves it from one state to the next.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from processors.log import TransactionLog
from processors.partition import Partition
from processors.states import LifeCycle
from processors.store import RocksStore

R = TypeVar("R")


class Slot(Generic[R]):
    """What this process holds of one partition."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.life = LifeCycle(number)
        self.lock = asyncio.Lock()
        self.log: TransactionLog | None = None
        self.store: RocksStore | None = None
        self.partition: Partition[R] | None = None
        self.flight: asyncio.Task[None] | None = None
        self.epoch_timer: asyncio.TimerHandle | None = None
        self.settle_timer: asyncio.TimerHandle | None = None
        self.sought: tuple[int, float] = (-1, 0.0)
        self.restored = 0
        """Changelog entries read since the last assignment."""

    def cancel_timers(self) -> None:
        """Nothing of this slot happens by itself any more."""
        for timer in (self.epoch_timer, self.settle_timer):
            if timer is not None:
                timer.cancel()
        self.epoch_timer = self.settle_timer = None
