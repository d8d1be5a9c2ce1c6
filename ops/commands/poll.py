"""``streamgauge poll items --url URL``: a paged HTTP API into a stream's input topic.

Its parts: `producers.pages` asks for one page until it comes, `producers.gate` paces all requests, `producers.poll`
reads an id range with many readers, `producers.unread` keeps what is left. Here they are put together.
"""

from __future__ import annotations

import shlex
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from ops import console
from ops.options import DURATION, STREAM, Command, Number, command_options
from ops.outcome import Outcome, run, tell, wait
from ops.settings import PARTITIONS, REPLICATION, Settings
from ops.units import format_duration
from schemas.errors import UsageError

if TYPE_CHECKING:
    from producers.interrupt import Interrupt
    from producers.poll import Poll
    from producers.publisher import Publisher
    from producers.unread import State, Unread

GREATEST_ID = 2**63 - 2
SAVE_EVERY_S = 0.5
TICK_EVERY_S = 0.1
STALLED_S = 5.0
"""After how long without an acknowledgement the progress says that the broker is waited for."""
STRETCHES = 100
"""Of offsets that are kept of a partition; there are that many only where others write at the same time."""
ID = click.IntRange(0, GREATEST_ID)


@click.command(cls=Command)
@click.argument("stream", type=STREAM)
@click.option("--url", metavar="URL", required=True, help="The endpoint; ?offset=&limit= is added.")
@click.option("--from-id", metavar="A", type=ID, help="The first id, inclusive.  [default: the first one there is]")
@click.option("--to-id", metavar="B", type=ID, help="The last id, inclusive.  [default: the last one there is]")
@click.option(
    "--workers", metavar="N", type=click.IntRange(1, 256), default=8, show_default=True, help="Pages read at a time."
)
@click.option(
    "--rate", metavar="N", type=Number(min=0, min_open=True), default=100.0, show_default=True,
    help="Requests a second in all, repeated ones included, evenly paced.",
)  # fmt: skip
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Items of a page."
)
@click.option(
    "--wait", "waits", is_flag=True, help="Return when a worker has counted everything and its summaries are readable."
)
@click.option("--timeout", metavar="DURATION", type=DURATION, help="How long --wait waits.  [default: 10m]")
@command_options
def command(
    settings: Settings,
    stream: str,
    url: str,
    from_id: int | None,
    to_id: int | None,
    workers: int,
    rate: float,
    limit: int,
    waits: bool,
    timeout: int | None,
) -> int:
    """Read a paged API into a stream.

    The id range is cut into subsets that WORKERS read at the same time. Pages that fail are asked for again, 8 times.
    What was acknowledged is remembered: interrupted or incomplete, the same command goes on; after exit 0 it starts
    anew. Ids that could not be had are told as "missing ids A-B, C-D", exit code 1.
    """
    if stream != "items":
        raise UsageError(f"items are polled; {stream} has no paged API")
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"--url {url!r} is no address of an HTTP server (http://HOST/PATH)")
    if from_id is not None and to_id is not None and from_id > to_id:
        raise UsageError(f"--from-id {from_id} is beyond --to-id {to_id}")
    if timeout is not None and not waits:
        raise UsageError("--timeout says how long --wait waits; give both or none")
    options = {"--url": url, "--from-id": from_id, "--to-id": to_id, "--workers": workers, "--limit": limit}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    given += ["--rate", f"{rate:g}", *(["--wait"] if waits else [])]
    given += [] if timeout is None else ["--timeout", format_duration(timeout)]
    job = _Job(settings, url, from_id, to_id)
    job.again = shlex.join(["streamgauge", "poll", *settings.given, stream, *given])
    return job.run(workers, rate, limit, None if not waits else (600_000 if timeout is None else timeout) / 1000)


class _Job:
    """One run of the command."""

    def __init__(self, settings: Settings, url: str, from_id: int | None, to_id: int | None) -> None:
        self._settings = settings
        self._url = url
        self._from_id = from_id
        self._to_id = to_id
        self.again = ""
        """The command that goes on."""

    def run(self, readers: int, rate: float, limit: int, wait_s: float | None) -> int:
        """Read, and tell; the exit code."""
        import asyncio

        from ops.kafka import client_logger
        from producers.interrupt import Interrupt
        from producers.processed import Processed
        from producers.publisher import Publisher
        from producers.unread import Unread
        from schemas.items import ITEMS

        cluster = self._ensure()
        unread = Unread(self._settings.data / "poll" / cluster / "items", self._url, self._from_id, self._to_id)
        unread.lock()
        kafka, logger = self._settings.kafka, client_logger()
        processed = None if wait_s is None else Processed(kafka, ITEMS.topics, logger)
        with Interrupt() as interrupt:
            publisher = Publisher(kafka, ITEMS.topics, logger, stop=lambda: interrupt.asked)
            reading = _Reading(self, unread, publisher, interrupt, readers)
            outcome = run(lambda: asyncio.run(reading.run(rate, limit)), publisher, interrupt)
            outcome.seconds = monotonic() - reading.started
            missing = reading.finish(outcome)
            if missing is None and outcome.failure is None and not outcome.interrupted and processed is not None:
                wait(processed, publisher, interrupt, wait_s or 0.0, outcome)
        if missing is not None and (outcome.interrupted or outcome.failure is not None):
            outcome.go_on = self.again
        code = tell(self._settings, "items", outcome)
        if outcome.interrupted:
            return code
        if missing is not None:
            console.warn("the same command reads only what is missing")
            console.warn(f"missing ids {missing}")
            return 1
        unread.forget()
        return code

    def begin(self) -> tuple[int, int | None]:
        """The ends that were asked for."""
        return self._from_id or 0, self._to_id

    @property
    def url(self) -> str:
        """The endpoint."""
        return self._url

    def _ensure(self) -> str:
        """See that the topics are there; the cluster's id: what another cluster was sent says nothing here."""
        from ops.kafka import answered, connect
        from ops.topics import ensure
        from schemas.items import ITEMS

        settings = self._settings
        admin: Any = connect(settings.kafka)
        ensure(settings.kafka, ITEMS, settings[PARTITIONS], settings[REPLICATION], admin=admin)
        return answered(lambda: admin.list_topics(timeout=10)).cluster_id


