"""The topics of a stream: made once, refused when they do not fit."""

# confluent_kafka exports names that its stubs call private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from ops.topics import ensure
from schemas.errors import TopicMismatch
from schemas.sites import SITES
from schemas.wire import WORKERS

from .conftest import Program

NAMES = [
    "sites",
    "sites.summaries",
    "streamgauge-sites-state-changelog",
    "dlq.sites",
    "dlq.sites.replayed",
    "streamgauge.workers",
]


def make(kafka: dict[str, Any], name: str, partitions: int, **config: str) -> None:
    topic = NewTopic(name, partitions, 1, config=config)
    admin = AdminClient(kafka)
    for made in admin.create_topics([topic], operation_timeout=10).values():
        made.result()
    while name not in admin.list_topics(timeout=10).topics:  # the broker's view lags behind what it has made
        pass


def config_of(kafka: dict[str, Any], name: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    admin = AdminClient(kafka)
    (answer,) = admin.describe_configs([resource]).values()
    config: Any = answer.result()
    return {key: entry.value for key, entry in config.items()}


def test_topics_are_made_once_with_what_each_needs(streamgauge: Program, kafka: dict[str, Any]) -> None:
    first = streamgauge("topics", "create", "sites", "--partitions", "3")
    second = streamgauge("topics", "create", "sites")
    assert first.code == second.code == 0
    assert first.out.splitlines() == [f"created {name}" for name in NAMES]
    assert (second.out, second.err) == ("", "all topics exist\n")
    counts = {name: len(topic.partitions) for name, topic in AdminClient(kafka).list_topics(timeout=10).topics.items()}
    assert [counts[name] for name in NAMES] == [3, 3, 3, 1, 1, 1]
    assert config_of(kafka, "sites")["message.timestamp.type"] == "LogAppendTime"
    assert config_of(kafka, "sites.summaries")["cleanup.policy"] == "compact"
    changelog = config_of(kafka, "streamgauge-sites-state-changelog")
    assert (changelog["cleanup.policy"], changelog["max.message.bytes"]) == ("compact", str(8 << 20))
    assert config_of(kafka, "dlq.sites")["retention.ms"] == str(30 * 86_400_000)
    assert config_of(kafka, WORKERS)["cleanup.policy"] == "compact"


def test_a_stream_has_the_topics_of_its_stages_and_of_its_rows(streamgauge: Program, kafka: dict[str, Any]) -> None:
    """Partials where entities cut across keys, and rows where they are published beside the summaries."""
    assert streamgauge("topics", "create", "products", "--partitions", "2").code == 0
    counts = {name: len(topic.partitions) for name, topic in AdminClient(kafka).list_topics(timeout=10).topics.items()}
    for name in ("products.rows", "products.partials", "streamgauge-products-merge-state-changelog"):
        assert (counts[name], config_of(kafka, name)["cleanup.policy"]) == (2, "compact")


def test_a_count_other_than_the_changelogs_is_refused(streamgauge: Program, kafka: dict[str, Any]) -> None:
    """The engine writes the state of partition p to partition p: nothing is adapted behind the person's back."""
    make(kafka, "sites", 3)
    make(kafka, "streamgauge-sites-state-changelog", 4, **{"cleanup.policy": "compact"})
    ended = streamgauge("topics", "create", "sites")
    assert ended.code == 1
    assert "sites has 3, streamgauge-sites-state-changelog has 4" in ended.err
    assert "dlq.sites" not in AdminClient(kafka).list_topics(timeout=10).topics


def test_an_asked_count_other_than_the_one_there_is_refused(sites: dict[str, Any]) -> None:
    with pytest.raises(TopicMismatch, match="have 4 partitions, not 8"):
        ensure(sites, SITES, 8)


def test_the_count_of_an_input_topic_that_exists_holds_for_the_rest(kafka: dict[str, Any]) -> None:
    """Somebody's producer made it before us."""
    admin = AdminClient(kafka)
    for made in admin.create_topics([NewTopic("sites", 5, 1)], operation_timeout=10).values():
        made.result()  # not waited for until it is visible: the broker may not list it yet
    ensure(kafka, SITES)
    topics = admin.list_topics(timeout=10).topics
    assert len(topics["sites.summaries"].partitions) == 5


def test_a_topic_that_would_lose_summaries_is_refused(kafka: dict[str, Any]) -> None:
    """A broker that makes topics by itself makes them with retention instead of compaction."""
    make(kafka, "sites.summaries", 8)
    with pytest.raises(TopicMismatch, match=r"sites\.summaries has cleanup.policy=delete, but needs compact"):
        ensure(kafka, SITES)


def test_more_copies_than_brokers_cannot_be_had(streamgauge: Program) -> None:
    ended = streamgauge("topics", "create", "--replication", "3")
    assert ended.code == 1
    assert "cannot be made: " in ended.err
    assert "Traceback" not in ended.err


def test_describe_shows_the_topics_and_names_missing_ones(streamgauge: Program, kafka: dict[str, Any]) -> None:
    missing = streamgauge("topics", "describe", "sites")
    assert missing.code == 1
    assert "missing: sites, sites.summaries" in missing.err
    ensure(kafka, SITES, 2)
    assert streamgauge("topics", "describe").out.splitlines()[1].split() == ["sites", "2", "1", "delete", "7d", "0"]
    (described,) = streamgauge("topics", "describe", "--json").lines
    assert [topic["topic"] for topic in described] == NAMES
    assert described[3] == {
        "topic": "dlq.sites",
        "partitions": 1,
        "replication": 1,
        "cleanup": "delete",
        "retention_ms": 2_592_000_000,
        "offsets": 0,
    }
