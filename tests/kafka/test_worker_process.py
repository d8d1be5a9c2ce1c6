"""The worker over real processes that only pretend to be engines: how they start, fail, stop and die. No broker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ops.worker import parent, process
from ops.worker.lock import IdInUse, WorkerLock
from ops.worker.order import Order
from ops.worker.parent import Plan, Worker
from ops.worker.process import EngineProcess, GaveUp
from ops.worker.reach import any_answers
from ops.worker.restarts import LIMIT, Restarts
from schemas.errors import StreamgaugeError
from tests import waiting

PRETEND = """
import json, os, signal, sys
order = json.loads(sys.stdin.buffer.readline())
how = sys.argv[1]
def tell(state, reason="", final=False):
    os.write(1, json.dumps({"state": state, "reason": reason, "final": final}).encode() + b"\\n")
if how == "doubt":
    tell("failed", "doubt about state")
    os._exit(70)
if how == "final":
    tell("failed", "input lost", True)
    os._exit(1)
if how == "babbling":
    os.write(1, b"what a library prints\\n")
signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "deaf" else lambda *_: os._exit(3 if how == "sloppy" else 0))
os.makedirs(order["state_dir"], exist_ok=True)
tell("ready")
if sys.stdin.buffer.read() == b"":
    os.rmdir(order["state_dir"])
"""


async def _yes() -> bool:
    return True


async def _no() -> bool:
    return False


def command(how: str) -> list[str]:
    return [sys.executable, "-S", "-c", PRETEND, how]


def engine(how: str, path: Path, broker_answers: Callable[[], Awaitable[bool]] = _yes) -> EngineProcess:
    return EngineProcess(
        Order("sites", "w", "w-0", os.getpid(), {}, path / "state"),
        listener=None,
        inherit=[],
        broker_answers=broker_answers,
        changed=lambda: None,
        command=command(how),
        restarts=Restarts(first_s=0.001),
    )


def plan(data: Path, *, processes: int = 1) -> Plan:
    order = Order("", "", "", 0, {"bootstrap.servers": "127.0.0.1:1"}, Path())
    return Plan("w", data, ["sites"], processes, None, None, order)


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(waiting.until, condition)


def test_a_killed_engine_starts_again(tmp_path: Path) -> None:
    """After ``kill -9`` it is ready again, as another process."""

    async def story() -> None:
        it = engine("good", tmp_path)
        running = asyncio.create_task(it.keep_running())
        await until(lambda: it.state == "ready")
        first = it.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: it.state == "ready" and it.pid != first)
        assert it.starts == 2
        it.stop()
        await running
        assert it.state == "stopped"

    asyncio.run(story())


def test_ten_failures_in_a_row_end_with_the_reason(tmp_path: Path) -> None:
    """The reason is the engine's own last word."""
    it = engine("doubt", tmp_path)
    with pytest.raises(GaveUp, match="sites engine w-0 failed 10 times in a row; the last time: doubt about state"):
        asyncio.run(it.keep_running())
    assert it.starts == LIMIT


def test_failures_without_a_broker_go_on_for_ever(tmp_path: Path) -> None:
    """More than ten, and it still starts again."""

    async def story() -> None:
        it = engine("doubt", tmp_path, broker_answers=_no)
        running = asyncio.create_task(it.keep_running())
        await until(lambda: it.starts > LIMIT)
        it.stop()
        await running

    asyncio.run(story())


def test_what_no_restart_mends_ends_at_once(tmp_path: Path) -> None:
    """One start, and the reason."""
    it = engine("final", tmp_path)
    with pytest.raises(GaveUp, match="sites engine w-0: input lost"):
        asyncio.run(it.keep_running())
    assert it.starts == 1


