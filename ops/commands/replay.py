"""``streamgauge replay STREAM PATH…``: files, directories and stdin into a stream's input topic.

Its parts: `producers.replay` reads files once, `producers.follow` reads growing ones, `producers.publisher` sends,
`producers.processed` waits for a worker. Here they are put together, and what came of it is told.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from ops import console
from ops.options import DURATION, STREAM, Command, Number, command_options
from ops.outcome import Outcome, run, tell
from ops.outcome import wait as wait_for
from ops.settings import PARTITIONS, REPLICATION, Settings
from ops.suggest import did_you_mean
from ops.units import format_duration
from schemas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.registry import Stream
    from producers.follow import Follow
    from producers.interrupt import Interrupt
    from producers.publisher import Publisher
    from producers.replay import Replay

STALLED_S = 5.0
"""After how long without an acknowledgement the progress says that the broker is waited for."""


@click.command(cls=Command)
@click.argument("stream", type=STREAM)
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--rate", metavar="N", type=Number(min=0, min_open=True), help="Records a second, evenly paced.")
@click.option("--follow", is_flag=True, help="Send what is written to the files, through rotation, until interrupted.")
@click.option(
    "--wait", is_flag=True, help="Return when a worker has counted everything and its summaries are readable."
)
@click.option("--timeout", metavar="DURATION", type=DURATION, help="How long --wait waits.  [default: 10m]")
@click.option("--op", metavar="ingest|update|delete", help="What the rows are to do (products).  [default: ingest]")
@click.option("--from-line", metavar="N", type=click.IntRange(min=1), help="Begin at line N of the first PATH.")
@command_options
def command(
    settings: Settings,
    stream: str,
    paths: tuple[str, ...],
    rate: float | None,
    follow: bool,
    wait: bool,
    timeout: int | None,
    op: str | None,
    from_line: int | None,
) -> int:
    """Send files into a stream.

    PATHs are sent in the order given: files (.gz and .zst too), directories (their files by name), - for stdin.
    Each record is accepted, or rejected to the dead letters; exit code 3 says that some were.
    """
    if follow and (wait or from_line or "-" in paths):
        raise UsageError("--follow goes with files and directories only, and not with --wait or --from-line")
    packed = [path for path in paths if path.endswith((".gz", ".zst")) and not Path(path).is_dir()]
    if follow and packed:
        raise UsageError(f"{packed[0]} is packed, and packed files are not followed; replay it without --follow")
    if timeout is not None and not wait:
        raise UsageError("--timeout says how long --wait waits; give both or none")
    from ops.registry import stream as stream_of

    chosen = stream_of(stream)
    ops = chosen.schema.csv.ops if chosen.schema.csv else ()
    if op is not None and ops and op not in ops:
        raise UsageError(f"no such operation {op!r}{did_you_mean(op, ops, otherwise_list=True)}")
    job = _Job(settings, chosen, op, rate, ["--wait"] if wait else [], timeout)
    outcome = job.follow(paths) if follow else job.replay(paths, from_line or 1, wait)
    return tell(settings, stream, outcome)


class _Job:
    """One run of the command."""

    def __init__(
        self,
        settings: Settings,
        stream: Stream,
        op: str | None,
        rate: float | None,
        words: list[str],
        timeout: int | None,
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._rate = rate
        self._timeout_s = (600_000 if timeout is None else timeout) / 1000
        self._schema = stream.schema.with_op(op)
        given = [*words] if op is None else ["--op", op, *words]
        if timeout is not None:
            given += ["--timeout", format_duration(timeout)]
        if rate is not None:
            given += ["--rate", f"{rate:g}"]
        self._words = ["streamgauge", "replay", *settings.given, stream.name, *given]

    def replay(self, paths: Sequence[str], from_line: int, wait: bool) -> Outcome:
        """Send the paths once."""
        from producers.interrupt import Interrupt
        from producers.processed import Processed
        from producers.replay import Replay

        interrupt = Interrupt()
        replay = Replay(paths, self._read(), interrupt, from_line=from_line)
        if replay.ignored:
            count, where = sum(replay.ignored.values()), ", ".join(replay.ignored)
            files = "1 file" if count == 1 else f"{count} files"
            console.say(f"ignored {files} in {where}: not named as the files of {self._stream.name} are")
        self._ensure()
        topics = self._stream.schema.topics
        processed = Processed(self._settings.kafka, topics, self._logger()) if wait else None
        with interrupt:
            progress = console.Progress("sending", replay.total_bytes, "bytes")
            tick = _Throttled(lambda: progress.set(replay.read_bytes, note=_note(publisher, replay, tick.started)))
            publisher = self._publisher(interrupt, tick)
            with progress:
                outcome = run(lambda: replay.run(self._sender(publisher, interrupt)), publisher, interrupt)
            resume = replay.resume
            outcome.seconds = monotonic() - tick.started
            _count(outcome, replay, publisher)
            if resume is not None and (outcome.failure or outcome.interrupted):
                line = ["--from-line", str(resume.line)] if resume.line > 1 else []
                outcome.go_on = shlex.join([*self._words, *line, *_as_arguments(resume.paths)])
            elif processed is not None and outcome.failure is None and not outcome.interrupted:
                wait_for(processed, publisher, interrupt, self._timeout_s, outcome)
            return outcome

    def follow(self, paths: Sequence[str]) -> Outcome:
        """Send the paths as they grow."""
        from producers.follow import Follow
        from producers.interrupt import Interrupt
        from producers.positions import Positions

        # Positions hold for one cluster: what another was sent, or this one before it was wiped, says nothing.
        cluster = self._ensure()
        positions = Positions(self._settings.data / "follow" / cluster / self._stream.name)
        with Interrupt() as interrupt:
            progress = console.Progress("following", None, "records")

            def seen() -> None:
                progress.set(follow.ledger.accepted, note=_note(publisher, follow, None))
                publisher.spans.clear()  # nobody waits for a worker here, and they would add up for ever

            tick = _Throttled(seen)
            publisher = self._publisher(interrupt, tick)
            follow = Follow(
                paths, self._sender(publisher, interrupt), self._read(), positions, interrupt, notice=console.say
            )
            with progress:
                outcome = run(lambda: follow.run(publisher.rest), publisher, interrupt)
            follow.close()
            outcome.seconds = monotonic() - tick.started
            _count(outcome, follow, publisher)
            outcome.go_on = shlex.join([*self._words, "--follow", *_as_arguments(paths)])
            return outcome

    def _ensure(self) -> str:
        """See that the topics are there; the cluster's id."""
        from ops.kafka import answered, connect
        from ops.topics import ensure

        settings = self._settings
        admin: Any = connect(settings.kafka)
        ensure(settings.kafka, self._stream.schema, settings[PARTITIONS], settings[REPLICATION], admin=admin)
        return answered(lambda: admin.list_topics(timeout=10)).cluster_id

    def _read(self) -> Any:
        from producers.formats import format_of

        return format_of(self._schema, self._stream.lines)

    def _logger(self) -> Any:
        from ops.kafka import client_logger

        return client_logger()

    def _publisher(self, interrupt: Interrupt, tick: Callable[[], None]) -> Publisher:
        from producers.publisher import Publisher

        topics = self._stream.schema.topics
        return Publisher(self._settings.kafka, topics, self._logger(), tick=tick, stop=lambda: interrupt.asked)

    def _sender(self, publisher: Publisher, interrupt: Interrupt) -> Any:
        from producers.pace import Pace
        from producers.sender import Sender

        return Sender(publisher, interrupt, Pace(self._rate) if self._rate else None)


class _Throttled:
    """Calls something ten times a second, however often it is called itself."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.started = monotonic()
        self._action = action
        self._next = self.started

    def __call__(self) -> None:
        now = monotonic()
        if now >= self._next:
            self._next = now + 0.1
            self._action()


def _count(outcome: Outcome, work: Replay | Follow, publisher: Publisher) -> None:
    outcome.accepted = work.ledger.accepted
    outcome.rejected = work.ledger.rejected
    outcome.nbytes = work.ledger.nbytes
    outcome.letters = list(publisher.letters)


def _note(publisher: Publisher, work: Replay | Follow, started: float | None) -> str:
    """What the progress says beside the bytes."""
    if publisher.stalled_s > STALLED_S:
        return f"no answer from the broker for {publisher.stalled_s:.0f} s, waiting (what it acknowledged is kept)"
    if started is None:
        return f"{work.ledger.rejected:,} rejected"
    return f"{work.ledger.accepted / max(monotonic() - started, 0.001):,.0f} records/s"


def _as_arguments(paths: Sequence[str]) -> list[str]:
    """Paths as words, also where one looks like an option."""
    return [path if path == "-" or not path.startswith("-") else f"./{path}" for path in paths]
