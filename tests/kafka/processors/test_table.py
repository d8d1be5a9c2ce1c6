"""The partitions of a process, with real stores, and all else made by hand (`gated`).

Races between epochs and rebalances are forced by the gate, not hoped for.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from aggregators.sites import Sites
from processors import store as store_module
from processors import table as table_module
from processors.epoch import STAMP_KEY, Stamp
from processors.partition import BEHIND_EPOCH_S
from processors.run import Loose, Record, Run
from processors.states import State
from schemas.errors import Fenced, LostInput, StateError, StoreAhead
from tests.kafka.processors.gated import Bench, Ended, message, run_of


@pytest.fixture
def drive(tmp_path: Path) -> Callable[[Callable[[Bench], Awaitable[None]]], Bench]:
    """Runs a scenario on a fresh table, and lets go of its stores afterwards."""

    def start(scenario: Callable[[Bench], Awaitable[None]], *, skip_lost: bool = False, epoch_s: float = 60.0) -> Bench:
        async def main() -> Bench:
            bench = Bench(tmp_path, skip_lost=skip_lost, epoch_s=epoch_s)
            try:
                await asyncio.wait_for(scenario(bench), 30)
            finally:
                bench.log.gate.set()
                for slot in bench.table.slots.values():
                    if slot.store is not None:
                        slot.store.close()
            return bench

        return asyncio.run(main())

    return start


Drive = Callable[..., Bench]


def test_a_drained_partition_has_its_last_epoch_committed_and_stored(drive: Drive) -> None:
    """A rebalance loses nothing that was counted: stock Faust drops it and counts it again."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 5))
        assert bench.log.epochs == []
        await bench.table.drain()
        assert bench.log.epochs[0].stamp == Stamp(5, Sites.version)
        assert bench.state() is State.DRAINING
        store = bench.table.slots[0].store
        assert store is not None
        assert store.offset == len(bench.log.changelog) - 1

    drive(scenario)


def test_skipped_offsets_are_sought_back_and_nothing_is_counted_before_they_come(drive: Drive) -> None:
    """A prefetch that lost a race with a seek hands over a later run first; it is dropped, not counted."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 5))
        await bench.table.process(run_of(8, 2))
        await bench.table.process(run_of(10, 2))
        assert bench.source.seeks == [5]  # once: the runs that were fetched before the seek still come
        await bench.table.process(run_of(5, 7))
        await bench.table.drain()
        assert bench.log.epochs[-1].records == 12

    drive(scenario)


def test_retention_that_overtakes_a_running_worker_ends_it(drive: Drive) -> None:
    """Input that is gone is never skipped silently."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 5))
        bench.source.start = 8
        with pytest.raises(Ended):
            await bench.table.process(run_of(8, 2))
        assert isinstance(bench.ends[0], LostInput)
        assert "retention removed [5, 8). Restart with --skip-lost" in str(bench.ends[0])

    drive(scenario)


def test_with_skip_lost_a_letter_stands_for_what_is_gone(drive: Drive) -> None:
    """It goes on at the log's start, and the letter is of the same transaction as the stamp that passes the gap."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        bench.source.start = 8
        await bench.table.process(run_of(8, 2))
        assert bench.source.seeks == [8]
        await bench.table.process(run_of(8, 2))
        await bench.table.drain()
        (epoch,) = bench.log.epochs
        assert epoch.stamp.offset == 10
        assert dict(epoch.letters[0].headers)["__dlq.errors.message"] == b"lost input [0, 8)"

    drive(scenario, skip_lost=True)


def test_one_epoch_is_under_way_while_the_next_one_fills(drive: Drive) -> None:
    """Order is kept, and counting does not wait for the broker."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        slot = bench.table.slots[0]
        bench.log.gate.clear()
        await bench.table.process(run_of(0, 1))
        await bench.table._send_epoch(slot)  # pyright: ignore[reportPrivateUsage]
        await asyncio.to_thread(bench.log.entered.wait, 10)
        await bench.table.process(run_of(1, 3))
        assert slot.partition is not None
        assert (slot.partition.position, slot.partition.stamp.offset) == (4, 0)
        bench.log.gate.set()
        await bench.table.drain()
        assert [(epoch.first, epoch.stamp.offset) for epoch in bench.log.epochs] == [(0, 1), (1, 4)]

    drive(scenario)


