"""``streamgauge tail [STREAM[:KEY]]``: the summaries, as they are published."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ops import console
from ops.options import STREAM, Command, command_options
from ops.settings import PARTITIONS, REPLICATION, Settings
from schemas.wire import REVISION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from confluent_kafka import Message

    from ops.tailing import Start
    from schemas.schema import Schema
    from sinks.committed import Place, Span


class StreamKey(click.ParamType):
    """``STREAM`` or ``STREAM:KEY``; the key may hold colons."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str | None]:
        """The stream, and the key when there is one."""
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType] (click hands converted values in again)
        stream, colon, key = str(value).partition(":")
        if colon and not key:
            self.fail(f"{value!r} has no key behind the colon", param, ctx)
        return STREAM.convert(stream, param, ctx), key or None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The streams."""
        return STREAM.shell_complete(ctx, param, incomplete)


class StartType(click.ParamType):
    """``beginning``, ``end``, ``stored`` or ``-N``."""

    name = "offset"
    words = ("beginning", "end", "stored")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Start:
        """A word, or N."""
        if isinstance(value, int):
            return value
        if value in self.words:
            return value
        if not re.fullmatch(r"-\d{1,9}", value):
            self.fail(f"{value!r} is not beginning, end, stored or -N", param, ctx)
        return int(value[1:])

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words."""
        del ctx, param
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


@click.command(cls=Command)
@click.argument("wanted", metavar="[STREAM[:KEY]]", type=StreamKey(), required=False)
@click.option(
    "-o",
    "start",
    metavar="beginning|end|stored|-N",
    type=StartType(),
    help="Where to start; -N: the last N of each partition.  [default: end]",
)
@click.option("-e", "at_end", is_flag=True, help="Exit at the end.")
@click.option("-c", "count", metavar="N", type=click.IntRange(min=1), help="Exit after N summaries.")
@click.option("-f", "template", metavar="FORMAT", help=r"kcat's: %k %s %o %p %T %h %t %% \n; adds no line end.")
@click.option("-J", "envelope", is_flag=True, help="Each in kcat's JSON envelope.")
@click.option("--latest", is_flag=True, help="Of what is there already, only the newest of each key.")
@command_options
def command(
    settings: Settings,
    wanted: tuple[str, str | None] | None,
    start: Start | None,
    at_end: bool,
    count: int | None,
    template: str | None,
    envelope: bool,
    latest: bool,
) -> None:
    r"""Follow the summaries as they change.

    One JSON line for each summary of all streams, of one STREAM, or of one entity of it (KEY). Committed ones
    only. Follows for ever unless -e or -c says otherwise. An entity that was removed is shown with "count":0.

    \b
      streamgauge tail sites -o beginning -e      all that there is
      streamgauge tail sites:42                   one site, as it changes
      streamgauge tail sites --latest             what holds now, then every change
    """
    if template is not None and envelope:
        raise click.UsageError("-f and -J exclude each other", click.get_current_context())
    from ops.registry import streams

    stream, key = wanted or (None, None)
    schemas = [each.schema for each in streams([stream] if stream else ()).values()]
    show = _shower(schemas, template, envelope=envelope)
    if start is None:
        start = "beginning" if latest else "end"
    batches = _read(settings, schemas, None if key is None else key.encode(), start, latest, at_end)
    try:
        with closing(batches):
            for messages, shown in batches:
                taken = messages if count is None else messages[:count]
                for message in taken:
                    console.write(show(message))
                console.flush()
                shown(taken)
                if count is not None:
                    count -= len(taken)
                    if not count:
                        return
    except KeyboardInterrupt:
        if start == "stored":
            console.say("what was shown is remembered; the same command goes on behind it")
        raise


def _read(
    settings: Settings, schemas: list[Schema[Any]], key: bytes | None, start: Start, latest: bool, at_end: bool
) -> Generator[tuple[list[Message], Callable[[list[Message]], None]]]:
    """Batches of summaries, each with what is to be called when it was shown."""
    from itertools import chain

    from ops.kafka import client_logger, connect
    from ops.tailing import Outage, Positions, already
    from ops.topics import ensure
    from sinks.committed import CommittedReader
    from sinks.summaries import spans_of

    admin = connect(settings.kafka)
    for schema in schemas:
        ensure(settings.kafka, schema, settings[PARTITIONS], settings[REPLICATION], admin=admin)
    have = admin.list_topics(timeout=10).topics
    spans: dict[Place, Span] = {}
    for schema in schemas:
        topic = schema.topics.summaries
        spans |= spans_of(admin, topic, len(have[topic].partitions), [key] if key is not None else [])
    outage = Outage(settings.brokers)
    # A key's position is its own: it says nothing about the other keys of its partition.
    group = "streamgauge-tail" if key is None else f"streamgauge-tail:{key.decode()}"
    with CommittedReader(
        settings.kafka, client_logger(), group=group, hurry=at_end, troubled=outage.troubled
    ) as reader:
        positions = Positions(reader) if start == "stored" else None
        ends = {place: span.end for place, span in spans.items()}
        try:
            for batch in chain(
                already(reader, spans, start, key=key, latest=latest), () if at_end else reader.follow(ends)
            ):
                if batch:
                    outage.over()
                messages = batch if key is None else [message for message in batch if message.key() == key]
                yield messages, positions.shown if positions else _nothing
                if positions:
                    positions.store()
        finally:
            if positions:
                positions.store(now=True)


def _nothing(messages: list[Message]) -> None:
    """Nobody keeps what was shown."""


def _shower(schemas: list[Schema[Any]], template: str | None, *, envelope: bool) -> Callable[[Message], bytes]:
    """What makes the bytes that are shown of a message."""
    from ops import kcat
    from sinks.committed import headers_of

    summaries = {schema.topics.summaries: schema for schema in schemas}

    def line(message: Message) -> bytes:
        value = message.value()
        return (_removed(summaries[message.topic() or ""], message) if value is None else value) + b"\n"

    if template is None and not envelope:
        return line
    write = kcat.envelope if template is None else kcat.formatter(template)

    def show(message: Message) -> bytes:
        payload = message.value()
        if payload is None and not envelope:
            payload = _removed(summaries[message.topic() or ""], message)
        return write(
            kcat.Shown(
                message.topic() or "",
                message.partition() or 0,
                message.offset() or 0,
                message.timestamp()[1],
                message.key() or b"",
                headers_of(message),
                payload,
            )
        )

    return show


def _removed(schema: Schema[Any], message: Message) -> bytes:
    """What stands for a tombstone: the entity, a count of 0 and, where its writer says it, the revision."""
    import orjson

    from sinks.committed import headers_of

    shown: dict[str, Any] = {**schema.removed((message.key() or b"").decode("utf-8", "replace")), "count": 0}
    revision = dict(headers_of(message)).get(REVISION)
    if revision is not None:
        shown["revision"] = int(revision)
    return orjson.dumps(shown)
