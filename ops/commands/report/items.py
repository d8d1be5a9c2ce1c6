"""``streamgauge report items``: the most frequent foods and categories."""

from __future__ import annotations

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import Settings


@click.command("items", cls=Command)
@click.option("--by", "kind", type=click.Choice(["food", "category"]), help="Only the foods, or only the categories.")
@click.option("-k", "k", metavar="N", type=click.IntRange(min=1), help="How many.  [default: 100 foods, 10 categories]")
@click.option("--csv", is_flag=True, help="CSV with a header.")
@command_options
def command(settings: Settings, kind: str | None, k: int | None, csv: bool) -> None:
    r"""The foods and the categories that are eaten most.

    An item id counts once. The greatest count first, equal ones by id.

    \b
      streamgauge report items                     food_id,count … food__category_id,count …
      streamgauge report items --by food -k 3      12274029,13
    """
    if csv and settings.json:
        raise click.UsageError("--csv and --json exclude each other", click.get_current_context())
    from ops.kafka import client_logger, connect
    from ops.reports.items import COLUMNS, DEFAULT_K, Counts, array, sections
    from schemas.items import ITEMS
    from sinks.summaries import published

    counts = Counts()
    for pairs in published(settings.kafka, connect(settings.kafka), ITEMS, client_logger()):
        counts.add(pairs)
    if kind is not None:
        table = counts.top(kind, k or DEFAULT_K[kind])
        lines = table.json() if settings.json else table.csv() if csv else table.text()
    else:
        tables = [counts.top(each, k or DEFAULT_K[each], column=COLUMNS[each]) for each in COLUMNS]
        lines = array(tables) if settings.json else sections(tables)
    for line in lines:
        console.write(line + "\n")
    console.flush()
    for bound in counts.bounds():
        console.warn(bound)
