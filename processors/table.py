"""The partitions that this process holds: assigned, fenced, restored, counted, drained. One asyncio loop drives it.

    await table.assign({0, 3}, standbys={5})   # a rebalance gave them; the old owners are fenced when this returns
    table.restore(run)                         # the changelog, run by run
    await table.activate()                     # all of it is read: count from the stamps
    await table.process(run)                   # the input, run by run
    await table.drain()                        # a rebalance takes them, or the process stops

It knows no Faust: `processors.control` tells it what the group decided. Sends happen in threads (`TransactionLog`
blocks), and so does what a long restore has to write at its end; everything else happens in the loop, so no lock guards
the rows. The lock of a slot keeps two things apart: an epoch under way, and a new fence, which would make our own epoch
that of a zombie.

A failure never raises out of here into the caller's machinery: it goes to ``fail`` (`watchdog.fail_stop`), for the
reasons told there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, NoReturn, TypeVar, cast

from aggregators.aggregator import Aggregator
from aggregators.rows import Memory, Rows
from processors import crash_points
from processors.epoch import Epoch
from processors.log import TransactionLog
from processors.partition import Counters, Partition, start_position
from processors.run import Run
from processors.settings import EngineSettings
from processors.slot import Slot
from processors.source import Source, hanging
from processors.states import State
from processors.store import RocksStore, StoreMemory
from processors.watchdog import fail_stop
from schemas.errors import LostInput, StateError, StoreAhead
from schemas.schema import Schema

log = logging.getLogger("streamgauge.engine")

R = TypeVar("R")

SETTLE_S = 2.0
"""Committed rows wait so long for the local store: rows that change every epoch are written once."""
SEEK_AGAIN_S = 5.0
"""A gap that a seek did not close after so long is sought again."""
ROWS_SHARE, STORE_SHARE = 0.45, 0.2
"""Of the memory budget: kept objects, and RocksDB's cache and memtables. The rest is for batches under way."""
WAITING_BYTES = 96 << 20
"""What the partitions of a process may hold uncounted together, as it was fetched: beyond it, the fullest counts."""
DRAIN_S = 5.0
DRAIN_RECORDS = 16_384
"""What the partitions of a process count together when they are taken away; what else waits, the next owner reads."""


