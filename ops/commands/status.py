"""``streamgauge status``: brokers, workers, partitions with owner and lag, dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import Settings

if TYPE_CHECKING:
    from ops.overview import Overview, Part, StreamView, WorkerView

EVERY_S = 2.0


@click.command(cls=Command)
@click.option("--watch", is_flag=True, help=f"Look again every {EVERY_S:g} s, until Ctrl-C.")
@command_options
def command(settings: Settings, watch: bool) -> None:
    """Brokers, partitions, owners, lag.

    LAG counts input records that are not counted yet, BEHIND is the age of the oldest of them. An owner that does
    not answer is shown as such until another worker takes its partitions over.
    """
    import sys
    import time

    from confluent_kafka import KafkaException

    from ops.kafka import connect
    from ops.overview import overview
    from ops.registry import streams
    from schemas.errors import StreamgaugeError

    schemas = [stream.schema for stream in streams().values()]
    admin = connect(settings.kafka)
    _show(settings, overview(settings.kafka, admin, schemas))
    while watch:
        time.sleep(EVERY_S)
        try:
            seen = overview(settings.kafka, admin, schemas)
        except (KafkaException, StreamgaugeError) as error:
            console.warn(f"{time.strftime('%H:%M:%S')} {error}")
            continue
        if sys.stdout.isatty() and not settings.json:
            console.write("\x1b[H\x1b[2J")
        _show(settings, seen)


def _show(settings: Settings, seen: Overview) -> None:
    if settings.json:
        import json
        from dataclasses import asdict

        console.write(json.dumps(asdict(seen), ensure_ascii=False) + "\n")
    else:
        console.write("".join(f"{line}\n" for line in _lines(seen)))
    console.flush()


def _lines(seen: Overview) -> Iterator[str]:
    from ops.columns import columns

    yield f"brokers  {', '.join(seen.brokers)}"
    yield ""
    if seen.workers:
        yield from columns(
            ["WORKER", "STATE", "STREAMS", "HTTP", "HOST", "PID", "RESTARTS"],
            [
                [
                    worker.worker,
                    _said(worker),
                    ",".join(worker.streams),
                    worker.http or "off",
                    worker.host,
                    str(worker.pid),
                    worker.restarts if worker.running and worker.ready is not None else None,
                ]
                for worker in seen.workers
            ],
        )
    else:
        yield "no workers; start one: streamgauge worker"
    there = [stream for stream in seen.streams if stream.partitions]
    if there:
        yield ""
        yield from columns(
            ["STREAM", "PARTITION", "OWNER", "STATE", "LAG", "BEHIND", "RESTORED", "STANDBYS"],
            [_row(stream, part) for stream in there for part in stream.partitions],
        )
        yield ""
        yield from columns(
            ["STREAM", "LAG", "DEAD LETTERS"],
            [[stream.stream, sum(part.lag for part in stream.partitions), _letters(stream)] for stream in there],
        )
    missing = [stream.stream for stream in seen.streams if not stream.partitions]
    if missing:
        yield ""
        yield f"no topics yet: {', '.join(missing)} (streamgauge topics create, or start a worker)"


def _said(worker: WorkerView) -> str:
    """The state of a worker; one with --http off is heard of by its groups, if at all."""
    if not worker.running:
        return "not running" if worker.ready is None else "not answering"
    return "running" if worker.ready is None else "ready" if worker.ready else "not ready"


def _row(stream: StreamView, part: Part) -> list[str | int | None]:
    from ops.units import format_duration

    behind = part.lag_seconds
    return [
        stream.stream,
        part.partition,
        part.owner,
        part.state,
        part.lag,
        None if behind is None else f"{behind:.1f}s" if 0 < behind < 10 else format_duration(round(behind) * 1000),
        None if part.restored is None else f"{part.restored:.0%}",
        ",".join(part.standbys) or None,
    ]


def _letters(stream: StreamView) -> str:
    return f"{'' if stream.dead_letters_exact else 'at most '}{stream.dead_letters:,}"
