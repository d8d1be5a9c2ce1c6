"""``streamgauge state STREAM KEY``: the live state of one key, from whichever worker owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ops.options import STREAM, Command, command_options
from ops.settings import Settings
from schemas.errors import StreamgaugeError

if TYPE_CHECKING:
    from ops.worker.directory import Entry

HOPS = 3
"""A rebalance may move a key while it is asked for; one that moves again and again is not chased."""


@click.command(cls=Command)
@click.argument("stream", type=STREAM)
@click.argument("key")
@command_options
def command(settings: Settings, stream: str, key: str) -> None:
    """The live state of one key.

    It comes from the worker that counts the key: newer than the summary topic by up to an epoch, and more of it.
    """
    import json

    from ops import console
    from ops.kafka import connect
    from ops.registry import stream as stream_named
    from ops.worker.directory import read
    from schemas.wire import partition_of

    topic = stream_named(stream).schema.topics.input
    metadata = connect(settings.kafka).list_topics(timeout=10).topics.get(topic)
    if metadata is None:
        raise StreamgaugeError(f"there is no topic {topic} yet; a worker makes it: streamgauge worker {stream}")
    partition = partition_of(key.encode(), len(metadata.partitions))
    claims = [entry for entry in read(settings.kafka) if entry.stream == stream and partition in entry.active]
    claims.sort(key=lambda entry: entry.claim, reverse=True)
    value = _asked(stream, key, partition, claims)
    text = json.dumps(value, ensure_ascii=False) if settings.json else json.dumps(value, ensure_ascii=False, indent=2)
    console.write(f"{text}\n")


def _asked(stream: str, key: str, partition: int, claims: list[Entry]) -> Any:
    """The first answer to be had; a worker that has lost the partition names who has it."""
    from ops.worker.client import ask, state_path

    places = [entry.http for entry in claims if entry.http is not None]
    reason = ""
    for _ in range(HOPS):
        if not places:
            break
        answer = ask(places.pop(0), state_path(stream, key))
        if answer is None:
            continue
        if answer.status == 200:
            return answer.value
        if answer.status == 404:
            raise StreamgaugeError(f"{stream} has no key {key!r}")
        reason = str(answer.value.get("error", ""))
        if answer.status == 421 and answer.value.get("http"):
            places.insert(0, answer.value["http"])
    holds = f"partition {partition} of {stream}, which holds {key!r},"
    if reason:
        raise StreamgaugeError(f"{holds} cannot be asked now: {reason}; try again in a moment")
    if not claims:
        raise StreamgaugeError(f"{holds} is served by no worker; start one: streamgauge worker {stream}")
    owner = claims[0]
    if owner.http is None:
        raise StreamgaugeError(f"{holds} is served by worker {owner.worker}, which runs with --http off")
    raise StreamgaugeError(
        f"{holds} belongs to worker {owner.worker} (http://{owner.http}), which does not answer; "
        f"start it again, or another one: streamgauge worker {stream}"
    )
