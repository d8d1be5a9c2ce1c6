"""``streamgauge verify STREAM PATH…``: recompute summaries from files and compare them with what is published.

    $ streamgauge verify products catalogue.csv
    Anna Berg: published count=2, the files give count=3

Where a stream publishes rows beside its summaries (the catalogue of `products`), they are compared, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import click

from ops import console
from ops.counting import COUNTING, counting
from ops.options import STREAM, Command, command_options
from ops.settings import Settings

SHOWN = 20

K = TypeVar("K")


class Difference(NamedTuple):
    """An entity, or a row beside the summaries, of which something else is published than the files say."""

    entity: str
    published: dict[str, Any] | None
    recomputed: dict[str, Any] | None


@click.command(cls=Command)
@click.argument("stream", type=STREAM)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@command_options(*COUNTING)
def command(settings: Settings, stream: str, paths: tuple[str, ...]) -> int:
    """Recompute summaries from files and compare.

    The PATHs are read as replay reads them and counted by the stream's own aggregator, without Kafka. Exit 0 when
    every published summary is what they say and nothing else is published; else 1, with the first differences. Of
    products the rows of the catalogue are compared, too; with --sketch, items must be within their error.
    """
    from ops.kafka import client_logger, connect
    from ops.recount import Recount
    from ops.registry import stream as stream_named
    from ops.sketched import allowed
    from producers.formats import format_of
    from producers.sources import Source, files_of
    from sinks.summaries import rows, summaries

    chosen = stream_named(stream)
    for path in paths:
        files_of(path, format_of(chosen.schema, chosen.lines))  # a missing file is told before anything is tried
    admin = connect(settings.kafka)
    rules = counting(settings)
    recount = Recount(chosen, replace(rules, sketch=False))
    with console.Progress("reading", unit="bytes") as progress:
        for path in paths:
            before = progress.done
            seen: dict[str, int] = {}

            def advance(source: Source, before: int = before, seen: dict[str, int] = seen) -> None:
                seen[source.name] = source.read
                progress.set(before + sum(seen.values()))

            recount.read(path, advance)
    expected = recount.summaries()
    found_now = summaries(settings.kafka, admin, chosen.schema, client_logger())
    published = _without_revision({chosen.schema.entity(summary): summary for summary in found_now})
    if rules.sketch:
        expected = allowed(published, expected)
    rows_expected = _texts(recount.rows())
    rows_published = _texts(_without_revision(rows(settings.kafka, admin, chosen.schema, client_logger())))
    found = sorted(_differences(published, expected)) + sorted(_differences(rows_published, rows_expected))
    console.say(
        f"recomputed {len(expected):,} summaries"
        + (f" and {len(rows_expected):,} rows" if rows_expected else "")
        + f" from {recount.records:,} records"
        + (f"; {recount.rejected:,} lines cannot be read, as replay would say" if recount.rejected else "")
        + (f"; {recount.refused:,} records refused, as a worker would" if recount.refused else "")
    )
    _show(settings, stream, recount, len(expected), found)
    if found:
        _say_when_behind(settings, stream)
    return 1 if found else 0


def _without_revision(published: Mapping[K, Mapping[str, Any]]) -> dict[K, dict[str, Any]]:
    """What files can say: a revision is the broker's business."""
    return {key: {name: value for name, value in one.items() if name != "revision"} for key, one in published.items()}


def _texts(rows: Mapping[bytes, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    r"""Rows by their keys as people read them.

    >>> _texts({b"k-1\0Ann": {}})
    {'k-1 Ann': {}}
    """
    return {key.replace(b"\0", b" ").decode(): row for key, row in rows.items()}


def _differences(
    published: Mapping[str, dict[str, Any]], expected: Mapping[str, dict[str, Any]]
) -> Iterator[Difference]:
    for entity in published.keys() | expected.keys():
        difference = Difference(entity, published.get(entity), expected.get(entity))
        if difference.published != difference.recomputed:
            yield difference


def _show(settings: Settings, stream: str, recount: Any, entities: int, found: list[Difference]) -> None:
    if settings.json:
        import json

        result = {
            "stream": stream,
            "equal": not found,
            "records": recount.records,
            "rejected": recount.rejected,
            "summaries": entities,
            "different": len(found),
            "differences": [difference._asdict() for difference in found[:SHOWN]],
        }
        console.write(json.dumps(result, ensure_ascii=False) + "\n")
        return
    for difference in found[:SHOWN]:
        console.write(f"{_sentence(difference)}\n")
    if len(found) > SHOWN:
        console.write(f"and {len(found) - SHOWN:,} more\n")
    if not found:
        console.write(f"equal: {entities:,} summaries of {stream}\n")


def _sentence(difference: Difference) -> str:
    """One difference as a line.

    >>> _sentence(Difference("7", {"messages": 3, "emails": 1}, {"messages": 4, "emails": 1}))
    '7: published messages=3, the files give messages=4'
    """
    entity, published, recomputed = difference
    if published is None:
        return f"{entity}: not published, the files give {_fields(recomputed or {})}"
    if recomputed is None:
        return f"{entity}: published {_fields(published)}, nothing of it in the files"
    names = [name for name in {**recomputed, **published} if published.get(name) != recomputed.get(name)]
    return f"{entity}: published {_fields(published, names)}, the files give {_fields(recomputed, names)}"


def _fields(summary: Mapping[str, Any], names: list[str] | None = None) -> str:
    return ", ".join(f"{name}={_on_a_line(summary.get(name))}" for name in (names or summary))


def _on_a_line(value: Any) -> str:
    r"""A value, a text with line ends and the like as Python writes it.

    >>> _on_a_line("two\nlines"), _on_a_line("Zoë"), _on_a_line(3)
    ("'two\\nlines'", 'Zoë', '3')
    """
    text = str(value)
    return text if text.isprintable() else repr(value)


def _say_when_behind(settings: Settings, stream: str) -> None:
    """A difference means little while a worker has not counted everything."""
    from ops.kafka import connect
    from ops.overview import overview
    from ops.registry import stream as stream_named

    seen = overview(settings.kafka, connect(settings.kafka), [stream_named(stream).schema])
    lag = sum(part.lag for part in seen.streams[0].partitions)
    if lag:
        console.warn(f"{lag:,} records of {stream} are not counted yet: verify again when a worker has counted them")
