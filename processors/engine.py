"""One stream's engine in one process: start, stop, and what others may ask of it.

    engine = Engine(schema, aggregator, settings)
    task = asyncio.create_task(engine.run())
    ...
    await engine.view("7", "state", {})   # the live state of one key
    engine.stop()
    await task

Doubt about state ends the process from wherever it arises (`processors.watchdog`); `run` itself raises only what
happens before anything is counted.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, TypeVar

from aggregators.aggregator import Aggregator
from processors.control import StreamApp, build_app
from processors.partition import Partition
from processors.settings import EngineSettings
from processors.states import State
from processors.watchdog import LastResort
from schemas.errors import StreamgaugeError
from schemas.schema import Schema
from schemas.wire import partition_of

R = TypeVar("R")

STOP_LIMIT_S = 8.0
KEEP_ALIVE_S = 600.0
SWITCH_S = 0.001
"""After so long, counting gives way to fetching and committing, whose threads take Python's lock many times an epoch:
with Python's 5 ms a reader waits for each of them."""
VIEW_SLICE_S = 0.05
"""After so long, a view of all keys gives way to whatever else is due. A key may take a microsecond or a second."""


class NotOwned(StreamgaugeError):
    """The partition of a key is not counted by this process now."""

    def __init__(self, key: str, partition: int) -> None:
        super().__init__(f"partition {partition}, which holds {key!r}, is not counted here")
        self.partition = partition


class Engine(Generic[R]):
    """The engine of one stream in this process.

    Args:
        schema: the stream's records and summaries.
        aggregator: the stream's meaning.
        settings: what this process is told.
    """

    def __init__(self, schema: Schema[R], aggregator: Aggregator[R], settings: EngineSettings) -> None:
        self.schema = schema
        self.settings = settings
        self._aggregator = aggregator
        self._stopping = asyncio.Event()
        self._app: StreamApp | None = None

    async def run(self) -> None:
        """Count until `stop` is called; then finish the open epochs and return.

        Raises:
            StreamgaugeError: the engine could not start.
        """
        # Batches are large, short-lived lists: the default of 700 allocations would look at them again and again.
        gc.set_threshold(100_000, 20, 100)
        sys.setswitchinterval(SWITCH_S)
        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        app = self._app = build_app(self.schema, self._aggregator, self.settings)
        starting = asyncio.ensure_future(app.start())
        stopped = asyncio.ensure_future(self._stopping.wait())
        keeping = asyncio.ensure_future(self._keep_alive(app))
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting  # raises what kept it from starting
            await stopped
        finally:
            keeping.cancel()
            await self._stop(app)
            if not starting.done():
                starting.cancel()

    def stop(self) -> None:
        """Finish the open epochs and end `run`."""
        self._stopping.set()

    async def _stop(self, app: StreamApp) -> None:
        last_resort = LastResort(STOP_LIMIT_S)
        last_resort.arm()
        table = app.partition_table
        await table.drain()
        await app.stop()  # commits the group's offsets once more
        await table.close()
        last_resort.disarm()

    async def _keep_alive(self, app: StreamApp) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await app.partition_table.keep_alive()

    # -- what it is at

    @property
    def ready(self) -> bool:
        """Whether every partition that the group gave this process is restored."""
        return not self.why_not_ready

    @property
    def why_not_ready(self) -> str:
        """The reason; empty when it is ready."""
        if self._stopping.is_set():
            return "stopping"
        app = self._app
        if app is None or not app.assigned_once:
            return "waiting for the group to assign partitions"
        for slot in app.partition_table.slots.values():
            if slot.life.state not in (State.ACTIVE, State.STANDBY):
                return f"partition {slot.number} is {slot.life.state.value}"
        return "" if not app.rebalancing else "the group is rebalancing"

    def status(self) -> dict[str, Any]:
        """What this engine holds and has done, JSON-able. Cheap: no I/O."""
        partitions: dict[str, Any] = {}
        slots = self._app.partition_table.slots.values() if self._app is not None else ()
        for slot in sorted(slots, key=lambda slot: slot.number):
            partition = slot.partition
            partitions[str(slot.number)] = {
                "state": slot.life.state.value,
                "role": "standby" if slot.life.state is State.STANDBY else "active",
                "stamp": partition.stamp.offset if partition is not None else None,
                "log_end": partition.end if partition is not None else None,
                "restored": slot.restored,
                "stored": slot.store.offset if slot.store is not None else -1,
            }
        return {
            "stream": self.schema.name,
            "instance": self.settings.instance,
            "worker": self.settings.worker,
            "pid": os.getpid(),
            "partitions": partitions,
            "counters": self.counters,
        }

    @property
    def counters(self) -> dict[str, int | float]:
        """Running totals since this process took its partitions over; the names of `/metrics`."""
        if self._app is None:
            return {}
        table = self._app.partition_table
        totals: dict[str, int | float] = {
            "records": 0, "epochs": 0, "summaries": 0, "rows": 0, "row_bytes": 0, "replayed": 0,
        }  # fmt: skip
        for counters in table.all_counters():
            totals["records"] += counters.records
            totals["epochs"] += counters.epochs
            totals["summaries"] += counters.outputs
            totals["rows"] += counters.rows
            totals["row_bytes"] += counters.row_bytes
            totals["replayed"] += counters.replayed
            for reason, n in counters.letters.items():
                name = f"dead_letters:{reason}"
                totals[name] = totals.get(name, 0) + n
        totals["kept_bytes"] = table.memory.used_bytes
        totals["evictions"] = table.memory.evictions
        totals["store_cache_bytes"] = table.store_memory.used_bytes
        return totals

    # -- questions

    async def view(self, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """What `Aggregator.view` says of one key; None where the key has no state.

        Raises:
            NotOwned: this process does not count the key's partition now.
            LookupError: no such view.
            ValueError: an argument does not fit.
        """
        number = partition_of(key.encode(), self.settings.partitions)
        partition = self._active(number)
        if partition is None:
            raise NotOwned(key, number)
        return self._aggregator.view(partition.rows, key, name, arguments)

    async def views(self, name: str, arguments: Mapping[str, str]) -> AsyncIterator[tuple[str, Any]]:
        """`view` of every key that this process counts, in no particular order.

        Raises:
            NotOwned: a partition went elsewhere meanwhile: the answer is not whole.
        """
        numbers = sorted(self._app.partition_table.slots) if self._app is not None else []
        for number in numbers:
            partition = self._active(number)
            if partition is None:
                continue
            turn_ends = 0.0
            for key in list(self._aggregator.keys(partition.rows)):
                if time.monotonic() >= turn_ends:
                    partition.rows.memory.shrink()
                    await asyncio.sleep(0)
                    if self._active(number) is not partition:
                        raise NotOwned(key, number)
                    turn_ends = time.monotonic() + VIEW_SLICE_S
                answer = self._aggregator.view(partition.rows, key, name, arguments)
                if answer is not None:
                    yield key, answer

    def _active(self, number: int) -> Partition[Any] | None:
        return self._app.partition_table.active(number) if self._app is not None else None
