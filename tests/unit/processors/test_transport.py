"""What is replaced of Faust's transport, each replacement forced to do what it is there for."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from processors import transport
from processors.transport import RunConsumer, RunConsumerThread
from schemas.errors import Stalled

INPUT = TP("sites", 0)
SECONDS = 10.0


class Ended(Exception):
    """What stands in for the end of the process."""


class Stage:
    """A consumer and its thread without Kafka; ``done`` is what was done, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.monkeypatch = monkeypatch
        self.consumer: RunConsumer = object.__new__(RunConsumer)
        self.thread: RunConsumerThread = object.__new__(RunConsumerThread)
        self.app = SimpleNamespace(partition_table=SimpleNamespace(drain=self.doing("drain")), leave=False)
        for part, attributes in (
            (self.consumer, {"app": self.app, "commit": self.doing("commit"), "_thread": self.thread}),
            (self.thread, {"app": self.app, "consumer": self.consumer, "_consumer": None}),
        ):
            vars(part).update(attributes)

    def doing(self, what: str, answer: Any = None) -> Callable[..., Awaitable[Any]]:
        """A coroutine function that notes that it was called."""

        async def act(*_: Any, **__: Any) -> Any:
            self.done.append(what)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return act

    def stock(self, owner: type, method: str, act: Callable[..., Awaitable[Any]]) -> None:
        """What the stock method does."""
        self.monkeypatch.setattr(owner, method, act)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    def end(error: BaseException) -> NoReturn:
        raise Ended from error

    monkeypatch.setattr(transport, "fail_stop", end)
    return Stage(monkeypatch)


def run(work: Awaitable[Any]) -> Any:
    """The answer of a coroutine; whatever waits for ever is an error."""

    async def bounded() -> Any:
        return await asyncio.wait_for(work, SECONDS)

    return asyncio.run(bounded())


def test_no_offset_is_committed_between_a_revocation_and_the_next_assignment(stage: Stage) -> None:
    """Behind a JoinGroup it is looked at in the next generation and refused; then aiokafka joins anew, for ever."""
    stage.stock(driver.AIOKafkaConsumerThread, "_commit", stage.doing("sent", answer=True))
    stage.stock(driver.Consumer, "on_partitions_revoked", stage.doing("revoked"))
    stage.stock(driver.Consumer, "on_partitions_assigned", stage.doing("assigned"))

    async def scenario() -> None:
        assert await stage.thread._commit({INPUT: 5})
        await stage.consumer.on_partitions_revoked({INPUT})
        assert not await stage.thread._commit({INPUT: 6})
        await stage.consumer.on_partitions_assigned({INPUT})
        assert await stage.thread._commit({INPUT: 7})

    run(scenario())
    assert stage.done == ["sent", "drain", "commit", "revoked", "assigned", "sent"]


def test_a_commit_that_no_broker_answers_is_given_up(stage: Stage) -> None:
    """All that the thread is asked meanwhile waits in line, the stop of the process included."""

    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    stage.stock(driver.AIOKafkaConsumerThread, "_commit", hang)
    stage.monkeypatch.setattr(transport, "COMMIT_S", 0.01)
    assert run(stage.thread._commit({INPUT: 5})) is False


def test_a_commit_that_is_refused_is_no_doubt_about_state(stage: Stage) -> None:
    """The stamp decides; the group's offset is a hint. Anything else that ends the thread ends the process."""
    stage.stock(driver.AIOKafkaConsumerThread, "_commit", stage.doing("sent", answer=CommitFailedError()))
    assert run(stage.thread._commit({INPUT: 5})) is False
    run(stage.thread.crash(CommitFailedError()))
    with pytest.raises(Ended):
        run(stage.thread.crash(KafkaConnectionError()))


def test_an_offset_that_could_not_be_committed_is_committed_by_the_next_try(stage: Stage) -> None:
    """Also when nothing is counted meanwhile: whoever waits for the group's offset would wait for ever."""

    async def stock(consumer: RunConsumer, offsets: dict[TP, int], _start: bool) -> bool:
        consumer._committed_offset.update(offsets)  # as Faust's does, whatever became of it
        return bool(stage.done)

    stage.stock(RunConsumer.__mro__[1], "_commit_offsets", stock)
    vars(stage.consumer)["_committed_offset"] = defaultdict(lambda: None)
    assert run(stage.consumer._commit_offsets({INPUT: 7})) is False
    assert stage.consumer._should_commit(INPUT, 7)
    stage.done.append("the coordinator is back")
    assert run(stage.consumer._commit_offsets({INPUT: 7})) is True
    assert not stage.consumer._should_commit(INPUT, 7)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KafkaConnectionError()], ids=repr)
