"""``streamgauge topics``: make the topics of streams, and say what they are like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import console
from ops.options import STREAM, Group, command_options
from ops.settings import PARTITIONS, REPLICATION, Settings

if TYPE_CHECKING:
    from ops.topics import Found


@click.group(cls=Group)
def command() -> None:
    """Create or describe the topics."""


@command.command("create")
@click.argument("streams", metavar="[STREAM]...", nargs=-1, type=STREAM)
@command_options(PARTITIONS, REPLICATION)
def create(settings: Settings, streams: tuple[str, ...]) -> None:
    """Create what is missing of the topics of STREAMs (default: all). Twice is once.

    A topic that exists with another partition count than its stream's is an error; nothing is changed.
    """
    from ops import registry, topics
    from ops.kafka import connect

    admin = connect(settings.kafka)
    made: list[str] = []
    for stream in registry.streams(streams).values():
        made += topics.ensure(settings.kafka, stream.schema, settings[PARTITIONS], settings[REPLICATION], admin=admin)
    if settings.json:
        import orjson

        console.write(orjson.dumps({"created": made}, option=orjson.OPT_APPEND_NEWLINE))
        return
    for name in made:
        console.write(f"created {name}\n")
    if not made:
        console.say("all topics exist")


@command.command("describe")
@click.argument("streams", metavar="[STREAM]...", nargs=-1, type=STREAM)
@command_options
def describe(settings: Settings, streams: tuple[str, ...]) -> int:
    """List the topics of STREAMs (default: all).

    With what matters about each: partitions, copies, what is kept. A STREAM that is named and has no topics is an
    error.
    """
    from ops import registry, topics
    from ops.columns import columns
    from ops.kafka import connect

    admin = connect(settings.kafka)
    found = {
        each.name: each
        for stream in registry.streams(streams).values()
        for each in topics.describe(admin, stream.schema)
    }
    there = [topic for topic in found.values() if topic.partitions]
    if settings.json:
        import orjson

        console.write(orjson.dumps([_plain(topic) for topic in there], option=orjson.OPT_APPEND_NEWLINE))
    else:
        header = ["TOPIC", "PARTITIONS", "REPLICATION", "CLEANUP", "RETENTION", "OFFSETS"]
        for line in columns(header, [_row(topic) for topic in there]):
            console.write(line + "\n")
    missing = [topic.name for topic in found.values() if not topic.partitions]
    if missing:
        console.warn(
            f"missing: {', '.join(missing)}; make them: streamgauge topics create {' '.join(streams)}".rstrip()
        )
    return 1 if missing and streams else 0


def _plain(topic: Found) -> dict[str, str | int | None]:
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "cleanup": topic.cleanup,
        "retention_ms": topic.retention_ms,
        "offsets": topic.offsets,
    }


def _row(topic: Found) -> list[str | int | None]:
    from ops.units import format_duration

    kept = "for ever" if topic.retention_ms is None else format_duration(topic.retention_ms)
    return [topic.name, topic.partitions, topic.replication, topic.cleanup or None, kept, topic.offsets]
