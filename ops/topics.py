"""The topics of a stream: which there must be, made when missing, refused when they do not fit.

    ensure(settings.kafka, stream.schema)          # idempotent; what is missing gets the defaults

Input, summaries and changelog of a stream have one partition count: the engine writes the summaries and the state
of source partition *p* to partition *p*. A topic that says otherwise is a `TopicMismatch`, never adapted.
"""

# confluent_kafka types its admin results as Future[Unknown] and exports names that its stubs call private.
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.kafka import answered, connect
from schemas.errors import StreamgaugeError, TopicMismatch
from schemas.outage import passes
from schemas.wire import BATCH_BYTES, DEFAULT_PARTITIONS, WORKERS, merge_topics

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, TopicMetadata

    from schemas.schema import Schema

LETTERS_KEPT_MS = 30 * 86_400_000
_BATCH = {"max.message.bytes": str(BATCH_BYTES)}
_COMPACTED = {"cleanup.policy": "compact", **_BATCH}
_CHANGELOG = {**_COMPACTED, "delete.retention.ms": str(24 * 3_600_000)}
"""A local store that was away for less than a day is believed (`processors.store`), so removals are kept that long."""
_VISIBLE_S = 60.0
"""How long the cluster may take to show what was created: hundreds of partitions, on a machine that is busy."""


@dataclass(frozen=True)
class Topic:
    """A topic as it must be.

    Args:
        name: of the topic.
        partitions: its own count, or None where the stream's count holds.
        config: what is set when it is made.
        required: which of ``config`` must hold of a topic that exists.
    """

    name: str
    partitions: int | None
    config: Mapping[str, str]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A topic as it is; ``partitions`` is 0 when it is missing."""

    name: str
    partitions: int
    replication: int = 0
    cleanup: str = ""
    """``delete`` or ``compact``; empty when we may not know."""
    retention_ms: int | None = None
    """How long records are kept; None: for ever, or until a newer one of their key."""
    offsets: int = 0
    """From the log's start to its end, over all partitions: an upper bound of its records."""


def wanted(schema: Schema[Any]) -> list[Topic]:
    """The topics of one stream and the one that all workers share."""
    names = schema.topics
    changelogs = [names.changelog, *([merge_topics(schema.name).changelog] if schema.merges else [])]
    more = [names.partials] if schema.merges else []
    if names.rows:
        more.append(names.rows)
    return [
        # The first is the one whose partition count decides.
        # LogAppendTime: `in the future` and the age of lag are measured against the broker's clock, not a client's.
        Topic(names.input, None, {"message.timestamp.type": "LogAppendTime"}),
        Topic(names.summaries, None, _COMPACTED, ("cleanup.policy",)),
        *(Topic(name, None, _CHANGELOG, tuple(_CHANGELOG)) for name in changelogs),
        *(Topic(name, None, _COMPACTED, ("cleanup.policy", "max.message.bytes")) for name in more),
        Topic(names.dead_letters, 1, {"retention.ms": str(LETTERS_KEPT_MS), **_BATCH}),
        Topic(names.replayed, 1, {"cleanup.policy": "compact"}, ("cleanup.policy",)),
        Topic(WORKERS, 1, {"cleanup.policy": "compact"}, ("cleanup.policy",)),
    ]


def ensure(
    kafka: Mapping[str, str],
    schema: Schema[Any],
    partitions: int | None = None,
    replication: int = 1,
    *,
    admin: AdminClient | None = None,
) -> list[str]:
    """Make what is missing of a stream's topics; twice is once.

    Args:
        kafka: client properties.
        schema: of the stream.
        partitions: of the stream; None takes the count of what exists already, else `DEFAULT_PARTITIONS`.
        replication: copies of each partition that is made.
        admin: a client that is connected already; without it one is made.

    Returns:
        The names of the topics that were made.

    Raises:
        TopicMismatch: one exists and does not fit.
        StreamgaugeError: the cluster refused.
    """
    connected = admin or connect(kafka)
    topics = wanted(schema)
    have = answered(lambda: connected.list_topics(timeout=10)).topics
    made: list[str] = []
    # What one broker says may lag behind: a topic that it does not list may exist. So the input topic comes first,
    # alone, and its count, whoever made it, decides for the rest.
    for step in (topics[:1], topics):
        count = _stream_count(topics, have, partitions)
        missing = [topic for topic in step if topic.name not in have]
        _check_config(connected, [topic for topic in topics if topic.name in have])
        if missing:
            made += _create(connected, missing, count, replication)
        # Also those that exist: somebody else may be making them at this moment.
        have = _await_leaders(connected, [topic.name for topic in step])
    _stream_count(topics, have, partitions)
    return made


