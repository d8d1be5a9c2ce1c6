"""Faust's aiokafka transport, moving runs instead of records.

Faust keeps the group, the assignor, standbys, recovery and the commit loop; a message carries a whole `Run`. What is
replaced, and the fault of the stock code that it answers:

* where partitions begin and end is asked elsewhere (`processors.offsets`);
* fetching takes runs out of aiokafka's buffers (`processors.fetch`), with a floor between two small fetches: at a low
  rate the cost is per fetch, not per record. It is the asking that waits, not what was fetched already;
* acknowledging is gone: the group's offset is what the state says is durable, a hint for lag tools. Stock Faust
  commits offsets of unsent messages, and forgets acknowledged ones at every rebalance;
* seeking goes to the state's position, inside the consumer's own thread. Stock Faust calls the consumer from another
  thread, which loses records or crashes its fetcher;
* at a revocation the last epoch is sent first; stock Faust drops it;
* what ends Faust's fetch loop ends the process; stock Faust stops "gracefully" and can hang for ever;
* a group coordinator that gave up ends the process; stock Faust never looks at it and sits idle.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportUntypedFunctionDecorator=false, reportUntypedBaseClass=false

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from faust.transport import base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from processors.fetch import take_run
from processors.run import Run
from processors.watchdog import fail_stop
from schemas.errors import Stalled

if TYPE_CHECKING:
    from processors.control import StreamApp

log = logging.getLogger("streamgauge.engine")

MAX_RUN_RECORDS = 16_384
SMALL_FETCH = 2_000
"""A fetch of fewer records counts as small."""
FLOOR_S = 0.03
"""Seconds between two small fetches: halves the CPU at 20,000 records/s and adds nothing at an epoch of 1 s."""
SESSION_TIMEOUT_S = 10.0
HEARTBEAT_S = 0.5
COMMIT_S = 2.0
"""Beyond it the group is not told how far all is durable."""


class RunConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer: the only place from which it may be called."""

    app: StreamApp
    _found_little: bool = False
    _asked_at: float = 0.0
    _waiting: asyncio.Future[Any] | None = None

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        """Build the consumer ourselves: read committed, own fetch sizes, and the security that both clients share."""
        self._assignor = self.app.assignor
        conf = self.app.conf
        return AIOKafkaConsumer(
            **self.app.client_settings,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=True,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=4 << 20,
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=3_600_000,
            request_timeout_ms=40_000,
        )

    async def on_thread_stop(self) -> None:
        """A static member keeps its place for a restart, unless this process is to be gone for good."""
        if self.app.leave and self._consumer is not None:
            cast("Any", self._consumer)._coordinator._group_instance_id = None
        try:
            await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError) as error:
            # While the broker is away, aiokafka lets the cancellation of its own fetch escape from its `stop`. It
            # would end this thread with a traceback, and the stop of the process would wait for it for ever.
            log.info("consumer not closed in order", extra={"reason": repr(error)})

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, list[Run]]:
        try:
            return await self._fetch_runs(consumer, active_partitions, timeout or 0.0)
        except (asyncio.CancelledError, ConsumerStoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - the process ends with it
            fail_stop(error)

    async def _fetch_runs(self, consumer: Any, active: set[TP], timeout: float) -> dict[TP, list[Run]]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        if self._found_little:
            await asyncio.sleep(max(0.0, self._asked_at + min(FLOOR_S, self.app.epoch_s / 4) - time.monotonic()))
            self._ask(fetcher)
        deadline = time.monotonic() + timeout
        with fetcher._subscriptions.fetch_context():
            while True:
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                runs = self._take_runs(fetcher, active)
                now = time.monotonic()
                if runs or now >= deadline:
                    self._found_little = 0 < sum(len(run) for (run,) in runs.values()) < SMALL_FETCH
                    if not self._found_little:
                        self._ask(fetcher)
                    return runs
                waiter = self._waiting = fetcher._create_fetch_waiter()
                done, _ = await asyncio.wait([waiter], timeout=deadline - now)
                if not done or fetcher._closed:
                    waiter.cancel()
                    return {}
                waiter.result()

    @staticmethod
    def _take_runs(fetcher: Any, active: set[TP]) -> dict[TP, list[Run]]:
        runs: dict[TP, list[Run]] = {}
        for tp in list(fetcher._records):
            if tp not in active:
                if not fetcher._subscriptions.is_assigned(tp):
                    fetcher._records.pop(tp, None)
                continue
            result = fetcher._records.get(tp)
            if isinstance(result, FetchResult):
                run = take_run(tp, result, MAX_RUN_RECORDS)
                if run is not None:
                    runs[TP(*tp)] = [run]
            elif result is not None and not runs:
                fetcher._records.pop(tp, None)
                fetcher._notify(fetcher._wait_consume_future)
                result.check_raise()
        return runs

    def look_again(self) -> None:
        """What was fetched of a partition that may not be read is told to nobody once it may be."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _ask(self, fetcher: Any) -> None:
        """Drop the buffers that are used up: the fetcher asks for nothing more of a partition that has one."""
        for tp, result in list(fetcher._records.items()):
            if isinstance(result, FetchResult) and not result.has_more():
                del fetcher._records[tp]
        fetcher._notify(fetcher._wait_consume_future)
        self._asked_at = time.monotonic()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if cast("RunConsumer", self.consumer).joining:
            return False
        # aiokafka tries for as long as no broker answers, and all that this thread is asked meanwhile waits in line,
        # the stop of the process included. The group's offset is a hint: the next commit says more.
        try:
            async with asyncio.timeout(COMMIT_S):
                return await super()._commit(offsets)
        except TimeoutError:
            log.debug("group offsets not committed in time")
        except Exception as error:  # noqa: BLE001 - the stamp decides
            log.warning("group offsets not committed", extra={"reason": str(error)})
        return False

    async def crash(self, reason: BaseException) -> None:
        """An error in the commit path is no doubt about state; anything else ends the process."""
        if isinstance(reason, CommitFailedError | IllegalStateError):
            log.warning("group offsets not committed", extra={"reason": str(reason)})
            return
        fail_stop(reason)


class RunConsumer(driver.Consumer):
    """Faust's consumer over runs; the state's stamps decide where reading starts and what is committed."""

    app: StreamApp
    joining = False
    """Between a revocation and the next assignment no offset is committed. The broker answers a connection's requests
    in turn: a commit sent behind a JoinGroup that waits for slower members is looked at when the new generation has
    begun, and refused for its old one; then aiokafka joins anew, which makes the others rejoin, and so on for ever."""

    def _new_consumer_thread(self) -> RunConsumerThread:
        return RunConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Run) -> ConsumerMessage:
        """A message whose value is the run and whose offset is the last that the run accounts for."""
        value = cast("bytes", record)  # Faust only carries it
        return ConsumerMessage(
            tp.topic, tp.partition, record.next - 1, 0.0, 0, None, None, value, None, 0, len(record), tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A run covers its own holes; `PartitionTable.process` sees a gap between runs."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(self.app.inputs())

    def _new_offset(self, tp: TP) -> int | None:
        return self.app.partition_table.durable_offset(tp.partition)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Faust takes offsets for committed also where that failed; then the group would hear the last one never."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        committed = await super()._commit_offsets(offsets, start_new_transaction)
        if not committed:
            self._committed_offset.update(before)
        return committed

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """Where partitions begin, without waiting for a fetch to return."""
        starts = await self.app.offsets.starts((tp.topic, tp.partition) for tp in partitions)
        return {TP(*place): offset for place, offset in starts.items()}

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Where the committed part of partitions ends, without waiting for a fetch to return."""
        ends = await self.app.offsets.ends((tp.topic, tp.partition) for tp in partitions)
        return {TP(*place): offset for place, offset in ends.items()}

    async def verify_all_partitions_active(self) -> None:
        """Stock Faust wakes up to log errors about idle streams; `_watch_coordinator` looks at what matters."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Make durable what is counted before Faust lets the partitions go."""
        await self.app.partition_table.drain()
        await self.commit()
        await super().on_partitions_revoked(revoked)
        self.joining = True

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The group has a new generation, in which offsets can be committed again."""
        self.joining = False
        await super().on_partitions_assigned(assigned, generation_id)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read them, from now on: also what is there of them already."""
        super().resume_partitions(tps)
        with suppress(RuntimeError):  # the loop is closed: the process stops
            self._thread.thread_loop.call_soon_threadsafe(cast("RunConsumerThread", self._thread).look_again)

    async def _wait_next_records(self, timeout: float) -> tuple[Any, set[TP]]:
        """Stock Faust sleeps a second where no partition may be read, whatever happens to them meanwhile."""
        if not self.flow_active:
            await self.wait(cast("Any", self.can_resume_flow))
        active = self._get_active_partitions()
        return await self._getmany(active, timeout), active

    async def perform_seek(self) -> None:
        """Read each active partition from where its state is; the group's committed offset is only a hint."""
        for tp in self.app.inputs():
            partition = self.app.partition_table.active(tp.partition)
            if partition is not None and tp in self.assignment():
                await self._seek(tp, partition.position)

    async def _seek(self, partition: TP, offset: int) -> None:
        thread = self._thread
        self._read_offset.pop(partition, None)
        consumer = thread._ensure_consumer()

        async def seek() -> None:
            consumer.seek(partition, offset)

        await thread.call_thread(seek)

    @Service.task
    async def _watch_coordinator(self) -> None:
        """Aiokafka parks its group coordinator after an error it cannot retry, and tells only callers of `getmany`."""
        while not self.should_stop:
            await self.sleep(1.0)
            consumer = cast("Any", self._thread)._consumer
            coordinator = getattr(consumer, "_coordinator", None)
            if coordinator is None or self.should_stop:
                continue
            error = coordinator._pending_exception
            task = coordinator._coordination_task
            if error is not None or (task is not None and task.done()):
                fail_stop(Stalled(f"the group coordinator gave up ({error!r}); a restart joins the group anew"))


class RunTransport(driver.Transport):
    """Faust's transport with `RunConsumer`, and a producer that never connects: epochs have their own."""

    Consumer = RunConsumer
    Producer = base.Producer
    driver_version = f"{driver.Transport.driver_version}+runs"


def partition_numbers(tps: Iterable[TP], topic: str) -> set[int]:
    """The numbers of those of ``tps`` that belong to ``topic``."""
    return {tp.partition for tp in tps if tp.topic == topic}
