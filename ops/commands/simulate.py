"""``streamgauge simulate STREAM``: synthetic input in the stream's own file format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import console
from ops.options import STREAM, Command, Number, SettingType, command_options
from ops.settings import HTTP, Address, Settings
from schemas.errors import UsageError

if TYPE_CHECKING:
    from producers.simulate import Scenario

SHARE = Number(0, 1)
ADDRESS = SettingType(HTTP)
INTERRUPTED = 130


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
@click.option(
    "--serve", "address", metavar="HOST:PORT", type=ADDRESS,
    help="Serve the paged API of items instead, until interrupted; the address is printed. --bad: share of faults.",
)  # fmt: skip
@click.option(
    "--pages", metavar="DIR", type=click.Path(), help="What --serve serves: recorded pages, instead of synthetic ones."
)
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
    address: Address | None,
    pages: str | None,
) -> int | None:
    """Make synthetic input of a stream.

    In the stream's own file format; the same options give the same bytes.
    """
    del settings
    from producers.simulate import Scenario, simulate
    from producers.simulate.output import output

    scenario = Scenario(events, keys, seed, disorder, duplicates, bad)
    if address is not None:
        if stream != "items":
            raise UsageError(f"--serve serves the paged API of items; {stream} has none")
        return _serve(address, pages, scenario)
    if pages is not None:
        raise UsageError("--pages says what --serve serves; give both")
    blocks = simulate(stream, scenario)
    with output(path) as file, console.Progress("simulating", events, "lines") as progress:
        for block in blocks:
            file.write(block)
            progress.advance(block.count(b"\n"))
    return None


def _serve(address: Address, pages: str | None, scenario: Scenario) -> int:
    """Serve the paged API until somebody interrupts."""
    import asyncio

    from producers.interrupt import SIGNALS
    from producers.simulate.api import Faults, serving
    from producers.simulate.items import Synthetic
    from producers.simulate.recorded import recorded

    catalogue = Synthetic(scenario) if pages is None else recorded(pages)
    faults = Faults(scenario.bad, scenario.seed)

    async def serve() -> None:
        async with serving(catalogue, *address, faults.of) as url:
            console.write(url + "\n")
            console.flush()
            console.say(f"serving items at {url} (Ctrl-C ends it)")
            interrupted = asyncio.Event()
            for number in SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
            await interrupted.wait()

    asyncio.run(serve())
    return INTERRUPTED