def describe(admin: AdminClient, schema: Schema[Any]) -> list[Found]:
    """The stream's topics as they are, missing ones included.

    Raises:
        TopicMismatch: one does not fit the others.
    """
    from sinks.committed import committed_spans

    topics = wanted(schema)
    have = answered(lambda: admin.list_topics(timeout=10)).topics
    _stream_count(topics, have, None)
    present = [topic.name for topic in topics if topic.name in have]
    config = _config(admin, present)
    offsets = dict.fromkeys(present, 0)
    for (name, _), span in committed_spans(admin, {name: len(have[name].partitions) for name in present}).items():
        offsets[name] += span.end - span.start
    return [
        Found(
            topic.name,
            len(have[topic.name].partitions),
            min(len(p.replicas) for p in have[topic.name].partitions.values()),
            *_kept(config.get(topic.name, {})),
            offsets[topic.name],
        )
        if topic.name in have
        else Found(topic.name, 0)
        for topic in topics
    ]


def state_name(admin: AdminClient, schema: Schema[Any]) -> str:
    """What tells the stream's changelogs from others of their names, in other clusters or deleted and made anew.

    Local state is a copy of a changelog, and of that one only. Offsets alone would not do: as soon as a new changelog
    is longer than the old one was (``broker stop --wipe``), the copy of the old one would pass for a part of it.

    Args:
        admin: connected.
        schema: of the stream, whose topics exist.

    Returns:
        The ids that Kafka gave the topics, fit for a directory's name: librdkafka writes them in base64, and of 64
        ids one begins with a slash, with which the state would lie at the root of the machine.
    """
    from confluent_kafka import TopicCollection

    names = [schema.topics.changelog, *([merge_topics(schema.name).changelog] if schema.merges else [])]

    def ask() -> str:
        found = admin.describe_topics(TopicCollection(names), request_timeout=10)
        return "+".join(str(found[name].result().topic_id).replace("/", "_") for name in names)

    return answered(ask)


def input_ids(admin: AdminClient, schema: Schema[Any]) -> dict[str, str]:
    """What Kafka calls the topics that the stages of the stream count, by name: made anew, a topic has another id.

    Args:
        admin: connected.
        schema: of the stream, whose topics exist.
    """
    from confluent_kafka import TopicCollection

    names = [schema.topics.input, *([schema.topics.partials] if schema.merges else [])]

    def ask() -> dict[str, str]:
        found = admin.describe_topics(TopicCollection(names), request_timeout=10)
        return {name: str(found[name].result().topic_id) for name in names}

    return answered(ask)


def _kept(config: Mapping[str, str]) -> tuple[str, int | None]:
    """The clean-up policy, and the retention where that policy has one."""
    cleanup, retention_ms = config.get("cleanup.policy", ""), int(config.get("retention.ms", -1))
    return cleanup, retention_ms if "delete" in cleanup and retention_ms >= 0 else None


