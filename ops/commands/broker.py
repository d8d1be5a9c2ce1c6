"""``streamgauge broker start|stop|status|logs``: the local Kafka of a data directory.

``start`` prints the address once clients are accepted and leaves the broker running; the rest goes to stderr:

    address=$(streamgauge broker start --port 19092)
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ops.console import flush, say, write
from ops.options import Group, command_options
from ops.settings import Settings
from schemas.errors import StreamgaugeError

if TYPE_CHECKING:
    from ops.broker import LocalBroker, Record, Status

PORT = 9092
FOLLOW_EVERY_S = 0.2
PIECE_BYTES = 1 << 16
STOPPED_BY_SIGTERM = 128 + signal.SIGTERM
"""How the JVM ends after an orderly stop that a signal asked for."""


class Terminated(BaseException):
    """SIGTERM came while the broker ran in the foreground."""


@click.group(cls=Group)
def command() -> None:
    """A local Apache Kafka, without Docker and without an installed Java."""


@command.command()
@click.option("--port", type=click.IntRange(1, 65535), help=f"Where clients connect, on loopback.  [default: {PORT}]")
@click.option("--foreground", is_flag=True, help="Stay, and stop the broker at the end, however this process ends.")
@command_options
def start(settings: Settings, port: int | None, foreground: bool) -> int:
    """Start the broker; its address is printed when it accepts clients."""
    from ops.broker import LocalBroker

    found = LocalBroker(settings.data).status()
    earlier = found.record if found.state != "died" else None
    broker = LocalBroker(settings.data, port or (earlier.port if earlier else PORT))
    if foreground:
        return _stay(settings, broker)
    began = time.monotonic()
    record = broker.start()
    if record == earlier:
        say(f"the local broker runs already: pid {record.pid}, data {settings.data}")
    else:
        _say_ready(settings, record, began)
    _result(settings, _shown(settings.data, "running", record), record.bootstrap)
    return 0


@command.command()
@click.option("--wipe", is_flag=True, help="Remove its topics, groups and logs, too.")
@command_options
def stop(settings: Settings, wipe: bool) -> int:
    """Stop the broker of --data; it is fine when none runs."""
    from ops.broker import LocalBroker

    was_running = LocalBroker(settings.data).stop(wipe=wipe)
    what = "the local broker is stopped" if was_running else "no local broker was running"
    say(f"{what}{', its data removed' if wipe else ''}: {settings.data}")
    kept = settings.data / "workers"
    if wipe and kept.is_dir() and any(kept.iterdir()):
        # A worker of another broker may have its state there, too, so nothing of it is removed here.
        say(f"{kept} is left: what workers kept there of the removed topics is never read again; delete it to free it")
    if settings.json:
        write(json.dumps({"stopped": was_running, "wiped": wipe, "data": str(settings.data)}) + "\n")
    return 0


@command.command()
@command_options
def status(settings: Settings) -> int:
    """Say whether a broker runs on --data, and where."""
    from ops.broker import LocalBroker

    found = LocalBroker(settings.data).status()
    shown = _shown(settings.data, found.state, found.record, found.reason)
    _result(settings, shown, _sentence(settings.data, found))
    return 0


@command.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on.")
@command_options
def logs(settings: Settings, follow: bool) -> int:
    """Print the log of the broker of --data."""
    from ops.broker.home import Home

    log = Home(settings.data).server_log
    if not log.exists():
        raise StreamgaugeError(f"no broker has logged below {settings.data}; start one: streamgauge broker start")
    for piece in _pieces(log, follow=follow):
        write(piece)
        flush()
    return 0


def _stay(settings: Settings, broker: LocalBroker) -> int:
    """Run the broker until it, or this process, is asked to stop."""
    began = time.monotonic()
    with _stopped_at_the_end(broker):
        record = broker.start(foreground=True)
        _say_ready(settings, record, began)
        _result(settings, _shown(settings.data, "running", record), record.bootstrap)
        flush()
        code = broker.wait()
    if code in {0, STOPPED_BY_SIGTERM}:
        return 0
    reason = broker.status().reason
    raise StreamgaugeError(
        f"the local broker ended by itself{f': {reason}' if reason else f' (exit code {code})'}; "
        "see: streamgauge broker logs"
    )


@contextmanager
def _stopped_at_the_end(broker: LocalBroker) -> Generator[None]:
    """Stop the broker when the block is interrupted (which goes on up) or terminated (which ends here)."""

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except (KeyboardInterrupt, Terminated) as end:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        broker.stop()
        say(f"the local broker is stopped: {broker.home.data}")
        if isinstance(end, KeyboardInterrupt):
            raise
        raise click.exceptions.Exit(0) from end
    finally:
        signal.signal(signal.SIGTERM, before)


def _say_ready(settings: Settings, record: Record, began: float) -> None:
    took = time.monotonic() - began
    say(f"Apache Kafka {record.version} is ready after {took:.1f} s: pid {record.pid}, data {settings.data}")


def _result(settings: Settings, shown: dict[str, Any], text: str) -> None:
    write((json.dumps(shown) if settings.json else text) + "\n")


def _shown(data: Path, state: str, record: Record | None, reason: str | None = None) -> dict[str, Any]:
    return {
        "state": state,
        "bootstrap": record.bootstrap if record else None,
        "pid": record.pid if record else None,
        "version": record.version if record else None,
        "started": round(record.started, 3) if record else None,
        "data": str(data),
        "reason": reason,
    }


def _sentence(data: Path, found: Status) -> str:
    if found.state == "running" and found.record:
        since = datetime.fromtimestamp(found.record.started).astimezone().isoformat(" ", "seconds")
        return (
            f"running at {found.record.bootstrap}: Apache Kafka {found.record.version}, pid {found.record.pid}, "
            f"since {since}, data {data}"
        )
    if found.state == "died":
        reason = found.reason or "killed, or the machine went down"
        return f"not running: it ended by itself ({reason}); data {data}; start it again: streamgauge broker start"
    return f"{'starting or stopping' if found.state == 'starting' else 'not running'}: data {data}"


def _pieces(path: Path, *, follow: bool) -> Iterator[bytes]:
    """The bytes of a log file; with ``follow`` also those to come, through its rotation."""
    file = path.open("rb")
    try:
        while True:
            while piece := file.read(PIECE_BYTES):
                yield piece
            if not follow:
                return
            if path.exists() and not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                file.close()
                file = path.open("rb")
            else:
                time.sleep(FOLLOW_EVERY_S)
    finally:
        file.close()
