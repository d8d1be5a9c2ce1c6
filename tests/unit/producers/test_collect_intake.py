"""Many who send by one publisher: each in its turn, none beyond the room there is, all told of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from producers.collect import intake as module
from producers.collect.intake import Intake, Totals
from producers.collect.upload import Upload
from producers.publisher import Publisher, Ticket
from producers.records import Parsed, Rejected
from schemas.errors import StreamgaugeError
from tests.unit.producers.hand import HandPublisher, event
from tests.unit.producers.test_collect_body import body_of


class Queue(HandPublisher):
    """A publisher with a queue of four records, which acknowledges when it is told to."""

    def __init__(self) -> None:
        super().__init__(acknowledges=False)
        self.queue_records = 8
        self.queue_bytes = 1 << 20
        self.stalled_s = 0.0
        self.failure: StreamgaugeError | None = None
        self.abandoned = False

    @property
    def under_way(self) -> int:
        """What was not acknowledged."""
        return sum(ticket.left for ticket in self.tickets)

    def send(self, file: str, parsed: Parsed) -> Ticket:
        """Keep the records, or fail."""
        if self.failure is not None:
            raise self.failure
        return super().send(file, parsed)

    def rest(self, seconds: float) -> None:
        """Fail, when that was asked for."""
        if self.failure is not None:
            raise self.failure

    def abandon(self) -> None:
        """Note it."""
        self.abandoned = True


def parsed(count: int) -> Parsed:
    return Parsed([b"7"] * count, [event(number) for number in range(count)], range(1, count + 1))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


async def soon() -> None:
    """Let everybody who can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_waits_for_room_sends_in_turn_and_never_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six want to send three records each; half of the queue, four, is the border that opens the door."""
    monkeypatch.setattr(module, "PUMP_S", 0)

    async def scenario() -> None:
        publisher = Queue()
        totals = Totals()
        intake = Intake(cast("Publisher", publisher), totals)
        pump = asyncio.create_task(intake.pump())
        sent: list[int] = []

        async def client(number: int) -> None:
            await intake.room()
            assert intake.has_room
            intake.send(f"c{number}", parsed(3))
            sent.append(number)

        clients = [asyncio.create_task(client(number)) for number in range(6)]
        await soon()
        assert sent == [0, 1], "the third would have to begin beyond the border"
        clients[2].cancel()  # its client went away
        publisher.acknowledge(publisher.tickets[0])
        await soon()
        assert sent == [0, 1, 3]
        for ticket in publisher.tickets:
            publisher.acknowledge(ticket)
        await soon()
        assert sent == [0, 1, 3, 4, 5]
        for ticket in publisher.tickets:
            publisher.acknowledge(ticket)
        await soon()
        assert totals.accepted == 15
        assert publisher.spans == {}, "offsets would add up for ever"
        pump.cancel()

    run(scenario())


def test_a_turn_that_is_not_used_is_passed_on() -> None:
    """A client that goes away at the moment when its turn comes must not keep the others waiting."""

    async def scenario() -> None:
        publisher = Queue()
        intake = Intake(cast("Publisher", publisher), Totals())
        await intake.room()
        intake.send("full", parsed(4))
        waiting = [asyncio.create_task(intake.room()) for _ in range(2)]
        await soon()
        publisher.acknowledge(publisher.tickets[0])
        intake._settle()  # pyright: ignore[reportPrivateUsage] (the turn is given, and not taken yet)
        waiting[0].cancel()
        await soon()
        assert waiting[0].cancelled()
        assert waiting[1].done()

    run(scenario())


def test_who_has_nothing_to_send_keeps_nobody_waiting() -> None:
    """A hundred silent clients and one with a line, behind them, when the broker comes back."""

    async def scenario() -> None:
        publisher = Queue()
        intake = Intake(cast("Publisher", publisher), Totals())
        intake.send("full", parsed(4))
        contents = [Pipe() for _ in range(101)]
        uploads = [Upload(content, body_of(), intake, str(n)) for n, content in enumerate(contents)]
        running = [asyncio.create_task(upload.run()) for upload in uploads]
        contents[-1].blocks += [event(1) + b"\n", b""]
        await soon()
        assert not any(content.asked for content in contents), "nobody reads while there is no room"
        publisher.acknowledge(publisher.tickets[0])
        intake._settle()  # pyright: ignore[reportPrivateUsage]
        for _ in range(50):
            await soon()
        assert all(content.asked for content in contents)
        assert running[-1].done()
        assert uploads[-1].whole
        assert publisher.records[-1] == ("100", 1, event(1))
        for task in running:
            task.cancel()

    run(scenario())


class Pipe:
    """A body whose blocks are given, and whose client is silent after them."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.asked = False

    async def readany(self) -> bytes:
        """The next block."""
        self.asked = True
        while not self.blocks:
            await asyncio.Event().wait()
        return self.blocks.pop(0)

    def read_nowait(self) -> bytes:
        """Nothing has come."""
        return b""

    def at_eof(self) -> bool:
        """It never ends by itself."""
        return False

    def exception(self) -> BaseException | None:
        """Nothing went wrong."""
        return None


def test_dead_letters_take_room_too() -> None:
    """A client that sends nothing but bad lines is held up as any other."""

    async def scenario() -> None:
        publisher = Queue()
        intake = Intake(cast("Publisher", publisher), Totals())
        large = Rejected(1, b"x" * (600 << 10), "too bad")
        intake.send("bad", Parsed([], [], [], [large]))
        assert not intake.has_room

    run(scenario())


def test_a_refusal_of_the_broker_is_told_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """To who waits for room, for an answer, and to who comes later; what was acknowledged stays counted."""
    monkeypatch.setattr(module, "PUMP_S", 0)

    async def scenario() -> None:
        publisher, totals = Queue(), Totals()
        intake = Intake(cast("Publisher", publisher), totals)
        ticket = intake.send("c", parsed(8))
        ticket.records_left = 5
        waiting = [asyncio.create_task(intake.room()), asyncio.create_task(intake.acknowledged(ticket))]
        await soon()
        publisher.failure = StreamgaugeError("Kafka refused")
        await intake.pump()
        assert publisher.abandoned
        for task in waiting:
            with pytest.raises(StreamgaugeError, match="Kafka refused"):
                await task
        with pytest.raises(StreamgaugeError, match="Kafka refused"):
            await intake.room()
        with pytest.raises(StreamgaugeError, match="Kafka refused"):
            intake.send("d", parsed(1))
        assert totals.accepted == 3

    run(scenario())
