"""What the local broker is told, and what it is made of."""

from __future__ import annotations

import re

from ops.broker.jars import kafka_version, locked
from ops.broker.properties import server_properties


def properties() -> dict[str, str]:
    lines = server_properties(9092, 19093).splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_a_broker_listens_on_loopback_only() -> None:
    """Nobody from outside reaches a broker without a password."""
    hosts = re.findall(r"//([^:/]*):", properties()["listeners"] + properties()["advertised.listeners"])
    assert set(hosts) == {"127.0.0.1"}


def test_no_path_is_quoted_because_all_are_relative() -> None:
    """Java's properties files have quoting rules that a data directory's name could meet."""
    assert properties()["log.dirs"] == "kafka"
    assert not re.search(r"=.*/(?!/?\d)", re.sub(r"\w+://[\d.:]+", "", server_properties(1, 2)))


def test_one_broker_can_hold_every_internal_topic() -> None:
    """A replication factor of three would leave groups and transactions waiting for two brokers for ever."""
    factors = {key: value for key, value in properties().items() if key.endswith(("replication.factor", "min.isr"))}
    assert {"offsets.topic.replication.factor", "transaction.state.log.replication.factor"} < set(factors)
    assert set(factors.values()) == {"1"}


def test_a_misspelt_topic_is_an_error() -> None:
    """With automatic creation it would be an empty topic that nobody reads."""
    assert properties()["auto.create.topics.enable"] == "false"


def test_every_locked_jar_has_a_size_and_a_sum() -> None:
    """One without would be fetched unchecked."""
    jars = locked()
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in jars)
    assert len({jar.name for jar in jars}) == len(jars)


def test_all_of_kafka_has_one_version() -> None:
    """A resolver once chose a kafka-clients of another release, which breaks only when it is called."""
    assert {jar.version for jar in locked() if jar.group == "org.apache.kafka"} == {kafka_version()}
