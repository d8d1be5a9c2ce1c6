"""What is going on: brokers, workers, and each partition's owner and lag, put together from four sources.

    the group       who is assigned what; how far it has told Kafka that it counted
    the directory   which worker an instance belongs to, and where it can be asked
    the workers     what they say when asked: state, stamp, standbys
    the topics      where input, changelog and dead letters end

A worker that answers is believed over what the directory says; one that does not is shown as its partitions' owner
that is not running, until another takes them over.
"""

# confluent_kafka types its admin results as Future[Unknown].
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.kafka import client_logger
from ops.worker import directory
from ops.worker.client import ask_all
from ops.worker.directory import Entry
from schemas.schema import Schema
from schemas.wire import CLIENT, Topics
from sinks.committed import CommittedReader, Place, Span, committed_spans

LETTERS_COUNTED = 100_000
"""Dead letters beyond so many offsets are not counted one by one; their number is then an upper bound."""
LOOK_S = 2.0


@dataclass(frozen=True)
class Part:
    """One partition of a stream.

    Args:
        partition: its number.
        owner: the id of the worker that has it; None when nobody has.
        running: whether that worker answers.
        state: ``active``, ``restoring``, …; ``not running``, ``not answering``, ``unassigned``.
        position: the next input offset to count.
        end: where the input ends.
        lag: input records that are not counted yet.
        lag_seconds: how long the oldest of them has been there; 0 without lag.
        restored: how much of its state the owner has, 0 to 1; None when nobody says.
        standbys: the ids of the workers that follow its state.
    """

    partition: int
    owner: str | None
    running: bool
    state: str
    position: int
    end: int
    lag: int
    lag_seconds: float | None
    restored: float | None
    standbys: list[str]


@dataclass(frozen=True)
class StreamView:
    """One stream; without partitions where its topics do not exist.

    Args:
        stream: its name.
        partitions: of its input.
        dead_letters: that lie in its dead-letter topic.
        dead_letters_exact: whether that is their number, or an upper bound.
    """

    stream: str
    partitions: list[Part] = field(default_factory=list[Part])
    dead_letters: int = 0
    dead_letters_exact: bool = True


@dataclass(frozen=True)
class WorkerView:
    """One worker that answers, or that still has something that nobody took over.

    Args:
        worker: its id.
        host: where it runs.
        pid: of its parent process.
        http: where it is asked; None: nowhere.
        running: whether it answers; of one that cannot be asked, whether its groups hear from it.
        ready: whether all its partitions are restored; None: it cannot be asked.
        streams: that it serves.
        restarts: of its engine processes.
    """

    worker: str
    host: str
    pid: int
    http: str | None
    running: bool
    ready: bool | None
    streams: list[str]
    restarts: int


@dataclass(frozen=True)
class Overview:
    """All of it, at one moment."""

    brokers: list[str]
    cluster: str | None
    workers: list[WorkerView]
    streams: list[StreamView]


@dataclass(frozen=True)
class _Engine:
    """What a running engine says of itself."""

    worker: str
    partitions: Mapping[int, Mapping[str, Any]]


def overview(kafka: Mapping[str, str], admin: AdminClient, schemas: Iterable[Schema[Any]]) -> Overview:
    """Look around once.

    Raises:
        StreamgaugeError, KafkaException: the brokers went away meanwhile.
    """
    metadata = admin.list_topics(timeout=10)
    entries = directory.read(kafka)
    answers = _answers(entries)
    counts = {name: len(found.partitions) for name, found in metadata.topics.items()}
    streams = [
        _stream(kafka, admin, schema, counts, entries, answers)
        if schema.topics.input in counts
        else StreamView(schema.name)
        for schema in schemas
    ]
    heard = {part.owner for stream in streams for part in stream.partitions if part.running}
    return Overview(
        brokers=sorted(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()),
        cluster=metadata.cluster_id,
        workers=_workers(entries, answers, heard),
        streams=streams,
    )