def _stream_count(topics: list[Topic], have: Mapping[str, TopicMetadata], asked: int | None) -> int:
    """The one partition count of a stream's topics."""
    counts = {topic.name: len(have[topic.name].partitions) for topic in topics if topic.name in have}
    shared = {topic.name: counts[topic.name] for topic in topics if topic.partitions is None and topic.name in counts}
    if len(set(shared.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in shared.items())
        raise TopicMismatch(
            f"the topics of a stream must have one partition count, but {listed}; delete one that was made wrong "
            f"(kafka-topics --delete) and run: streamgauge topics create. {_way_to_change(topics[0].name)}"
        )
    found = next(iter(shared.values()), None)
    if asked is not None and found is not None and asked != found:
        raise TopicMismatch(
            f"{', '.join(shared)} have {found} partitions, not {asked}; leave --partitions away. "
            f"{_way_to_change(topics[0].name)}"
        )
    if counts.get(WORKERS, 1) != 1:
        raise TopicMismatch(f"{WORKERS} has {counts[WORKERS]} partitions, not 1; delete it, and it is made anew")
    return found or asked or DEFAULT_PARTITIONS


def _way_to_change(stream: str) -> str:
    """Keys lie, and have their state, where the count of their time put them; so all of it goes."""
    return (
        f"To change the count of a stream: stop its workers, delete its topics and the directories {stream} below "
        f"DATA/workers, run: streamgauge topics create {stream} --partitions N, and replay its input"
    )


def _check_config(admin: AdminClient, topics: list[Topic]) -> None:
    """Refuse a topic that would lose what must be kept, as one that a broker made by itself would."""
    config = _config(admin, [topic.name for topic in topics if topic.required])
    for topic in topics:
        for key in topic.required:
            value = config.get(topic.name, {}).get(key)
            if value is None:
                continue
            fits = int(value) >= int(topic.config[key]) if value.isdigit() else value == topic.config[key]
            if not fits:
                raise TopicMismatch(
                    f"{topic.name} has {key}={value}, but needs {topic.config[key]}; change it: "
                    f"kafka-configs --alter --entity-type topics --entity-name {topic.name} "
                    f"--add-config {key}={topic.config[key]}"
                )


def _config(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """The configuration of topics; nothing of those that we may not ask about."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType

    if not names:
        return {}

    def ask() -> dict[str, dict[str, str]]:
        # The client's own limit: a future that is waited for in less raises an error that tells nothing.
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        config: dict[str, dict[str, str]] = {}
        for resource, answer in admin.describe_configs(resources, request_timeout=10).items():
            try:
                config[resource.name] = {key: entry.value for key, entry in answer.result().items()}
            except KafkaException as error:
                if error.args[0].name() not in {"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}:
                    raise
        return config

    return answered(ask)


def _create(admin: AdminClient, topics: list[Topic], count: int, replication: int) -> list[str]:
    """Make ``topics``; the names of those that nobody else made at the same time."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewTopic

    news = [NewTopic(t.name, t.partitions or count, replication, config=dict(t.config)) for t in topics]
    made: set[str] = set()

    def ask() -> None:
        for name, answer in admin.create_topics(news, operation_timeout=10, request_timeout=20).items():
            try:
                answer.result()
                made.add(name)
            except KafkaException as error:
                if passes(error.args[0]):
                    raise
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":  # somebody was as quick as we, or we a moment ago
                    raise StreamgaugeError(f"the topic {name} cannot be made: {error.args[0].str()}") from error

    answered(ask)
    return [topic.name for topic in topics if topic.name in made]


def _await_leaders(
    admin: AdminClient, names: list[str], clock: Callable[[], float] = time.monotonic
) -> Mapping[str, TopicMetadata]:
    """Wait until every partition has a leader that answers: a client that comes next must find them.

    Returns:
        All topics there are then.
    """
    from confluent_kafka import KafkaException

    from sinks.committed import committed_spans

    deadline = clock() + _VISIBLE_S
    while True:
        try:
            have = admin.list_topics(timeout=10).topics
            if all(name in have and all(p.leader >= 0 for p in have[name].partitions.values()) for name in names):
                committed_spans(admin, {name: len(have[name].partitions) for name in names})
                return have
        except KafkaException as error:
            if not passes(error.args[0]):
                raise
        if clock() > deadline:
            raise StreamgaugeError(f"{', '.join(names)}: no leader after {_VISIBLE_S:g} s; are all brokers up?")
        time.sleep(0.05)
