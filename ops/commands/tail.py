"""``streamgauge tail [STREAM[:KEY]]``: the summaries, as they are published, or the rows beside them."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

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


ROWS = ".rows"


class Wanted(NamedTuple):
    """What is to be shown."""

    stream: str | None
    """None: all streams."""
    key: str | None = None
    """None: all entities."""
    rows: bool = False
    """The rows that the stream publishes beside its summaries, instead of those; of a key all that begin with it."""

    def topic(self, schema: Schema[Any]) -> str:
        """The topic that holds it."""
        topics = schema.topics
        return topics.rows if self.rows and topics.rows else topics.summaries

    def takes(self, key: bytes) -> bool:
        """Whether a record with this key is of it."""
        if self.key is None:
            return True
        return key.startswith(self.key.encode() + b"\0") if self.rows else key == self.key.encode()


class StreamKey(click.ParamType):
    """``STREAM`` or ``STREAM:KEY``, the key may hold colons; ``STREAM.rows`` where a stream publishes some."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Wanted:
        """What is wanted."""
        if isinstance(value, Wanted):
            return value  # click hands converted values in again
        word, colon, key = str(value).partition(":")
        if colon and not key:
            self.fail(f"{value!r} has no key behind the colon", param, ctx)
        stream = STREAM.convert(word.removesuffix(ROWS), param, ctx)
        if word.endswith(ROWS):
            from ops.registry import stream as stream_named

            if stream_named(stream).schema.row is None:
                self.fail(f"{stream} publishes no rows beside its summaries", param, ctx)
        return Wanted(stream, key or None, word.endswith(ROWS))

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
    wanted: Wanted | None,
    start: Start | None,
    at_end: bool,
    count: int | None,
    template: str | None,
    envelope: bool,
    latest: bool,
) -> None:
    r"""Follow the summaries as they change.

    One JSON line for each summary of all streams, of one STREAM, or of one entity of it (KEY). Committed ones
    only. Follows for ever unless -e or -c says otherwise. An entity that was removed is shown with "count":0, in
    the envelope of -J with the payload null, as kcat has it.

    \b
      streamgauge tail sites -o beginning -e      all that there is
      streamgauge tail sites:42                   one site, as it changes
      streamgauge tail sites --latest             what holds now, then every change
      streamgauge tail products.rows              the catalogue beside its summaries; products.rows:SKU
    """
    if template is not None and envelope:
        raise click.UsageError("-f and -J exclude each other", click.get_current_context())
    from ops.registry import streams

    wanted = wanted or Wanted(None)
    schemas = [each.schema for each in streams([wanted.stream] if wanted.stream else ()).values()]
    show = _shower(schemas, wanted, template, envelope=envelope)
    if start is None:
        start = "beginning" if latest else "end"
    batches = _read(settings, schemas, wanted, start, latest, at_end)
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
    settings: Settings, schemas: list[Schema[Any]], wanted: Wanted, start: Start, latest: bool, at_end: bool
) -> Generator[tuple[list[Message], Callable[[list[Message]], None]]]:
    """Batches of summaries, each with what is to be called when it was shown."""
    from itertools import chain

    from ops.kafka import answered, client_logger, connect
    from ops.tailing import Outage, Positions, already
    from ops.topics import ensure
    from sinks.committed import CommittedReader
    from sinks.summaries import spans_of

    admin = connect(settings.kafka)
    for schema in schemas:
        ensure(settings.kafka, schema, settings[PARTITIONS], settings[REPLICATION], admin=admin)
    have = answered(lambda: admin.list_topics(timeout=10)).topics
    spans: dict[Place, Span] = {}
    keys = [] if wanted.key is None or wanted.rows else [wanted.key.encode()]
    for schema in schemas:
        topic = wanted.topic(schema)
        spans |= spans_of(admin, topic, len(have[topic].partitions), keys)
    outage = Outage(settings.brokers)
    chosen = None if wanted.key is None else wanted.takes
    # A key's position is its own: it says nothing about the other keys of its partition.
    group = "streamgauge-tail" if wanted.key is None else f"streamgauge-tail:{wanted.key}"
    with CommittedReader(
        settings.kafka, client_logger(), group=group, hurry=at_end, troubled=outage.troubled
    ) as reader:
        positions = Positions(reader) if start == "stored" else None
        ends = {place: span.end for place, span in spans.items()}
        try:
            for batch in chain(
                already(reader, spans, start, wanted=chosen, latest=latest), () if at_end else reader.follow(ends)
            ):
                if batch:
                    outage.over()
                messages = batch if chosen is None else [m for m in batch if chosen(m.key() or b"")]
                yield messages, positions.shown if positions else _nothing
                if positions:
                    positions.store()
        finally:
            if positions:
                positions.store(now=True)


def _nothing(messages: list[Message]) -> None:
    """Nobody keeps what was shown."""


def _shower(
    schemas: list[Schema[Any]], wanted: Wanted, template: str | None, *, envelope: bool
) -> Callable[[Message], bytes]:
    """What makes the bytes that are shown of a message."""
    from ops import kcat
    from sinks.committed import headers_of

    removed = {wanted.topic(schema): schema.removed_row if wanted.rows else schema.removed for schema in schemas}

    def line(message: Message) -> bytes:
        value = message.value()
        return (_removed(removed[message.topic() or ""], message) if value is None else value) + b"\n"

    if template is None and not envelope:
        return line
    write = kcat.envelope if template is None else kcat.formatter(template)

    def show(message: Message) -> bytes:
        payload = message.value()
        if payload is None and not envelope:
            payload = _removed(removed[message.topic() or ""], message)
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


def _removed(fields: Callable[[str], dict[str, Any]], message: Message) -> bytes:
    """What stands for a tombstone: the entity, a count of 0 and, where its writer says it, the revision."""
    import orjson

    from sinks.committed import headers_of

    shown: dict[str, Any] = {**fields((message.key() or b"").decode("utf-8", "replace")), "count": 0}
    revision = dict(headers_of(message)).get(REVISION)
    if revision is not None:
        shown["revision"] = int(revision)
    return orjson.dumps(shown)
