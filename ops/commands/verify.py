"""``streamgauge verify STREAM PATH…``: recompute summaries from files and compare them with what is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click

from ops import console
from ops.counting import COUNTING, counting
from ops.options import STREAM, Command, command_options
from ops.settings import Settings

SHOWN = 20


class Difference(NamedTuple):
    """An entity whose published summary is not what the files say."""

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
    every published summary is what they say and nothing else is published; else 1, with the first differences.
    """
    from ops.kafka import client_logger, connect
    from ops.recount import Recount
    from ops.registry import stream as stream_named
    from producers.formats import format_of
    from producers.sources import Source, files_of
    from sinks.summaries import summaries

    chosen = stream_named(stream)
    for path in paths:
        files_of(path, format_of(chosen.schema, chosen.lines))  # a missing file is told before anything is tried
    admin = connect(settings.kafka)
    recount = Recount(chosen, counting(settings))
    with console.Progress("reading", unit="bytes") as progress:
        for path in paths:
            before = progress.done
            seen: dict[str, int] = {}

            def advance(source: Source, before: int = before, seen: dict[str, int] = seen) -> None:
                seen[source.name] = source.read
                progress.set(before + sum(seen.values()))

            recount.read(path, advance)
    expected = recount.summaries()
    published = {
        chosen.schema.entity(summary): {name: value for name, value in summary.items() if name != "revision"}
        for summary in summaries(settings.kafka, admin, chosen.schema, client_logger())
    }
    found = sorted(_differences(published, expected))
    console.say(
        f"recomputed {len(expected):,} summaries from {recount.records:,} records"
        + (f"; {recount.rejected:,} lines cannot be read, as replay would say" if recount.rejected else "")
        + (f"; {recount.refused:,} records refused, as a worker would" if recount.refused else "")
    )
    _show(settings, stream, recount, len(expected), found)
    if found:
        _say_when_behind(settings, stream)
    return 1 if found else 0


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
    return ", ".join(f"{name}={summary.get(name)}" for name in (names or summary))


def _say_when_behind(settings: Settings, stream: str) -> None:
    """A difference means little while a worker has not counted everything."""
    from ops.kafka import connect
    from ops.overview import overview
    from ops.registry import stream as stream_named

    seen = overview(settings.kafka, connect(settings.kafka), [stream_named(stream).schema])
    lag = sum(part.lag for part in seen.streams[0].partitions)
    if lag:
        console.warn(f"{lag:,} records of {stream} are not counted yet: verify again when a worker has counted them")
