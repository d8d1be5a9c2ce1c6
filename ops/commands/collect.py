"""``streamgauge collect``: records over HTTP into the streams' input topics.

Its parts are those of `producers.collect`; here they are put together, and what came of it is told.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import LISTEN, MAX_BODY, PARTITIONS, REPLICATION, TOKEN, TOKEN_FILE, Settings

if TYPE_CHECKING:
    from producers.collect.server import Collector, Opened
    from producers.interrupt import Interrupt

LOOK_EVERY_S = 0.1


@click.command(cls=Command)
@command_options(LISTEN, TOKEN, TOKEN_FILE, MAX_BODY)
def command(settings: Settings) -> int:
    r"""Take records in over HTTP.

    POST /streams/STREAM with JSON lines as the body (also /sessions; gzip and zstd by Content-Encoding). A body may be
    of any length and stay open for hours; when the broker is slow, it is read no further. Each line that the answer
    counts is acknowledged by the broker; bad lines are dead letters. GET /live and /ready tell how the server is.

    \b
        curl -X POST -T events.jsonl http://127.0.0.1:8080/streams/sites
        {"accepted": 8, "rejected": 0, "errors": []}

    Ctrl-C and SIGTERM answer what is open, and end.
    """
    from ops.kafka import connect
    from ops.outcome import Outcome, tell_each
    from producers.collect.server import Collector
    from producers.collect.tokens import Tokens, read_tokens
    from producers.interrupt import Interrupt

    file = settings[TOKEN_FILE]
    tokens = Tokens([*settings[TOKEN], *(read_tokens(file) if file is not None else ())])
    connect(settings.kafka)
    with Interrupt() as interrupt:
        started = monotonic()
        collector = Collector(
            _names(), lambda name: _open(settings, name, interrupt), tokens, settings[MAX_BODY],
            notice=console.warn, detail=console.detail,
        )  # fmt: skip
        _run(collector, settings, bool(tokens), interrupt)
        seconds = monotonic() - started
    outcomes = {
        name: Outcome(totals.accepted, totals.rejected, totals.nbytes, seconds, totals.letters)
        for name, totals in collector.totals.items()
    }
    return tell_each(settings, outcomes, interrupted=not interrupt.terminated)


def _names() -> tuple[str, ...]:
    from ops.registry import names

    return names()


def _open(settings: Settings, name: str, interrupt: Interrupt) -> Opened:
    """See that a stream's topics are there, and make its publisher."""
    from confluent_kafka import KafkaException

    from ops.kafka import client_logger, translate
    from ops.registry import stream as stream_of
    from ops.topics import ensure
    from producers.collect.server import Opened
    from producers.jsonl import json_lines
    from producers.publisher import Publisher

    stream = stream_of(name)
    try:
        ensure(settings.kafka, stream.schema, settings[PARTITIONS], settings[REPLICATION])
        publisher = Publisher(settings.kafka, stream.schema.topics, client_logger(), stop=lambda: interrupt.asked)
    except KafkaException as error:
        raise translate(error) from error
    return Opened(json_lines(stream.schema), "" if stream.lines == "jsonl" else "jsonl", publisher)


def _run(collector: Collector, settings: Settings, guarded: bool, interrupt: Interrupt) -> None:
    """Serve until somebody interrupts; a second time ends it at once."""
    import uvloop

    async def serve() -> None:
        address = settings[LISTEN]
        host, port = await collector.serve(*address)
        shown = address._replace(host=host or "0.0.0.0", port=port)  # noqa: S104 (that is what no host means)
        console.say(f"collecting at http://{shown}/streams/STREAM (Ctrl-C ends it)")
        if not guarded and host not in {"127.0.0.1", "::1", "localhost"}:
            console.warn("anybody who can reach it may send: no --token was given")
        with console.Progress("collecting", None, "records") as progress:
            while not interrupt.asked:
                await asyncio.sleep(LOOK_EVERY_S)
                totals = collector.totals.values()
                rejected = sum(each.rejected for each in totals)
                progress.set(
                    sum(each.accepted for each in totals), note=f"{rejected:,} rejected  {collector.bodies:,} open"
                )
        await collector.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