def _answers(entries: list[Entry]) -> dict[str, dict[str, Any]]:
    """What each worker says, by its address; whoever else answers there now is not listened to."""
    said = ask_all((entry.http for entry in entries if entry.http is not None), "/status")
    pids = {entry.http: (entry.worker, entry.pid) for entry in entries}
    return {
        http: answer.value
        for http, answer in said.items()
        if answer.status == 200 and (answer.value.get("worker"), answer.value.get("pid")) == pids[http]
    }


def _workers(
    entries: list[Entry], answers: Mapping[str, dict[str, Any]], heard: Collection[str | None]
) -> list[WorkerView]:
    views: dict[tuple[str, int], WorkerView] = {}
    for entry in entries:
        said = answers.get(entry.http or "", {})
        if not said and not any(directory.owner_of(entries, entry.stream, n) is entry for n in entry.active):
            continue  # it was killed, and others have taken over all that it had
        before = views.get((entry.worker, entry.pid))
        served: set[str] = {entry.stream, *(before.streams if before else [])}
        engines = cast("list[dict[str, Any]]", said.get("engines", []))
        views[entry.worker, entry.pid] = WorkerView(
            worker=entry.worker,
            host=entry.host,
            pid=entry.pid,
            http=entry.http,
            running=bool(said) if entry.http is not None else entry.worker in heard,
            ready=bool(said.get("ready")) if entry.http is not None else None,
            streams=sorted(served),
            restarts=sum(engine["restarts"] for engine in engines),
        )
    return sorted(views.values(), key=lambda view: (view.worker, view.pid))


def _stream(
    kafka: Mapping[str, str],
    admin: AdminClient,
    schema: Schema[Any],
    counts: Mapping[str, int],
    entries: list[Entry],
    answers: Mapping[str, dict[str, Any]],
) -> StreamView:
    topics = schema.topics
    names = [name for name in (topics.input, topics.changelog, topics.dead_letters) if name in counts]
    spans = committed_spans(admin, {name: counts[name] for name in names})
    members = _members(admin, topics.app, topics.input)
    told = _told(kafka, topics, counts[topics.input])
    ours = [entry for entry in entries if entry.stream == schema.name]
    engines = _engines(schema.name, ours, answers)
    partitions: list[Part] = []
    for number in range(counts[topics.input]):
        span = spans[topics.input, number]
        owner, running, state, said = _owner(number, ours, engines, members)
        stamp = said.get("stamp")
        position = max(span.start, told.get(number, span.start) if stamp is None else int(stamp))
        partitions.append(
            Part(
                partition=number,
                owner=owner,
                running=running,
                state=state,
                position=position,
                end=span.end,
                lag=max(0, span.end - position),
                lag_seconds=0.0,
                restored=_restored(said, spans.get((topics.changelog, number))),
                standbys=sorted(
                    engine.worker
                    for engine in engines.values()
                    if engine.partitions.get(number, {}).get("role") == "standby"
                ),
            )
        )
    letters = {place: span for place, span in spans.items() if place[0] == topics.dead_letters}
    count, exact = _letters(kafka, letters)
    return StreamView(schema.name, _aged(kafka, topics.input, partitions), count, exact)


def _members(admin: AdminClient, group: str, topic: str) -> dict[int, str]:
    """The instance that the group has assigned each partition of ``topic`` to."""
    try:
        described = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
    except KafkaException:
        return {}
    return {
        place.partition: member.client_id.removeprefix(CLIENT)
        for member in described.members
        if member.assignment is not None
        for place in member.assignment.topic_partitions
        if place.topic == topic
    }