def test_an_engine_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that is not followed ends in ``kill -9`` and an error."""
    monkeypatch.setattr(process, "STOP_S", 0.05)

    async def story() -> None:
        it = engine("deaf", tmp_path)
        running = asyncio.create_task(it.keep_running())
        await until(lambda: it.state == "ready")
        it.stop()
        with pytest.raises(StreamgaugeError, match="did not stop within"):
            await running

    asyncio.run(story())


def test_an_engine_that_stops_badly_is_an_error(tmp_path: Path) -> None:
    """An exit code at the end says that its last epoch may not be committed."""

    async def story() -> None:
        it = engine("sloppy", tmp_path)
        running = asyncio.create_task(it.keep_running())
        await until(lambda: it.state == "ready")
        it.stop()
        with pytest.raises(StreamgaugeError, match="ended with exit code 3 while it was stopping"):
            await running

    asyncio.run(story())


def test_what_cannot_be_read_as_a_report_is_no_report(tmp_path: Path) -> None:
    """A line of a library among the reports stops nothing."""

    async def story() -> None:
        it = engine("babbling", tmp_path)
        running = asyncio.create_task(it.keep_running())
        await until(lambda: it.state == "ready")
        it.stop()
        await running

    asyncio.run(story())


def test_engines_end_with_a_worker_that_was_killed(tmp_path: Path) -> None:
    """The end of its stdin tells an engine that its worker is gone."""
    source = (
        "import asyncio, sys; from pathlib import Path; from ops.worker.order import Order; "
        "from ops.worker.parent import Plan, Worker; "
        "order = Order('', '', '', 0, {'bootstrap.servers': '127.0.0.1:1'}, Path()); "
        "asyncio.run(Worker(Plan('w', Path(sys.argv[1]), ['sites'], 1, None, None, order), sys.argv[2:]).run())"
    )
    worker = subprocess.Popen([sys.executable, "-c", source, str(tmp_path), *command("good")])
    state_dir = tmp_path / "workers" / "w" / "w-0" / "sites"

    async def story() -> None:
        await until(state_dir.exists)
        worker.kill()
        worker.wait()
        with WorkerLock(tmp_path, "w"):  # the next worker waits for it, where a living worker's id would be refused
            pass
        assert not state_dir.exists()

    asyncio.run(story())


def test_an_id_in_use_names_the_pid(tmp_path: Path) -> None:
    """The second worker of one id and data directory is told who the first one is."""
    with WorkerLock(tmp_path, "w"):
        with pytest.raises(IdInUse, match=f"worker id 'w' is in use by process {os.getpid()} on this machine"):
            asyncio.run(Worker(plan(tmp_path)).run())
        with WorkerLock(tmp_path, "v"):
            pass
    with WorkerLock(tmp_path, "w"):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_all_engines_and_ends_well(number: signal.Signals, tmp_path: Path) -> None:
    """Two engines, ready, stopped by one signal; Ctrl-C is known apart."""

    async def story() -> None:
        worker = Worker(plan(tmp_path, processes=2), command("good"))
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.engines and not worker.not_ready)
        os.kill(os.getpid(), number)
        await running
        assert worker.interrupted == (number == signal.SIGINT)
        assert [it.state for it in worker.engines] == ["stopped", "stopped"]
        assert worker.not_ready == "the worker is stopping"

    asyncio.run(story())


def test_signals_that_come_together_are_one(tmp_path: Path) -> None:
    """`timeout` and others send theirs to the process and to its group: nobody is impatient."""

    async def story() -> None:
        worker = Worker(plan(tmp_path), command("good"))
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.engines and not worker.not_ready)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
        await running

    asyncio.run(story())


def test_a_second_signal_after_a_while_ends_an_engine_that_does_not_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and the message says so."""
    monkeypatch.setattr(parent, "IMPATIENT_S", 0.0)

    async def story() -> None:
        worker = Worker(plan(tmp_path), command("deaf"))
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.engines and not worker.not_ready)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: worker.stopping)
        os.kill(os.getpid(), signal.SIGTERM)
        await running

    with pytest.raises(StreamgaugeError, match="w-0 was still stopping when a second signal came and was killed"):
        asyncio.run(story())


def test_an_engine_that_gave_up_ends_the_worker(tmp_path: Path) -> None:
    """The others are stopped well, and the reason is the worker's."""
    with pytest.raises(GaveUp, match="input lost"):
        asyncio.run(Worker(plan(tmp_path), command("final")).run())


def test_a_broker_answers_when_any_of_them_takes_a_connection() -> None:
    """One dead address among two is no outage; none alive is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert asyncio.run(any_answers(f"127.0.0.1:1, PLAINTEXT://127.0.0.1:{port}"))
    assert not asyncio.run(any_answers(f"127.0.0.1:{port},nonsense"))