def test_the_fullest_partition_counts_when_all_together_hold_too_much(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog on many partitions is bounded as a whole, not only on each."""
    monkeypatch.setattr(table_module, "WAITING_BYTES", 5 * len(message(0)))

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 5))
        assert bench.log.epochs == []
        await bench.table.process(run_of(5, 1))
        await asyncio.to_thread(bench.log.entered.wait, 10)
        await bench.table.drain()
        assert [epoch.records for epoch in bench.log.epochs] == [6]

    drive(scenario)


def test_an_epoch_ends_soon_once_the_backlog_is_read(drive: Drive) -> None:
    """Amid a backlog it was to last until its batch is full; a timer that was set then would be many seconds late."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        first, rest = run_of(0, 3), run_of(3, 3)
        first.end = 1_000_000
        slot = bench.table.slots[0]
        await bench.table.process(first)
        assert slot.epoch_timer is not None
        assert slot.epoch_timer.when() - asyncio.get_running_loop().time() > BEHIND_EPOCH_S / 2
        assert slot.partition is not None
        slot.partition.end = 6
        await bench.table.process(rest)
        await asyncio.to_thread(bench.log.entered.wait, BEHIND_EPOCH_S / 2)
        await bench.table.drain()
        assert [epoch.records for epoch in bench.log.epochs] == [6]

    drive(scenario, epoch_s=0.2)


def test_a_backlog_is_left_to_the_next_owner_when_the_partition_is_taken_away(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To count it takes seconds, in which a group stands still, or the parent kills the process."""
    monkeypatch.setattr(table_module, "DRAIN_RECORDS", 5)

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 5))
        await bench.table.drain()
        assert [epoch.records for epoch in bench.log.epochs] == [5]
        await bench.own()
        await bench.table.process(run_of(5, 6))
        await bench.table.drain()
        assert [epoch.records for epoch in bench.log.epochs] == [5]
        await bench.own()
        partition = bench.table.slots[0].partition
        assert partition is not None
        assert partition.position == 5
        await bench.table.process(run_of(5, 3))
        await bench.table.drain()
        assert [epoch.records for epoch in bench.log.epochs] == [5, 3]
        assert json.loads(bench.newest() or b"")["revision"] == 8

    drive(scenario)


def test_an_epoch_never_outlives_its_partition(drive: Drive) -> None:
    """A send that waits in line while the partition goes elsewhere is dropped: its next owner counts it."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        slot = bench.table.slots[0]
        partition = slot.partition
        assert partition is not None
        await bench.table.process(run_of(0, 2))
        epoch = partition.seal()
        assert epoch is not None
        slot.life.move(State.DRAINING)
        await bench.table.assign(set(), {0})  # demoted to a standby
        assert bench.state() is State.STANDBY
        await bench.table._commit(slot, partition, epoch)  # pyright: ignore[reportPrivateUsage]
        assert bench.log.epochs == []

    drive(scenario)


def test_a_fence_waits_for_our_own_epoch(drive: Drive) -> None:
    """A partition that stays is fenced again; our own epoch under way must not become a zombie's."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        slot = bench.table.slots[0]
        bench.log.gate.clear()
        await bench.table.process(run_of(0, 1))
        await bench.table._send_epoch(slot)  # pyright: ignore[reportPrivateUsage]
        await asyncio.to_thread(bench.log.entered.wait, 10)
        draining = asyncio.ensure_future(bench.table.drain())
        await asyncio.sleep(0)
        assert bench.state() is State.DRAINING
        assigning = asyncio.ensure_future(bench.table.assign({0}, set()))
        for _ in range(50):
            await asyncio.sleep(0)
        assert bench.log.fences == 1
        bench.log.gate.set()
        await asyncio.gather(draining, assigning)
        assert bench.log.fences == 2
        assert bench.log.epochs[0].stamp.offset == 1

    drive(scenario)


def test_a_partition_that_stays_keeps_its_rows_in_memory(drive: Drive) -> None:
    """Nobody else wrote, so nothing is read again."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 2))
        await bench.table.drain()
        before = bench.table.slots[0].partition
        await bench.own()
        assert bench.table.active(0) is before

    drive(scenario)


def test_what_another_owner_wrote_replaces_what_is_in_memory(drive: Drive) -> None:
    """The changelog tells on restoring; the partition starts from its stamp."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 2))
        await bench.table.drain()
        before = bench.table.slots[0].partition
        other = Stamp(7, Sites.version).encode()
        bench.log.changelog.append(Record(len(bench.log.changelog), other, key=STAMP_KEY))
        await bench.own()
        now = bench.table.active(0)
        assert now is not None
        assert now is not before
        assert now.position == 7

    drive(scenario)


@pytest.mark.parametrize("error", [Fenced("another worker owns it"), StateError("timed out"), RuntimeError("bug")])
def test_any_failed_commit_ends_the_process(drive: Drive, error: Exception) -> None:
    """Whether the epoch landed is decided by the next owner's fence; this process must not go on."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 2))
        bench.log.broken = error
        with pytest.raises(Ended):
            await bench.table.drain()
        assert bench.ends == [error]

    drive(scenario)


def test_a_store_ahead_of_its_changelog_ends_the_process(drive: Drive) -> None:
    """The changelog was deleted: a state that nobody else could restore must not be built upon."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 2))
        await bench.table.drain()
        bench.log.changelog.clear()
        await bench.table.assign({0}, set())
        with pytest.raises(Ended):
            await bench.table.activate()
        assert isinstance(bench.ends[0], StoreAhead)
        assert "Delete this directory to rebuild the state" in str(bench.ends[0])

    drive(scenario)


def test_a_store_that_holds_what_hangs_is_thrown_away(drive: Drive) -> None:
    """Its coordinator had said that it was committed; now it is aborted, and counted again."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        for first in (0, 2):
            await bench.table.process(run_of(first, 2))
            await bench.table.drain()
            await bench.table.assign({0}, set())
            await bench.table.activate()
        length = len(bench.log.epochs[0].rows) + 1
        bench.log.hanging = bench.log.changelog[length:]
        del bench.log.changelog[length:]
        await bench.table.drain()
        await bench.table.assign({0}, set())
        assert bench.table.stored_offset(0) is None
        bench.table.restore(bench.log.restored())
        await bench.table.activate()
        partition = bench.table.active(0)
        assert partition is not None
        assert partition.position == 2

    assert not drive(scenario).ends


def test_a_partition_whose_changelog_is_not_read_to_its_end_is_not_counted(drive: Drive) -> None:
    """Faust tells the end of the recovery that a rebalance has overtaken, when the next one has only begun."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 3))
        await bench.table.drain()
        bench.log.changelog += [Record(len(bench.log.changelog), b"another owner's", key=b"k")]
        await bench.table.assign({0}, set())
        await bench.table.activate()
        assert bench.state() is State.RESTORING
        bench.table.restore(bench.log.restored())
        await bench.table.activate()
        assert bench.state() is State.ACTIVE

    assert not drive(scenario).ends


def test_a_run_that_leaves_out_a_part_of_the_changelog_ends_the_process(drive: Drive) -> None:
    """The rows that are missing would be missing for ever."""

    async def scenario(bench: Bench) -> None:
        await bench.table.assign({0}, set())
        for first in (0, 2):
            packets = [Loose([Record(first, b"row", key=b"k")])]
            bench.table.restore(Run("changelog", 0, first=first, next=first + 1, packets=packets, end=3))

    with pytest.raises(Ended) as ended:
        drive(scenario)
    assert isinstance(ended.value.__cause__, StateError)
    assert "does not follow offset 0" in str(ended.value.__cause__)


def test_others_have_their_turn_while_a_restore_is_written_out(drive: Drive) -> None:
    """The other stage of a stream counts in the same loop."""

    async def scenario(bench: Bench) -> None:
        await bench.table.assign({0}, set())
        store = bench.table.slots[0].store
        assert store is not None
        written, had_a_turn = store.write_out, threading.Event()

        def write_out() -> None:
            if not had_a_turn.wait(5):
                raise StateError("nobody had a turn")
            written()

        store.write_out = write_out
        asyncio.get_running_loop().call_later(0.01, had_a_turn.set)
        await bench.table.activate()
        assert bench.state() is State.ACTIVE

    assert not drive(scenario).ends


@pytest.mark.parametrize("again", [False, True], ids=["taken", "taken and given back"])
def test_a_rebalance_while_a_restored_partition_waits_for_an_answer_leaves_it_to_the_next_one(
    drive: Drive, again: bool
) -> None:
    """What the answer says is of an assignment that is over: in the next one the changelog may be longer."""

    async def scenario(bench: Bench) -> None:
        async def rebalance(partitions: Iterable[int]) -> dict[int, int]:
            del bench.source.changelog_ends  # pyright: ignore[reportAttributeAccessIssue] - the method is back
            await bench.table.drain()
            if again:
                await bench.table.assign({0}, set())
            return dict.fromkeys(partitions, 0)

        await bench.table.assign({0}, set())
        bench.source.changelog_ends = rebalance
        await bench.table.activate()
        assert bench.state() is (State.RESTORING if again else State.DRAINING)
        if not again:
            await bench.table.assign({0}, set())
        await bench.table.activate()
        assert bench.state() is State.ACTIVE

    assert not drive(scenario).ends


def test_a_run_that_was_queued_when_its_partition_went_is_dropped(drive: Drive) -> None:
    """Its next owner reads it from the stamp."""

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.drain()
        await bench.table.process(run_of(0, 2))
        await bench.table.assign(set(), set())
        await bench.table.process(run_of(0, 2))
        bench.table.restore(bench.log.restored())
        assert bench.table.slots == {}
        assert bench.log.epochs == []

    drive(scenario)


def test_a_store_counts_as_up_to_date_only_where_it_has_all_of_its_changelog(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine cut off for a day believed its copy, though it had heard of no removal since."""
    now = time.time()

    async def scenario(bench: Bench) -> None:
        await bench.own()
        await bench.table.process(run_of(0, 5))
        await bench.table.drain()
        await bench.table.assign(set(), {0})
        store = bench.table.slots[0].store
        assert store is not None
        for hours in (10, 20, 30):
            monkeypatch.setattr(store_module.time, "time", lambda hours=hours: now + hours * 3600)
            await bench.table.keep_alive()
        assert not store.is_stale
        bench.log.changelog.append(Record(len(bench.log.changelog), b"1", key=b"others"))
        for hours in (40, 50, 60):
            monkeypatch.setattr(store_module.time, "time", lambda hours=hours: now + hours * 3600)
            await bench.table.keep_alive()
        assert store.is_stale
        with pytest.raises(Ended):
            bench.table.restore(bench.log.restored())
        assert "a restart restores it" in str(bench.ends.pop())
        await bench.own()
        anew = bench.table.slots[0].store
        assert anew is not None
        assert anew is not store
        assert anew.get(b"others") == b"1"
        assert bench.state() is State.ACTIVE

    assert drive(scenario).ends == []