class _Reading:
    """The reading part of a run, with its progress and its position."""

    def __init__(self, job: _Job, unread: Unread, publisher: Publisher, interrupt: Interrupt, readers: int) -> None:
        self.started = monotonic()
        self._job = job
        self._unread = unread
        self._publisher = publisher
        self._interrupt = interrupt
        self._readers = readers
        self._poll: Poll | None = None
        self._saved_at = self._ticked_at = self.started

    async def run(self, rate: float, limit: int) -> None:
        """Read what is missing."""
        import asyncio

        from producers.gate import Gate
        from producers.pages import PageApi
        from producers.poll import Poll
        from producers.ranges import Ranges
        from schemas.items import ITEMS

        gate = Gate(rate)
        async with PageApi(self._job.url, limit=limit, gate=gate) as api:
            state = self._unread.load()
            begun = state is not None
            if state is None:
                looking = asyncio.create_task(self._whole(api))
                while not looking.done():
                    await asyncio.wait([looking], timeout=TICK_EVERY_S)
                    if self._interrupt.asked:
                        looking.cancel()
                        return
                state = looking.result()
            poll = Poll(
                api, self._publisher, ITEMS, Ranges(state.missing), last=state.last, readers=self._readers,
                stop=lambda: self._interrupt.asked,
            )  # fmt: skip
            self._poll = poll
            self._publisher.spans.update(state.sent)
            left = poll.count_left
            if begun and poll.missing:
                what = f"the ids {poll.left}" if left is None else f"{left:,} ids"
                console.say(f"going on: {what} are left")
            total = left or 0
            with console.Progress("polling", total, "ids") as progress:

                def tick() -> None:
                    nonlocal total
                    now = monotonic()
                    if now - self._saved_at >= SAVE_EVERY_S:
                        self._saved_at = now
                        self._unread.save(self._state(poll))
                    if now - self._ticked_at >= TICK_EVERY_S:
                        self._ticked_at = now
                        note, left = self._note(poll, gate.count), poll.count_left
                        if left is None:
                            progress.set(poll.ledger.accepted, note=note)
                        else:
                            total = max(total, left)
                            progress.set(total - left, total=total, note=note)

                await poll.run(tick)

    def finish(self, outcome: Outcome) -> str | None:
        """Keep what is left; what is missing, as text. None: nothing."""
        poll = self._poll
        if poll is None:  # it is not even known what there is
            first, last = self._job.begin()
            return f"{first}-{'' if last is None else last}"
        poll.settle()
        outcome.accepted, outcome.rejected = poll.ledger.accepted, poll.ledger.rejected
        outcome.nbytes, outcome.letters = poll.ledger.nbytes, list(self._publisher.letters)
        if poll.given_up:
            more = len(poll.given_up) - 1
            console.warn(poll.given_up[-1] + (f" (and {more:,} more)" if more else ""))
        self._unread.save(self._state(poll))
        return poll.left or None

    async def _whole(self, api: Any) -> State:
        """Everything that was asked for, at the start."""
        from producers.poll import ANY, ends
        from producers.unread import State
        from schemas.items import ITEMS

        first, last = self._job.begin()
        if last is not None:
            return State([(first, last)], last)
        first, last = await ends(api, first, ITEMS)
        return State([(first, ANY)], last)

    def _state(self, poll: Poll) -> State:
        from producers.unread import State

        sent = {
            partition: stretches if len(stretches) <= STRETCHES else [[stretches[0][0], stretches[-1][1]]]
            for partition, stretches in self._publisher.spans.items()
        }
        return State(poll.missing.spans, poll.last, sent)

    def _note(self, poll: Poll, requests: int) -> str:
        """What the progress says beside the ids."""
        if self._publisher.stalled_s > STALLED_S:
            return f"no answer from the broker for {self._publisher.stalled_s:.0f} s, waiting"
        seconds = max(monotonic() - self.started, 0.001)
        return f"{poll.ledger.accepted / seconds:,.0f} items/s  {requests / seconds:,.1f} requests/s"
