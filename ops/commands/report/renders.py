"""``streamgauge report renders``: how many renders, how long, how much; one bare figure, or a table."""

from __future__ import annotations

from typing import Any

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import Settings
from ops.suggest import did_you_mean

AGGREGATORS = ("avgtime", "avgcpu", "avgram", "maxcpu", "maxram", "summary")


class DayType(click.ParamType):
    """A date of the calendar."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The day, or a usage error."""
        from schemas.renders import is_day

        if not is_day(value):
            self.fail(f"{value!r} is no date; write YYYY-MM-DD", param, ctx)
        return value


class DimensionsType(click.ParamType):
    """Some of a cell's dimensions, each once."""

    name = "dimensions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The words, or a usage error."""
        from ops.reports.renders import DIMENSIONS

        words = tuple(value.split(","))
        for word in words:
            if word not in DIMENSIONS:
                hint = did_you_mean(word, DIMENSIONS, otherwise_list=True)
                self.fail(f"renders cannot be broken down by {word!r}{hint}", param, ctx)
            if words.count(word) > 1:
                self.fail(f"{word!r} is there twice", param, ctx)
        return words


DAY = DayType()


@click.command("renders", cls=Command)
@click.option("--app", metavar="X", help="Only this application.")
@click.option("--renderer", metavar="Y", help="Only this renderer.")
@click.option("--from", "first_day", metavar="DAY", type=DAY, help="The first day, inclusive: YYYY-MM-DD.")
@click.option("--to", "last_day", metavar="DAY", type=DAY, help="The last day, inclusive.")
@click.option("--failed", is_flag=True, help="Include the failed renders.")
@click.option("--avgtime", is_flag=True, help="The mean elapsed time, in seconds.")
@click.option("--avgcpu", is_flag=True, help="The mean of the CPU peaks.")
@click.option("--avgram", is_flag=True, help="The mean of the memory peaks.")
@click.option("--maxcpu", is_flag=True, help="The highest CPU peak.")
@click.option("--maxram", is_flag=True, help="The highest memory peak.")
@click.option("--summary", is_flag=True, help="Five lines: avgtime, avgcpu, avgram, maxram, maxcpu.")
@click.option("--uid", is_flag=True, help="The render that had the highest peak, instead of the peak.")
@click.option("--by", metavar="DIM,…", type=DimensionsType(), help="A table by app, renderer, day, with quantiles.")
@click.option("--csv", is_flag=True, help="CSV with a header.")
@command_options
def command(
    settings: Settings,
    app: str | None,
    renderer: str | None,
    first_day: str | None,
    last_day: str | None,
    failed: bool,
    uid: bool,
    by: tuple[str, ...] | None,
    csv: bool,
    **aggregators: bool,
) -> None:
    r"""Renders that match: how many, or one figure.

    Only successful renders count, unless --failed includes the others. One bare value a line. A mean of nothing is 0, a
    maximum of nothing an empty line.

    \b
      streamgauge report renders --app maya                   how many
      streamgauge report renders --maxram --uid               which render took most memory
      streamgauge report renders --by app,day --from 2024-03-01
    """
    chosen = [name for name in AGGREGATORS if aggregators[name]]
    words = [f"--{name}" for name in chosen] + (["--by"] if by else [])
    context = click.get_current_context()
    if len(words) > 1:
        raise click.UsageError(f"{' and '.join(words)} exclude each other", context)
    if uid and chosen not in (["maxcpu"], ["maxram"]):
        raise click.UsageError("--uid goes with --maxcpu or --maxram", context)
    if csv and settings.json:
        raise click.UsageError("--csv and --json exclude each other", context)
    if first_day is not None and last_day is not None and first_day > last_day:
        raise click.UsageError(f"--from {first_day} is after --to {last_day}", context)

    from ops.columns import columns
    from ops.kafka import client_logger, connect
    from ops.reports import renders as reports
    from schemas.renders import RENDERS
    from sinks.summaries import summaries

    asked = reports.Filter(app, renderer, first_day, last_day)
    cells = summaries(
        settings.kafka, connect(settings.kafka), RENDERS, client_logger(),
        wanted=lambda entity: asked.takes(RENDERS.removed(entity)),
        shape=dict[str, Any] if by else reports.PlainCell,
    )  # fmt: skip
    if by:
        table = reports.breakdown(cells, by, failed=failed)
        text = columns([column.name for column in table.columns], table.rows, grouped=False)
        console.say(reports.BOUND)
    else:
        figures = reports.SUMMARY if aggregators["summary"] else tuple(chosen) or ("count",)
        table = reports.answer(cells, tuple(f"uid_{name}" for name in figures) if uid else figures, failed=failed)
        text = table.values()
    for line in table.json() if settings.json else table.csv() if csv else text:
        console.write(line + "\n")
    console.flush()