def _told(kafka: Mapping[str, str], topics: Topics, count: int) -> dict[int, int]:
    """How far the group has told Kafka that it counted, by partition.

    A member that never joins asks: librdkafka's admin client dies with the whole process when the group's
    coordinator is just moving (https://github.com/confluentinc/librdkafka/pull/5318).
    """
    member = Consumer({**kafka, "group.id": topics.app, "enable.auto.commit": False}, logger=client_logger())
    try:
        found = member.committed([TopicPartition(topics.input, number) for number in range(count)], timeout=10)
    except KafkaException:
        return {}
    finally:
        member.close()
    return {place.partition: place.offset for place in found if place.offset >= 0}


def _engines(stream: str, entries: list[Entry], answers: Mapping[str, dict[str, Any]]) -> dict[str, _Engine]:
    """The engines of ``stream`` whose workers answer, by instance."""
    found: dict[str, _Engine] = {}
    for entry in entries:
        said = answers.get(entry.http or "")
        for engine in said["engines"] if said else ():
            if engine["stream"] == stream and engine["pid"] is not None:
                partitions = {int(number): part for number, part in engine["partitions"].items()}
                found[engine["instance"]] = _Engine(entry.worker, partitions)
    return found


def _owner(
    number: int, entries: list[Entry], engines: Mapping[str, _Engine], members: Mapping[int, str]
) -> tuple[str | None, bool, str, Mapping[str, Any]]:
    """``(worker, whether it runs, state, what it says of the partition)``."""
    for engine in engines.values():
        said = engine.partitions.get(number, {})
        if said.get("role") == "active":
            return engine.worker, True, str(said["state"]), said
    instance = members.get(number)
    entry = next((entry for entry in entries if entry.instance == instance), None)
    if entry is not None:
        if entry.http is None:  # the group hears from it, and nobody else can
            return entry.worker, True, "assigned", {}
        running = instance in engines
        return entry.worker, running, "assigned" if running else "not answering", {}
    if instance is not None:  # it has not written itself into the directory yet
        return instance.rpartition("-")[0] or instance, False, "not answering", {}
    claim = directory.owner_of(entries, entries[0].stream, number) if entries else None
    if claim is not None:
        return claim.worker, False, "not running", {}
    return None, False, "unassigned", {}


def _restored(said: Mapping[str, Any], changelog: Span | None) -> float | None:
    if not said:
        return None
    if said["state"] == "active" or changelog is None or changelog.end <= changelog.start:
        return 1.0
    done = int(said.get("stored", -1)) + 1 - changelog.start
    return round(min(1.0, max(0.0, done / (changelog.end - changelog.start))), 4)


def _letters(kafka: Mapping[str, str], spans: Mapping[Place, Span]) -> tuple[int, bool]:
    """How many dead letters there are; offsets also count the ends of transactions, so they are read."""
    offsets = sum(span.end - span.start for span in spans.values())
    if offsets == 0 or offsets > LETTERS_COUNTED:
        return offsets, offsets == 0
    with CommittedReader(kafka, client_logger()) as reader:
        batches = reader.read({place: span.start for place, span in spans.items()}, spans)
        return sum(len(batch) for batch in batches), True


def _aged(kafka: Mapping[str, str], topic: str, partitions: list[Part]) -> list[Part]:
    """With the age of the oldest record that is not counted, by the broker's clock, where that can be had in time."""
    behind = {part.partition: part for part in partitions if part.lag}
    if not behind:
        return partitions
    ages: dict[int, float] = {}
    consumer = Consumer(
        {
            "group.id": "streamgauge-status",
            **kafka,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": 1_100_000,
        },
        logger=client_logger(),
    )
    try:
        consumer.assign([TopicPartition(topic, part.partition, part.position) for part in behind.values()])
        deadline = time.monotonic() + LOOK_S
        while len(ages) < len(behind) and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            number = cast("int", message.partition())
            if number not in ages:
                ages[number] = max(0.0, round(time.time() - message.timestamp()[1] / 1000, 1))
                consumer.pause([TopicPartition(topic, number)])
    finally:
        consumer.close()
    return [
        replace(part, lag_seconds=ages.get(part.partition)) if part.partition in behind else part for part in partitions
    ]