class PartitionTable(Generic[R]):
    """The partitions of one stream in this process.

    Args:
        schema: of the stream.
        aggregator: of the stream.
        settings: of this process.
        source: the consumer's face.
        new_log: makes the transactional log of a partition.
        fail: ends the process.
    """

    def __init__(
        self,
        schema: Schema[R],
        aggregator: Aggregator[R],
        settings: EngineSettings,
        source: Source,
        new_log: Callable[[int], TransactionLog],
        fail: Callable[[BaseException], NoReturn] = fail_stop,
    ) -> None:
        self.slots: dict[int, Slot[R]] = {}
        self.memory = Memory(int(settings.memory_bytes * ROWS_SHARE))
        self.store_memory = StoreMemory(int(settings.memory_bytes * STORE_SHARE))
        self._schema = schema
        self._aggregator = aggregator
        self._settings = settings
        self._source = source
        self._new_log = new_log
        self._fail = fail
        # A version's rows are its own: an older release's directory is left alone, and restored anew by it.
        self._directory = settings.state_dir / f"v{aggregator.version}"
        # A transaction keeps a thread for some round trips; more threads than this only share two cores further.
        self._threads = ThreadPoolExecutor(min(settings.partitions, 16), thread_name_prefix="epoch")
        self._tasks: set[asyncio.Task[None]] = set()
        self._assignments = 0
        """How often the group decided."""

    # -- the life of partitions

    async def assign(self, actives: set[int], standbys: set[int]) -> None:
        """The group gave this process ``actives`` to count and ``standbys`` to follow; all else is gone.

        When this returns, nobody else can write for ``actives``, and what others committed is readable.
        """
        self._assignments += 1
        with self._or_fail():
            for number in [*self.slots]:
                slot = self.slots[number]
                if number not in actives and number not in standbys:
                    await self._release(slot)
                    del self.slots[number]
            for number in standbys:
                slot = self._slot(number)
                if slot.life.state is not State.STANDBY:
                    await self._demote(slot)
            await asyncio.gather(*(self._fence(self._slot(number)) for number in actives))
            await self._end_hanging(actives)
            if actives:
                crash_points.reached("in-assign")

    async def _fence(self, slot: Slot[R]) -> None:
        async with slot.lock:  # no epoch of ours is under way: it would be fenced by ourselves
            slot.life.move(State.FENCING)
            self._open(slot)
            if slot.log is None:
                slot.log = self._new_log(slot.number)
            await self._in_thread(slot.log.fence)
            slot.life.move(State.RESTORING)
            slot.restored = 0

    async def _end_hanging(self, numbers: set[int]) -> None:
        """What a former owner sent and nobody will ever end is aborted, and counted again from the stamp."""
        found = await hanging(self._source, numbers)
        for number, begin in found.items():
            slot = self.slots[number]
            log.error("a transaction hangs, and is aborted", extra={"partition": number, "changelog_offset": begin})
            async with slot.lock:
                if slot.log is not None:
                    await self._in_thread(slot.log.abort)
                    await self._in_thread(slot.log.fence)  # waits for the markers
                store = self._open(slot)
                if store.offset >= begin:  # the coordinator had said that it was committed
                    store.spoil()
                self._shut(slot)
                self._open(slot)
        if found and (left := await hanging(self._source, numbers)):
            raise StateError(
                f"{self._schema.topics.changelog}-{min(left)} holds a transaction that nobody ends and that could not "
                "be aborted: kafka-transactions.sh find-hanging tells more"
            )

    async def _demote(self, slot: Slot[R]) -> None:
        await self._forget(slot)
        self._open(slot)
        slot.life.move(State.STANDBY)

    async def _release(self, slot: Slot[R]) -> None:
        await self._forget(slot)
        slot.life.move(State.ABSENT)
        if slot.store is not None:
            slot.store.close()
            slot.store = None

    async def _forget(self, slot: Slot[R]) -> None:
        """Drop what only the owner needs. An epoch under way belongs to the partition that is dropped here."""
        async with slot.lock:
            slot.cancel_timers()
            if slot.partition is not None:
                self.memory.leave(slot.partition.rows)
                slot.partition = None
            if slot.log is not None:
                closing, slot.log = slot.log, None
                await self._in_thread(closing.close)

    def _slot(self, number: int) -> Slot[R]:
        slot = self.slots.get(number)
        if slot is None:
            slot = self.slots[number] = Slot(number)
        return slot

    def _open(self, slot: Slot[R]) -> RocksStore:
        if slot.store is not None and slot.store.is_stale:
            self._shut(slot)  # the process was stopped, or cut off, for longer than the changelog keeps removals
        if slot.store is None:
            slot.store = RocksStore.open(self._directory / str(slot.number), self.store_memory)
        return slot.store

    def _shut(self, slot: Slot[R]) -> None:
        """Close the store; what was read from it is forgotten with it."""
        if slot.partition is not None:
            self.memory.leave(slot.partition.rows)
            slot.partition = None
        if slot.store is not None:
            slot.store.close()
            slot.store = None

    # -- restoring

    def stored_offset(self, number: int) -> int | None:
        """The changelog offset up to which the local store of ``number`` holds everything; None: nothing."""
        with self._or_fail():
            offset = self._open(self._slot(number)).offset
        return None if offset < 0 else offset

    def restore(self, run: Run) -> None:
        """Apply a run of the changelog to the local store: an owner catching up, or a standby following."""
        slot = self.slots.get(run.partition)
        if slot is None or slot.store is None:
            return  # it was revoked while the run was queued
        with self._or_fail():
            if run.next - 1 <= slot.store.offset:
                return
            if 0 <= slot.store.offset < run.first - 1:
                raise StateError(
                    f"{run!r} does not follow offset {slot.store.offset}, up to which the state is restored"
                )
            if slot.store.is_stale:
                raise StateError(
                    f"the state at {slot.store.path} was stopped, or cut off, for a day: the changelog may lack "
                    "removals since; a restart restores it"
                )
            records = run.since(slot.store.offset + 1).records()
            rows = {record.key: record.value for record in records}
            if None in rows:
                raise StateError(f"{run!r} has a record without a key: it is no changelog of ours")
            write = slot.store.write if slot.life.state is State.STANDBY else slot.store.restore
            write(cast("dict[bytes, bytes | None]", rows), run.next - 1)
            slot.restored += len(records)
            crash_points.reached("in-recovery")
            if slot.partition is not None and records:
                # Another owner wrote since: what this process holds in memory of the partition is old.
                self.memory.leave(slot.partition.rows)
                slot.partition = None

    async def activate(self) -> None:
        """All changelogs are read to their ends: count from the stamps."""
        assignment = self._assignments
        with self._or_fail():
            ready = [slot for slot in self.slots.values() if slot.life.state is State.RESTORING]
            stores = {slot.number: self._open(slot) for slot in ready}
            numbers = [*stores]
            written = asyncio.gather(*(self._in_thread(store.write_out) for store in stores.values()))
            ends, starts, changelog_ends, _ = await asyncio.gather(
                self._source.log_ends(numbers),
                self._source.log_starts(numbers),
                self._source.changelog_ends(numbers),
                written,
            )
            crash_points.reached("after-recovery")
            for slot in ready:
                if assignment != self._assignments or slot.life.state is not State.RESTORING:
                    continue  # a rebalance began meanwhile; what it gives is activated once that is restored
                number = slot.number
                store = stores[number]
                if store.offset >= changelog_ends[number]:
                    raise StoreAhead(
                        f"the state at {store.path} is ahead of its changelog (offset {store.offset} of "
                        f"{changelog_ends[number]}): the topic was deleted, or its broker's "
                        "data wiped. Delete this directory to rebuild the state"
                    )
                if store.offset + 1 < changelog_ends[number]:
                    # Faust tells the end of a recovery that a rebalance has overtaken; what that gave is not read yet.
                    log.warning(
                        "not restored yet",
                        extra={"partition": number, "stored": store.offset, "changelog_end": changelog_ends[number]},
                    )
                    continue
                store.serve()
                self._activate(slot, store, starts[number], ends[number])

    def _activate(self, slot: Slot[R], store: RocksStore, log_start: int, log_end: int) -> None:
        topic = self._schema.topics.input
        topic_id = self._settings.topic_ids.get(topic, "")
        position, lost_below = start_position(
            store, self._aggregator.version, topic, slot.number, log_start, log_end, topic_id
        )
        partition = slot.partition
        if partition is not None and partition.stamp.offset != position:
            self.memory.leave(partition.rows)
            partition = None
        if partition is None:
            rows = Rows(store, partition=slot.number, partitions=self._settings.partitions, memory=self.memory)
            partition = Partition(
                self._schema,
                self._aggregator,
                rows,
                store,
                position=position,
                clock=time.monotonic,
                epoch_s=self._settings.epoch_s,
                topic_id=topic_id,
            )
            slot.partition = partition
        if lost_below is not None:
            self._lost(partition, lost_below)
        slot.sought = (-1, 0.0)
        slot.life.move(State.ACTIVE)
        log.info(
            "partition restored",
            extra={"partition": slot.number, "entries": slot.restored, "stamp": position, "behind": log_end - position},
        )
        self._arm(slot, partition)

    def _lost(self, partition: Partition[R], log_start: int) -> None:
        error = LostInput(self._schema.topics.input, partition.number, partition.position, log_start)
        if not self._settings.skip_lost:
            raise error
        log.error("input lost, going on without it", extra={"partition": partition.number, "reason": str(error)})
        partition.skip_lost(log_start)

    # -- counting

    async def process(self, run: Run) -> None:
        """Count a run of the input."""
        slot = self.slots.get(run.partition)
        if slot is None or slot.life.state is not State.ACTIVE or slot.partition is None:
            return  # it was revoked while the run was queued; its next owner reads it from the stamp
        partition = slot.partition
        with self._or_fail():
            if not partition.accept(run):
                await self._close_gap(slot, partition, run)
                return
            self.memory.shrink()
            if partition.due_in() <= 0:
                await self._send_epoch(slot)
            else:
                self._arm(slot, partition)
                await self._relieve()

    async def _relieve(self) -> None:
        """Count the fullest partition when all of them together hold too much."""
        holding = [(slot.partition.waiting_bytes, slot.number) for slot in self.slots.values() if slot.partition]
        if sum(nbytes for nbytes, _ in holding) > WAITING_BYTES:
            await self._send_epoch(self.slots[max(holding)[1]])

    async def _close_gap(self, slot: Slot[R], partition: Partition[R], run: Run) -> None:
        """Offsets are missing before ``run``: a seek of Faust's that lost a race, or retention that overtook us."""
        position, now = partition.position, time.monotonic()
        if slot.sought[0] == position and now - slot.sought[1] < SEEK_AGAIN_S:
            return  # runs fetched before the seek are still coming
        starts = await self._source.log_starts([slot.number])
        if slot.partition is not partition or partition.position != position:
            return
        if starts[slot.number] > position:
            self._lost(partition, starts[slot.number])
        slot.sought = (partition.position, now)
        log.warning("offsets skipped, seeking back", extra={"run": repr(run), "position": partition.position})
        await self._source.seek(slot.number, partition.position)

    def _arm(self, slot: Slot[R], partition: Partition[R]) -> None:
        """See to it that the open epoch ends on time. An idle partition wakes nobody."""
        if not partition.is_open:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + max(partition.due_in(), 0.001)
        if slot.epoch_timer is not None:
            if slot.epoch_timer.when() <= due:
                return
            slot.epoch_timer.cancel()  # the backlog, for which the epoch was to last longer, is read
        slot.epoch_timer = loop.call_at(due, self._on_epoch_timer, slot)

    def _on_epoch_timer(self, slot: Slot[R]) -> None:
        slot.epoch_timer = None
        partition = slot.partition
        if partition is None or slot.life.state is not State.ACTIVE:
            return
        if partition.due_in() > 0.001:
            self._arm(slot, partition)
        else:
            self._spawn(self._send_epoch(slot))

    async def _send_epoch(self, slot: Slot[R]) -> None:
        """Seal the open epoch and send it in the background; one is under way while the next fills."""
        while slot.flight is not None and not slot.flight.done():
            await asyncio.shield(slot.flight)
        partition = slot.partition
        if partition is None or slot.life.state not in (State.ACTIVE, State.DRAINING):
            return
        with self._or_fail():
            epoch = partition.seal()
            self.memory.shrink()
            self._arm(slot, partition)  # what is left, where letters ended the epoch early
        if epoch is not None:
            slot.flight = self._spawn(self._commit(slot, partition, epoch))

    async def _commit(self, slot: Slot[R], partition: Partition[R], epoch: Epoch) -> None:
        with self._or_fail():
            async with slot.lock:
                # The epoch belongs to the partition object it came from: when that was dropped or restored anew
                # meanwhile, the stamp tells where to count from, and this epoch must never land.
                if slot.partition is not partition or slot.log is None:
                    return
                offset = await self._in_thread(slot.log.commit, epoch)
                partition.committed(epoch, offset)
            if slot.settle_timer is None:
                slot.settle_timer = asyncio.get_running_loop().call_later(SETTLE_S, self._settle, slot)

    def _settle(self, slot: Slot[R]) -> None:
        slot.settle_timer = None
        crash_points.reached("before-store")
        with self._or_fail():
            if slot.partition is not None:
                slot.partition.settle()

    # -- giving up

    async def drain(self) -> None:
        """Make durable what is counted, and count no more: a rebalance begins, or the process stops.

        Few records that wait are counted, so that nobody waits for them in turn. A backlog is left where it is: to
        count it takes seconds, in which the group stands still or the process is killed.
        """
        slots = [slot for slot in self.slots.values() if slot.life.state in (State.ACTIVE, State.RESTORING)]
        for slot in slots:
            slot.life.move(State.DRAINING)
            slot.cancel_timers()
            if slot.partition is not None and slot.partition.waiting > DRAIN_RECORDS // len(slots):
                slot.partition.give_up_waiting()
        if slots:
            crash_points.reached("in-drain")
        try:
            await asyncio.wait_for(asyncio.gather(*(self._finish(slot) for slot in slots)), DRAIN_S)
        except TimeoutError:
            # The broker is slow. What is under way is decided by the next owner's fence; the stamp tells.
            log.warning("the last epoch was not acknowledged in time", extra={"seconds": DRAIN_S})

    async def _finish(self, slot: Slot[R]) -> None:
        await self._send_epoch(slot)
        if slot.partition is not None and slot.partition.waiting:
            slot.partition.give_up_waiting()
        if slot.flight is not None:
            await asyncio.shield(slot.flight)
        slot.cancel_timers()
        self._settle(slot)

    async def close(self) -> None:
        """Let go of everything, after `drain`."""
        for slot in self.slots.values():
            if slot.life.state is State.STANDBY or slot.life.state is State.DRAINING:
                await self._release(slot)
        self.slots.clear()
        self._threads.shutdown(wait=False)

    async def keep_alive(self) -> None:
        """Note in each store that is up to date that it is: a store away for too long is thrown away.

        Up to date is what has all of its changelog. Who is cut off from the broker hears of no removal.
        """
        held = [slot for slot in self.slots.values() if slot.life.state in (State.ACTIVE, State.STANDBY)]
        try:
            ends = await self._source.changelog_ends([slot.number for slot in held])
        except StateError as error:
            log.warning("cannot see whether the local state is up to date", extra={"reason": str(error)})
            return
        with self._or_fail():
            for slot in held:
                if slot.store is not None and slot.store.offset + 1 >= ends[slot.number]:
                    slot.store.keep_alive()

    # -- what others may know

    def active(self, number: int) -> Partition[R] | None:
        """The partition, when this process counts it now."""
        slot = self.slots.get(number)
        return slot.partition if slot is not None and slot.life.state is State.ACTIVE else None

    def owned(self) -> list[int]:
        """The partitions that this process counts or has counted until now (`drain`)."""
        return [slot.number for slot in self.slots.values() if slot.partition is not None]

    def durable_offset(self, number: int) -> int | None:
        """The source offset up to which ``number`` is durable; None when it is not ours."""
        slot = self.slots.get(number)
        return None if slot is None or slot.partition is None else slot.partition.durable_offset

    def all_counters(self) -> list[Counters]:
        """What each partition has done since this process took it over."""
        return [slot.partition.counters for slot in self.slots.values() if slot.partition is not None]

    @contextmanager
    def _or_fail(self) -> Generator[None]:
        """Whatever goes wrong inside is doubt about state."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the process ends with it
            self._fail(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
