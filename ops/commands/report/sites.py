"""``streamgauge report sites``: chats, missed chats, operators and visitors per site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import Settings
from schemas.errors import StreamgaugeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.reports.table import Table

EXCLUSIVE = ("by", "operators", "coverage")


@click.command("sites", cls=Command)
@click.argument("sites", metavar="[SITE]...", nargs=-1)
@click.option("--at", type=int, metavar="TS", help="As of a moment, inclusive, in the unit of timestamp.")
@click.option("--rank", type=click.Choice(["messages", "emails", "operators", "visitors"]), help="The greatest first.")
@click.option("--by", type=click.Choice(["hour", "day"]), help="A line for each hour or day.")
@click.option("--operators", is_flag=True, help="When each operator was online.")
@click.option("--coverage", is_flag=True, help="The share of messages that met an operator.")
@click.option("--csv", is_flag=True, help="CSV with a header.")
@command_options
def command(
    settings: Settings,
    sites: tuple[str, ...],
    at: int | None,
    rank: str | None,
    by: str | None,
    operators: bool,
    coverage: bool,
    csv: bool,
) -> None:
    r"""Chats, missed chats (e-mails), operators, visitors.

    A line a site: messages that met an operator, those that did not, distinct operators and visitors. Sorted by
    site_id as a text. --at, --by and --operators are answered by the workers that own the sites.

    \b
      streamgauge report sites                     1,messages=4,emails=4,operators=2,visitors=5
      streamgauge report sites --rank emails       most missed chats first
      streamgauge report sites 1 --by day          site,period_start,messages=…
      streamgauge report sites 1 --operators       site,operator,from,to
    """
    chosen = [f"--{name}" for name, given in zip(EXCLUSIVE, (by, operators, coverage), strict=True) if given]
    if at is not None and (by or operators):
        chosen.append("--at")
    if rank is not None and (by or operators or coverage):
        chosen.append("--rank")
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} exclude each other", click.get_current_context())
    if csv and settings.json:
        raise click.UsageError("--csv and --json exclude each other", click.get_current_context())
    folded: dict[str, str] = {}
    asked = list(dict.fromkeys(sites))
    table, known = _table(settings, asked, folded, at, rank, by, operators=operators, coverage=coverage)
    for line in table.json() if settings.json else table.csv() if csv else table.text():
        console.write(line + "\n")
    console.flush()
    unknown = [site for site in sites if site not in known]
    if unknown:
        raise StreamgaugeError(f"no such site: {', '.join(unknown)}")
    if folded:
        first = min(folded)
        raise StreamgaugeError(
            f"{len(folded):,} of the sites cannot be told as of {at}; site {first}: {folded[first]}; "
            "ask for a later moment"
        )


def _table(
    settings: Settings,
    sites: list[str],
    folded: dict[str, str],
    at: int | None,
    rank: str | None,
    by: str | None,
    *,
    operators: bool,
    coverage: bool,
) -> tuple[Table, set[str]]:
    """The table, and which of ``sites`` have a summary; ``folded`` takes those that cannot be told, and why."""
    from ops.ask import ask_views
    from ops.kafka import client_logger, connect
    from ops.reports import sites as reports
    from schemas.sites import SITES
    from sinks.summaries import summaries

    admin = connect(settings.kafka)
    from_state = at is not None or by is not None or operators
    found: list[Any] = []
    if sites or not from_state:
        found = summaries(settings.kafka, admin, SITES, client_logger(), sites)
    known = {summary["site_id"] for summary in found} if sites else set[str]()

    def answers(name: str, **arguments: str) -> Iterator[tuple[str, Any]]:
        return ask_views(settings.kafka, admin, SITES, name, arguments, sites, folded)

    if by is not None:
        return reports.periods(answers("by", period=by)), known
    if operators:
        return reports.operators(answers("operators")), known
    if at is not None:
        found = [answer for _, answer in answers("at", ts=str(at))]
    return reports.coverage(found) if coverage else reports.totals(found, rank=rank), known
