"""``streamgauge report products``: products per name, or the rows of one sku."""

from __future__ import annotations

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import Settings
from schemas.errors import StreamgaugeError


@click.command("products", cls=Command)
@click.option("-k", "most", metavar="N", type=click.IntRange(min=1), help="Only the N most frequent names.")
@click.option("--sku", metavar="SKU", help="The rows of this sku instead: name,sku,description.")
@click.option("--csv", is_flag=True, help="CSV with a header.")
@command_options
def command(settings: Settings, most: int | None, sku: str | None, csv: bool) -> None:
    r"""How many products have each name.

    A row a name as CSV without a header: how many, then the name. The most frequent first, then by name.

    \b
      streamgauge report products -k 10             247,Michael Smith
      streamgauge report products --sku lay-raise   Anna Berg,lay-raise,"what it is, in words"
    """
    context = click.get_current_context()
    if csv and settings.json:
        raise click.UsageError("--csv and --json exclude each other", context)
    if sku is not None and most is not None:
        raise click.UsageError("--sku and -k exclude each other", context)
    from ops.kafka import client_logger, connect
    from ops.reports import products as reports
    from schemas.products import PRODUCTS, pair_key
    from sinks.summaries import rows, summaries

    admin = connect(settings.kafka)
    if sku is None:
        table = reports.names(summaries(settings.kafka, admin, PRODUCTS, client_logger()), most)
    else:
        of_sku = rows(settings.kafka, admin, PRODUCTS, client_logger(), pair_key(sku.encode(), b""))
        table = reports.pairs(list(of_sku.values()))
        if not table.rows:
            raise StreamgaugeError(f"no such sku: {sku}")
    for line in table.json() if settings.json else table.csv() if csv else reports.bare(table):
        console.write(line + "\n")
    console.flush()
