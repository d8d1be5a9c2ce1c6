"""``streamgauge worker [STREAM…]``: keep the summaries of streams up to date."""

from __future__ import annotations

import click

from ops.counting import COUNTING, counting
from ops.options import STREAM, Command, command_options
from ops.settings import (
    ADVERTISE,
    DATABASE,
    EPOCH,
    HTTP,
    ID,
    LEAVE,
    MEMORY,
    PROCESSES,
    SKIP_LOST,
    STANDBYS,
    Settings,
)

INTERRUPTED = 130
FILES = 65_536
"""A partition takes 14: the connections and pipes of its producer."""


@click.command(cls=Command)
@click.argument("streams", metavar="[STREAM]...", nargs=-1, type=STREAM)
@command_options(
    ID,
    PROCESSES,
    EPOCH,
    STANDBYS,
    HTTP,
    ADVERTISE,
    MEMORY,
    SKIP_LOST,
    DATABASE,
    LEAVE,
    *COUNTING,
)
def command(settings: Settings, streams: tuple[str, ...]) -> int:
    """Keep the summaries of streams up to date.

    Counts what arrives in the STREAMs (default: all) and publishes their summaries, until SIGTERM or Ctrl-C.
    Logs "ready" when all of its partitions are restored. A broker that cannot be reached is waited for. SIGTERM:
    the epoch is finished and committed, exit 0 within 10 s; Ctrl-C: the same, exit 130. The same command goes on.
    """
    import asyncio
    import logging
    import sys
    from pathlib import Path

    from ops import console
    from ops.registry import names
    from ops.worker import logs
    from ops.worker.order import Order
    from ops.worker.parent import Plan, Worker
    from producers.files import files_allowed

    files_allowed(FILES)  # its engine processes inherit it
    style: logs.Style = "json"
    if sys.stderr.isatty():
        style = "color" if console.wants_color(sys.stderr) else "plain"
    level = logging.WARNING if settings.quiet else logging.DEBUG if settings.verbose else logging.INFO
    logs.set_up(style, level, {})
    http, advertise = settings[HTTP], settings[ADVERTISE]
    worker = Worker(
        Plan(
            worker=settings[ID],
            data=settings.data.absolute(),
            streams=list(dict.fromkeys(streams)) or list(names()),
            processes=settings[PROCESSES],
            http=http,
            advertise=str(advertise) if advertise else None,
            order=Order(
                stream="",
                worker="",
                instance="",
                pid=0,
                kafka=settings.kafka,
                state_dir=Path(),
                counting=counting(settings),
                epoch_s=settings[EPOCH] / 1000,
                standbys=settings[STANDBYS],
                memory_bytes=settings[MEMORY],
                skip_lost=settings[SKIP_LOST],
                database=settings[DATABASE],
                leave=settings[LEAVE],
                log_style=style,
                log_level=level,
                debug=settings.debug,
            ),
        )
    )
    asyncio.run(worker.run())
    return INTERRUPTED if worker.interrupted else 0
