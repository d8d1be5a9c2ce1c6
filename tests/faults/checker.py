"""Reads what the topics hold, as any consumer would, and says whether it is exact.

A verdict is True, False or None: unknown. A check that could not look has not passed.

>>> seen = Seen(summaries=[Summary("7", 3, {"messages": 2})], letters=[])
>>> judge(seen, Right({"7": {"messages": 2}})).valid
True
>>> judge(seen, Right({"7": {"messages": 3}, "8": {"messages": 1}}))
Verdict(valid=False, findings=['8: no summary', '7: messages 2 instead of 3'])
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.wire import LETTER_FILE, LETTER_LINE, LETTER_OFFSET, LETTER_PARTITION, REVISION, Topics
from tests.faults.workload import Answer
from tests.progress import Behind, Progress

SHOWN = 150
"""Characters of a value that a finding tells."""

Place = tuple[int | str, int]
"""Where a record was: partition and offset, or file and line of one that its producer rejected."""


class Summary(NamedTuple):
    """A published summary (or row), in the order of its partition's log."""

    key: str
    revision: int
    fields: dict[str, Any] | None
    """Without the revision; None for a tombstone."""


@dataclass(frozen=True)
class Seen:
    """What was read, committed records only.

    Args:
        summaries: in log order within each partition, so also for each key.
        letters: the place of each dead letter's record, with its value.
        rows: of the topic beside the summaries, in log order as they are.
    """

    summaries: list[Summary]
    letters: list[tuple[Place, bytes]]
    rows: list[Summary] = field(default_factory=list[Summary])


@dataclass(frozen=True)
class Right:
    """What must be there in the end.

    Args:
        summaries: the fields of each entity, without its revision; those that are not named here may be anything.
        bad: what must have become a dead letter: value by place.
        rows: the fields of each row of the topic beside the summaries.
        runs: how often whoever sent the lines of files was run: so often their dead letters may be there.
    """

    summaries: Answer
    bad: Mapping[Place, bytes] = field(default_factory=dict[Place, bytes])
    rows: Answer = field(default_factory=dict[str, dict[str, Any]])
    runs: int = 1


@dataclass(frozen=True)
class Verdict:
    """True, False, or None for unknown; with what was found against it."""

    valid: bool | None
    findings: list[str] = field(default_factory=list[str])


def judge(seen: Seen, right: Right) -> Verdict:
    """Compare what was ``seen`` with what is ``right``: nothing lost, nothing twice, nothing backwards."""
    findings = [
        *_last("summary", seen.summaries, right.summaries),
        *_revisions(seen.summaries),
        *_last("row", seen.rows, right.rows),
        *_revisions(seen.rows),
        *_letters(seen, right),
    ]
    return Verdict(not findings, findings)


def _last(what: str, published: list[Summary], right: Answer) -> list[str]:
    """What is wrong with the last one of each key; a tombstone removes it."""
    newest = {summary.key: summary.fields for summary in published}
    last = {key: fields for key, fields in newest.items() if fields is not None}
    findings = [f"{key}: no {what}" for key in right.keys() - last.keys()]
    findings += [f"{key}: a {what} of nothing that was sent" for key in last.keys() - right.keys()]
    for key in right.keys() & last.keys():
        got = last[key]
        findings += [
            f"{key}: {name} {_short(got.get(name))} instead of {_short(wanted)}"
            for name, wanted in right[key].items()
            if got.get(name) != wanted
        ]
    return findings


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _revisions(published: list[Summary]) -> list[str]:
    findings: list[str] = []
    highest: dict[str, int] = {}
    for summary in published:
        before = highest.get(summary.key, -1)
        if summary.revision < before:
            findings.append(f"{summary.key}: revision {summary.revision} after {before}")
        elif summary.revision == before:
            findings.append(f"{summary.key}: revision {summary.revision} published twice")
        highest[summary.key] = max(before, summary.revision)
    return findings


def _letters(seen: Seen, right: Right) -> list[str]:
    findings: list[str] = []
    times = Counter(place for place, _ in seen.letters)
    values = dict(seen.letters)
    for place, value in right.bad.items():
        where, number = place
        got = times.pop(place, 0)
        if got != 1 and not (isinstance(where, str) and 1 <= got <= right.runs):
            findings.append(f"bad record {where}@{number}: {got} dead letters instead of 1")
        elif values[place] != value:
            findings.append(f"bad record {where}@{number}: its dead letter has other bytes")
    findings += [f"{where}@{number}: a dead letter of a good record" for where, number in times]
    return findings


class Unknown(Exception):
    """The check could not look; the reason is its text."""


def observe(kafka: Mapping[str, str], topics: Topics, seconds: float) -> Seen:
    """Read the topics once the groups of all stages have counted everything.

    Raises:
        Unknown: they did not within ``seconds``, or the broker did not answer.
    """
    try:
        Progress(kafka, topics).wait(seconds)
        published = [
            [_parse(message) for message in read(kafka, topic) if message.key() is not None] if topic else []
            for topic in (topics.summaries, topics.rows)
        ]
        letters = [(_place(message), message.value() or b"") for message in read(kafka, topics.dead_letters)]
    except Behind as error:
        raise Unknown(str(error)) from error
    except KafkaException as error:
        raise Unknown(f"the broker cannot be asked: {error}") from error
    return Seen(published[0], letters, published[1])


def _parse(message: Message) -> Summary:
    key = (message.key() or b"").decode()
    value = message.value()
    if value is None:
        return Summary(key, int(dict(message.headers() or [])[REVISION] or b""), None)
    fields = orjson.loads(value)
    return Summary(key, fields.pop("revision"), fields)


def _place(message: Message) -> Place:
    headers = {name: value for name, value in message.headers() or [] if isinstance(value, bytes)}
    if LETTER_OFFSET in headers:
        return int(headers[LETTER_PARTITION]), int(headers[LETTER_OFFSET])
    return headers[LETTER_FILE].decode(), int(headers[LETTER_LINE])


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)


def read(kafka: Mapping[str, str], topic: str) -> list[Message]:
    """All committed records of ``topic``, each partition in its order."""
    consumer = Consumer(
        {
            **kafka,
            "group.id": "checker",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        open_ends = set(_partitions(consumer, topic))
        consumer.assign([TopicPartition(topic, p, 0) for p in open_ends])
        found: dict[int, list[Message]] = defaultdict(list)
        deadline = time.monotonic() + 60
        while open_ends:
            if time.monotonic() > deadline:
                raise Unknown(f"{topic} cannot be read to its end")
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            partition = message.partition()
            if error is None and partition is not None:
                found[partition].append(message)
            elif error is not None and error.code() == KafkaError._PARTITION_EOF and partition is not None:
                open_ends.discard(partition)
            elif error is not None and error.fatal():
                raise KafkaException(error)
        return [message for partition in sorted(found) for message in found[partition]]
    finally:
        consumer.close()
