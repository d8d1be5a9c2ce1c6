"""``streamgauge schema STREAM``: what a record and a summary are, as JSON Schema."""

from __future__ import annotations

import click

from ops import console
from ops.options import STREAM, Command, command_options
from ops.settings import Settings


@click.command(cls=Command)
@click.argument("stream", type=STREAM)
@command_options
def command(_settings: Settings, stream: str) -> None:
    """JSON Schema of a stream's records and summaries.

    One object: {"stream", "record", "summary"}, the latter two JSON Schemas (draft 2020-12) of a line of the
    input and of a line of `tail`. A stream that publishes rows beside its summaries has a "row", too.
    """
    import msgspec
    import orjson

    from ops import registry

    schema = registry.stream(stream).schema
    shown = {
        "stream": stream,
        "record": _described(msgspec.json.schema(schema.record), f"{stream}: an input record"),
        "summary": _described(msgspec.json.schema(schema.summary), f"{stream}: a published summary"),
    }
    if schema.row is not None:
        shown["row"] = _described(msgspec.json.schema(schema.row), f"{stream}: a value of {schema.topics.rows}")
    console.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _described(schema: dict[str, object], title: str) -> dict[str, object]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}
