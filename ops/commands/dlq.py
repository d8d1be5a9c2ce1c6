"""``streamgauge dlq``: dead letters, why they are dead, and their way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import console
from ops.options import STREAM, Group, command_options
from ops.settings import PARTITIONS, REPLICATION, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.letters import Letter, Letters

REJECTED = 3


@click.group(cls=Group)
def command() -> None:
    """Dead letters: list, show, replay."""


@command.command("list")
@click.argument("stream", type=STREAM)
@click.option("--reason", metavar="TEXT", help="Only letters whose reason contains TEXT.")
@click.option("--all", "with_sent", is_flag=True, help="Also letters that were sent back (dlq replay).")
@command_options
def list_letters(settings: Settings, stream: str, reason: str | None, with_sent: bool) -> None:
    """List the dead letters of STREAM, by reason.

    With --json one object a line: id, reason, file, line, topic, partition, offset, time, bytes, value (base64).
    """
    import orjson

    from ops import registry
    from ops.columns import columns
    from ops.kafka import connect
    from ops.letters import Letters

    counts: dict[str, int] = {}
    rows: list[tuple[str, str, str, str, int]] = []
    with Letters(settings.kafka, connect(settings.kafka), registry.stream(stream).schema) as letters:
        for letter in _chosen(letters, reason, with_sent=with_sent):
            counts[letter.reason] = counts.get(letter.reason, 0) + 1
            if settings.json:
                console.write(orjson.dumps(letter.plain(), option=orjson.OPT_APPEND_NEWLINE))
            else:
                rows.append((letter.id, letter.reason, letter.origin, letter.time, letter.bytes))
    if rows:
        rows.sort(key=lambda row: row[1])  # stable: by place within a reason
        for line in columns(["ID", "REASON", "ORIGIN", "TIME", "BYTES"], rows):
            console.write(line + "\n")
    total = sum(counts.values())
    console.say(f"{total} dead letter{'' if total == 1 else 's'} of {stream}{', by reason:' if total else ''}")
    for text, count in sorted(counts.items(), key=lambda item: -item[1]):
        console.say(f"  {count}  {text}")


@command.command("show")
@click.argument("stream", type=STREAM)
@click.argument("letter_id", metavar="ID")
@command_options
def show(settings: Settings, stream: str, letter_id: str) -> None:
    """Show one dead letter in full.

    The original bytes go to stdout as they are; where they are from and why they were rejected, to stderr.
    """
    from ops import registry
    from ops.kafka import connect
    from ops.letters import Letters, place_of_id

    place_of_id(letter_id)
    with Letters(settings.kafka, connect(settings.kafka), registry.stream(stream).schema) as letters:
        letter = letters.one(letter_id)
        sent = letters.sent_back(letter)
    if settings.json:
        import orjson

        console.write(orjson.dumps(letter.plain(), option=orjson.OPT_APPEND_NEWLINE))
        return
    console.write(letter.value)
    console.flush()
    for name, value in letter.plain().items():
        if value is not None and name != "value":
            console.say(f"{name + ':':<11}{value}")
    if letter.bytes > len(letter.value):
        console.say(f"{'kept:':<11}the first {len(letter.value)} bytes")
    if sent:
        console.say("sent back: yes")


@command.command("replay")
@click.argument("stream", type=STREAM)
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--reason", metavar="TEXT", help="Only letters whose reason contains TEXT.")
@command_options
def replay(settings: Settings, stream: str, letter_ids: tuple[str, ...], reason: str | None) -> int:
    """Send dead letters of STREAM back to its input topic, after a fix.

    All that were not sent back yet, or those with these IDs. Each once, ever: Kafka remembers, whoever asks. What
    is rejected again is a new letter, and the exit code is 3.
    """
    from ops import registry
    from ops.kafka import connect
    from ops.letters import Letters, place_of_id
    from ops.resend import LOST, Resender
    from ops.topics import ensure

    for letter_id in letter_ids:
        place_of_id(letter_id)
    entry = registry.stream(stream)
    admin = connect(settings.kafka)
    ensure(settings.kafka, entry.schema, settings[PARTITIONS], settings[REPLICATION], admin=admin)
    partitions = len(admin.list_topics(stream, timeout=10).topics[stream].partitions)
    # First the producer: it ends what a former replay left open, so that all marks can be read.
    resender = Resender(settings.kafka, entry.schema, entry.lines, partitions)
    gaps = 0

    def sendable(chosen: Iterator[Letter]) -> Iterator[Letter]:
        nonlocal gaps
        for letter in chosen:
            if letter.reason.startswith(LOST):
                gaps += 1
            else:
                yield letter

    try:
        with Letters(settings.kafka, admin, entry.schema) as letters:
            if letter_ids:
                named = [letters.one(letter_id) for letter_id in dict.fromkeys(letter_ids)]
                for letter in named:
                    if letters.sent_back(letter):
                        console.warn(f"{letter.id} was sent back already")
                chosen = (letter for letter in named if not letters.sent_back(letter))
            else:
                chosen = _chosen(letters, reason, with_sent=False)
            resender.send(sendable(chosen))
        resender.settle(admin)
    except KeyboardInterrupt:
        console.warn(f"interrupted: {resender.accepted} were sent back; run the same command again for the rest")
        raise
    if gaps:
        console.say(f"{gaps} stand for lost input and hold nothing to send")
    console.say(f"accepted {resender.accepted}, rejected {resender.rejected}")
    if resender.rejected:
        console.warn(f"{resender.rejected} were rejected again and are new letters: streamgauge dlq list {stream}")
    if settings.json:
        import orjson

        result = {"stream": stream, "accepted": resender.accepted, "rejected": resender.rejected}
        console.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
    return REJECTED if resender.rejected else 0


def _chosen(letters: Letters, reason: str | None, *, with_sent: bool) -> Iterator[Letter]:
    for letter in letters.all():
        if (with_sent or not letters.sent_back(letter)) and (reason is None or reason in letter.reason):
            yield letter