def test_what_aiokafka_lets_escape_from_its_stop_does_not_end_the_thread(stage: Stage, error: BaseException) -> None:
    """The stop of the process waits for the thread to say that it has stopped."""
    stage.stock(driver.AIOKafkaConsumerThread, "on_thread_stop", stage.doing("stopped", answer=error))
    run(stage.thread.on_thread_stop())
    assert stage.done == ["stopped"]


@pytest.mark.parametrize("leave", [False, True])
def test_a_static_member_leaves_its_group_only_when_it_goes_for_good(stage: Stage, leave: bool) -> None:
    """A restart takes its place again without a rebalance."""
    stage.stock(driver.AIOKafkaConsumerThread, "on_thread_stop", stage.doing("stopped"))
    coordinator = SimpleNamespace(_group_instance_id="w-0")
    vars(stage.thread)["_consumer"] = SimpleNamespace(_coordinator=coordinator)
    stage.app.leave = leave
    run(stage.thread.on_thread_stop())
    assert coordinator._group_instance_id == (None if leave else "w-0")


@pytest.mark.parametrize("parked", ["an error that is kept for getmany", "a task that has ended"])
def test_a_group_coordinator_that_gave_up_ends_the_process(stage: Stage, parked: str) -> None:
    """It tells only callers of `getmany`; the process would sit idle with its partitions."""
    task = SimpleNamespace(done=lambda: "task" in parked)
    error = KafkaConnectionError() if "error" in parked else None
    coordinator = SimpleNamespace(_pending_exception=error, _coordination_task=task)
    vars(stage.thread)["_consumer"] = SimpleNamespace(_coordinator=coordinator)
    vars(stage.consumer)["sleep"] = stage.doing("slept")
    stage.monkeypatch.setattr(RunConsumer, "should_stop", False)
    watch = cast("Any", RunConsumer._watch_coordinator)
    with pytest.raises(Ended) as ended:
        run(getattr(watch, "fun", watch)(stage.consumer))
    assert isinstance(ended.value.__cause__, Stalled)


def test_what_was_fetched_of_a_partition_is_read_as_soon_as_it_may_be(stage: Stage) -> None:
    """No fetch brings anything new then that would end the waiting."""
    taken = {INPUT: ["run"]}
    stage.monkeypatch.setattr(RunConsumerThread, "_take_runs", lambda *given: dict(taken) if INPUT in given[-1] else {})
    vars(stage.consumer).update(flow_active=True, _active_partitions=set(), _paused_partitions={INPUT})
    vars(stage.thread).update(_ask=lambda _: None)  # pyright: ignore[reportUnknownLambdaType]

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        waits = asyncio.Event()

        def waiter() -> asyncio.Future[Any]:
            waits.set()
            return loop.create_future()

        subscriptions = SimpleNamespace(fetch_context=nullcontext, reassignment_in_progress=False)
        fetcher = SimpleNamespace(_closed=False, _subscriptions=subscriptions, _create_fetch_waiter=waiter)
        fetched = SimpleNamespace(_closed=False, _fetcher=fetcher)
        stage.thread.thread_loop = loop

        async def getmany(active: set[TP], seconds: float) -> Any:
            return await stage.thread._fetch_runs(fetched, active, seconds)

        vars(stage.consumer)["_getmany"] = getmany
        waiting = asyncio.ensure_future(stage.consumer._wait_next_records(2 * SECONDS))
        await waits.wait()
        assert not waiting.done()
        stage.consumer.resume_partitions({INPUT})
        assert await waiting == (taken, {INPUT})

    run(scenario())


def test_the_consumer_is_moved_in_its_own_thread(stage: Stage) -> None:
    """From another one the buffer that its fetcher is reading disappears, or the position is overwritten."""
    sought: list[tuple[TP, int, bool]] = []
    inside = False

    async def call_thread(act: Callable[[], Awaitable[None]]) -> None:
        nonlocal inside
        inside = True
        await act()
        inside = False

    moved = SimpleNamespace(seek=lambda tp, offset: sought.append((tp, offset, inside)))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    vars(stage.thread).update(call_thread=call_thread, _ensure_consumer=lambda: moved)
    vars(stage.consumer)["_read_offset"] = {INPUT: 3}
    run(stage.consumer._seek(INPUT, 42))
    assert sought == [(INPUT, 42, True)]
    assert stage.consumer._read_offset == {}
