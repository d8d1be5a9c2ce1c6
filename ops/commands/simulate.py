"""``streamgauge simulate STREAM``: synthetic input in the stream's own file format."""

from __future__ import annotations

import click

from ops import console
from ops.options import STREAM, Command, command_options
from ops.settings import Settings

SHARE = click.FloatRange(0, 1)


@click.command(cls=Command)
@click.argument("stream", type=STREAM)
@click.option("--events", metavar="N", type=click.IntRange(0), default=100_000, show_default=True, help="Lines in all.")
@click.option(
    "--keys",
    metavar="K",
    type=click.IntRange(1, 10_000_000),
    default=1_000,
    show_default=True,
    help="Keys they are about.",
)
@click.option("--seed", metavar="S", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--disorder",
    metavar="SECONDS",
    type=click.IntRange(0, 4_000_000),
    default=0,
    show_default=True,
    help="How many seconds a line may come late.",
)
@click.option(
    "--duplicates", metavar="SHARE", type=SHARE, default=0.0, show_default=True, help="Share of lines sent before."
)
@click.option(
    "--bad", metavar="SHARE", type=SHARE, default=0.0, show_default=True, help="Share of bad records, of every kind."
)
@click.option(
    "-o", "--output", "path", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
    help="Where to; .gz and .zst are packed.  [default: stdout]",
)  # fmt: skip
@command_options
def command(
    settings: Settings,
    stream: str,
    events: int,
    keys: int,
    seed: int,
    disorder: int,
    duplicates: float,
    bad: float,
    path: str | None,
) -> None:
    """Make synthetic input of a stream.

    In the stream's own file format; the same options give the same bytes.
    """
    del settings
    from producers.simulate import Scenario, simulate
    from producers.simulate.output import output

    blocks = simulate(stream, Scenario(events, keys, seed, disorder, duplicates, bad))
    with output(path) as file, console.Progress("simulating", events, "lines") as progress:
        for block in blocks:
            file.write(block)
            progress.advance(block.count(b"\n"))
