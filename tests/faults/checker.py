"""Reads what the topics hold, as any consumer would, and says whether it is exact.

A verdict is True, False or None: unknown. A check that could not look has not passed.

>>> seen = Seen(summaries=[Summary("7", 3, {"messages": 2})], letters=[], sent_bad={})
>>> judge(seen, {"7": {"messages": 2}}).valid
True
>>> judge(seen, {"7": {"messages": 3}, "8": {"messages": 1}})
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

from schemas.wire import LETTER_OFFSET, LETTER_PARTITION, Topics
from tests.progress import Behind, Progress

Offset = tuple[int, int]
"""Partition and offset."""


class Summary(NamedTuple):
    """A published summary, in the order of its partition's log."""

    key: str
    revision: int
    fields: dict[str, Any] | None
    """Without the revision; None for a tombstone."""


@dataclass(frozen=True)
class Seen:
    """What was read, committed records only.

    Args:
        summaries: in log order within each partition, so also for each key.
        letters: source partition and offset of each dead letter, with its value.
        sent_bad: what must have become a letter: value by source partition and offset.
    """

    summaries: list[Summary]
    letters: list[tuple[Offset, bytes]]
    sent_bad: Mapping[Offset, bytes]


@dataclass(frozen=True)
class Verdict:
    """True, False, or None for unknown; with what was found against it."""

    valid: bool | None
    findings: list[str] = field(default_factory=list[str])


def judge(seen: Seen, answer: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Compare what was ``seen`` with the right ``answer``: nothing lost, nothing twice, nothing backwards."""
    findings = [*_summaries(seen, answer), *_revisions(seen), *_letters(seen)]
    return Verdict(not findings, findings)


def _summaries(seen: Seen, answer: Mapping[str, Mapping[str, Any]]) -> list[str]:
    last = {summary.key: summary.fields for summary in seen.summaries}
    findings = [f"{key}: no summary" for key in answer.keys() - last.keys()]
    findings += [f"{key}: a summary of nothing that was sent" for key in last.keys() - answer.keys()]
    for key in answer.keys() & last.keys():
        got = last[key] or {}
        findings += [
            f"{key}: {name} {got.get(name)} instead of {right}"
            for name, right in answer[key].items()
            if got.get(name) != right
        ]
    return findings


def _revisions(seen: Seen) -> list[str]:
    findings: list[str] = []
    highest: dict[str, int] = {}
    for summary in seen.summaries:
        if summary.fields is None:
            continue
        before = highest.get(summary.key, -1)
        if summary.revision < before:
            findings.append(f"{summary.key}: revision {summary.revision} after {before}")
        elif summary.revision == before:
            findings.append(f"{summary.key}: revision {summary.revision} published twice")
        highest[summary.key] = max(before, summary.revision)
    return findings


def _letters(seen: Seen) -> list[str]:
    findings: list[str] = []
    times = Counter(offset for offset, _ in seen.letters)
    values = dict(seen.letters)
    for (partition, offset), value in seen.sent_bad.items():
        got = times.pop((partition, offset), 0)
        if got != 1:
            findings.append(f"bad record {partition}@{offset}: {got} dead letters instead of 1")
        elif values[partition, offset] != value:
            findings.append(f"bad record {partition}@{offset}: its dead letter has other bytes")
    findings += [f"{partition}@{offset}: a dead letter of a good record" for partition, offset in times]
    return findings


class Unknown(Exception):
    """The check could not look; the reason is its text."""


def observe(kafka: Mapping[str, str], topics: Topics, sent_bad: Mapping[Offset, bytes], seconds: float) -> Seen:
    """Read the topics once the group has counted everything.

    Raises:
        Unknown: it did not within ``seconds``, or the broker did not answer.
    """
    try:
        Progress(kafka, topics).wait(seconds)
        summaries = [
            Summary(*_parse(message)) for message in _read(kafka, topics.summaries) if message.key() is not None
        ]
        letters = [(_source(message), message.value() or b"") for message in _read(kafka, topics.dead_letters)]
    except Behind as error:
        raise Unknown(str(error)) from error
    except KafkaException as error:
        raise Unknown(f"the broker cannot be asked: {error}") from error
    return Seen(summaries, letters, sent_bad)


def _parse(message: Message) -> tuple[str, int, dict[str, Any] | None]:
    key = (message.key() or b"").decode()
    value = message.value()
    if value is None:
        return key, -1, None
    fields = orjson.loads(value)
    return key, fields.pop("revision"), fields


def _source(message: Message) -> Offset:
    headers = dict(message.headers() or [])
    return int(headers[LETTER_PARTITION] or b""), int(headers[LETTER_OFFSET] or b"")


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)


def _read(kafka: Mapping[str, str], topic: str) -> list[Message]:
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
