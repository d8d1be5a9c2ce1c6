"""Asking the workers that own a stream's state about all of its keys, or some: what no summary says.

    for key, answer in ask_views(kafka, admin, schema, "at", {"ts": "7391"}):
        …

Each partition is asked of the worker that counts it, as the directory names it and the worker itself confirms. An
answer is whole or an error: a partition without an owner that answers is never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import orjson

from ops.worker.directory import Entry, owner_of, read
from schemas.errors import StreamgaugeError
from schemas.wire import partition_of

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from schemas.schema import Schema

COVERED = "X-Streamgauge-Partitions"
"""The header in which a worker names the partitions that its answer covers."""
TIMEOUT_S = 30.0
"""Without a byte, not in all: the answer about a million keys takes longer."""

# Workers are near: what http_proxy says is for elsewhere.
_opener = build_opener(ProxyHandler({}))


def ask_views(
    kafka: Mapping[str, str],
    admin: AdminClient,
    schema: Schema[Any],
    name: str,
    arguments: Mapping[str, str],
    keys: Collection[str] = (),
    refused: dict[str, str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """The view ``name`` of each of ``keys`` (default: of all keys), in no particular order.

    A key without state is left out, and so is every key of a stream whose topic does not exist.

    Args:
        kafka: client properties.
        admin: connected with them.
        schema: of the stream.
        name: of the view.
        arguments: of the view.
        keys: which are asked about.
        refused: takes the reason of each key whose state cannot answer; None: the first such key is an error.

    Raises:
        StreamgaugeError: a partition has no owner that answers, or one refused the question.
    """
    topic = schema.topics.input
    metadata = admin.list_topics(timeout=10).topics.get(topic)
    if metadata is None:
        return
    count = len(metadata.partitions)
    wanted = {partition_of(key.encode(), count) for key in keys} if keys else set(range(count))
    asked = [("name", name), *arguments.items(), *(("key", key) for key in keys)]
    claims = [entry for entry in read(kafka) if entry.stream == schema.name]
    for http, partitions in _plan(schema.name, wanted, claims).items():
        for key, answer, *why in _answers(schema.name, http, partitions, count, asked):
            if not why:
                yield key, answer
            elif refused is None:
                raise StreamgaugeError(f"{schema.name} cannot say it of {key!r}: {why[0]}")
            else:
                refused[key] = why[0]


def _plan(stream: str, wanted: set[int], claims: list[Entry]) -> dict[str, set[int]]:
    """Which worker is asked about which partitions: of several that claim one, the one that claimed it last."""
    plan: dict[str, set[int]] = {}
    for partition in sorted(wanted):
        owner = owner_of(claims, stream, partition)
        if owner is None:
            raise StreamgaugeError(
                f"partition {partition} of {stream} is served by no worker; start one: streamgauge worker {stream}"
            )
        if owner.http is None:
            raise StreamgaugeError(
                f"partition {partition} of {stream} is served by worker {owner.worker}, which runs with --http off"
            )
        plan.setdefault(owner.http, set()).add(partition)
    return plan


def _answers(
    stream: str, http: str, partitions: set[int], count: int, asked: list[tuple[str, str]]
) -> Iterator[list[Any]]:
    """What the worker at ``http`` says about its ``partitions``."""
    url = f"http://{http}/views/{stream}?{urlencode(asked)}"
    try:
        with _opener.open(url, timeout=TIMEOUT_S) as answer:
            covered = {int(number) for number in answer.headers.get(COVERED, "").split(",") if number}
            if not partitions <= covered:
                missing = ", ".join(map(str, sorted(partitions - covered)))
                raise StreamgaugeError(
                    f"partitions {missing} of {stream} are moving to another worker; try again in a moment"
                )
            for line in answer:
                told = orjson.loads(line)
                # Partitions that moved meanwhile may be answered by two workers.
                if (told[1] is not None or told[2:]) and partition_of(told[0].encode(), count) in partitions:
                    yield told
    except HTTPError as error:
        with error:
            raise StreamgaugeError(f"the worker at {http} cannot say it: {_reason(error)}") from error
    except (OSError, HTTPException) as error:
        raise StreamgaugeError(
            f"partitions {', '.join(map(str, sorted(partitions)))} of {stream} belong to the worker at {http}, "
            f"which does not answer ({error}); start it again, or another one: streamgauge worker {stream}"
        ) from error


def _reason(error: HTTPError) -> str:
    try:
        return str(orjson.loads(error.read())["error"])
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return str(error.reason)
