"""Clusters that are made for one kind of trouble: several brokers, or a changelog that is compacted all the time.

Case(seed, load, rate=1_000, cluster=compacting, …)      # a case takes what makes its cluster
"""

# confluent_kafka exports names that its stubs call private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from ops.registry import stream as stream_named
from ops.topics import ensure
from tests.cluster import Cluster
from tests.faults.checker import read
from tests.nodes import Nodes

PARTITIONS = 4
ALWAYS_COMPACTED = {
    # A segment can be compacted when it is closed, and is due as soon as anything of it is outdated.
    "segment.ms": "1000",
    "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0.0",
}


class NodesCluster(Cluster):
    """Workers on `Nodes`, whose topics have a copy on each of up to three of them.

    Args:
        folder: where everything is kept.
        stream: what the workers count.
        nodes: the brokers.
        changelog: settings of the changelog.
    """

    def __init__(self, folder: Path, stream: str, nodes: Nodes, changelog: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, stream)
        self.nodes = nodes
        self.bootstrap = nodes.bootstrap()
        self._changelog = dict(changelog or {})

    def stand_on(self, standing: ExitStack) -> None:
        """The nodes, and the stream's topics on them."""
        standing.enter_context(self.nodes)
        schema = stream_named(self.stream).schema
        ensure(self.kafka, schema, PARTITIONS, min(3, len(self.nodes.numbers)))
        if self._changelog:
            change(self.kafka, schema.topics.changelog, self._changelog)

    def entries(self) -> tuple[int, int]:
        """How many entries the changelog holds now, and how many it was sent at the least: one for each summary."""
        topics = stream_named(self.stream).schema.topics
        return len(read(self.kafka, topics.changelog)), len(read(self.kafka, topics.summaries))


def compacting(folder: Path, stream: str) -> NodesCluster:
    """A broker that compacts the changelog every second, whatever there is to compact."""
    nodes = Nodes(folder / "nodes", properties={"log.cleaner.backoff.ms": "200"})
    return NodesCluster(folder, stream, nodes, ALWAYS_COMPACTED)


def change(kafka: Mapping[str, str], topic: str, settings: Mapping[str, str]) -> None:
    """Change settings of a topic."""
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient(dict(kafka))
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(20)
