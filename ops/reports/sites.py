r"""`report sites …`: what is read of sites, from their summaries or from the answers of their state.

>>> summaries = [
...     {"site_id": "10", "messages": 1, "emails": 1, "operators": 1, "visitors": 2},
...     {"site_id": "1", "messages": 4, "emails": 4, "operators": 2, "visitors": 5},
... ]
>>> print(*totals(summaries).text(), sep="\n")
1,messages=4,emails=4,operators=2,visitors=5
10,messages=1,emails=1,operators=1,visitors=2
>>> print(*coverage(summaries).text(), sep="\n")
1,0.5
10,0.5
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ops.reports.table import Column, Table

Summary = Mapping[str, Any]
"""A site's summary, as published or as answered for a moment."""
Answers = Iterable[tuple[str, Sequence[Mapping[str, Any]] | None]]
"""``(site_id, answer)`` of a view that gives a list; None for a site without state."""

COUNTS = ("messages", "emails", "operators", "visitors")
_COUNTS = tuple(Column(name, labelled=True) for name in COUNTS)


def totals(summaries: Iterable[Summary | None], *, rank: str | None = None) -> Table:
    """A line a site, by ``site_id``; with ``rank`` (one of `COUNTS`) the greatest first.

    Args:
        summaries: in any order; None (a site that had no event by the moment asked for) is left out.
        rank: the count to sort by, descending; equal ones by ``site_id``.
    """
    rows = [(summary["site_id"], *(summary[name] for name in COUNTS)) for summary in summaries if summary is not None]
    rows.sort()
    if rank is not None:
        place = 1 + COUNTS.index(rank)
        rows.sort(key=lambda row: -row[place])
    return Table((Column("site_id"), *_COUNTS), rows)


def coverage(summaries: Iterable[Summary]) -> Table:
    """The share of each site's messages that met an operator; empty for a site without messages."""
    rows: list[tuple[str, float | None]] = []
    for summary in summaries:
        messages = summary["messages"] + summary["emails"]
        rows.append((summary["site_id"], summary["messages"] / messages if messages else None))
    return Table((Column("site"), Column("coverage")), sorted(rows, key=lambda row: row[0]))


def periods(answers: Answers) -> Table:
    """A line for each hour or day of each site in which something happened: the view ``by``."""
    rows = [
        (site, period["period_start"], *(period[name] for name in COUNTS))
        for site, answer in answers
        for period in answer or ()
    ]
    return Table((Column("site"), Column("period_start"), *_COUNTS), sorted(rows))


def operators(answers: Answers) -> Table:
    """A line for each interval in which an operator was online: the view ``operators``. An open end is empty."""
    rows = [
        (site, interval["operator"], interval["from"], interval["to"])
        for site, answer in answers
        for interval in answer or ()
    ]
    columns = tuple(Column(name) for name in ("site", "operator", "from", "to"))
    return Table(columns, sorted(rows, key=lambda row: row[:3]))
