"""What an engine process is told: plain data, made by the command line's settings.

>>> settings = EngineSettings(
...     kafka={"bootstrap.servers": "127.0.0.1:9092"}, state_dir=Path("state"), worker="a", instance="a-0", partitions=8
... )
>>> settings.epoch_s, settings.memory_bytes
(0.5, 1073741824)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class EngineSettings:
    """The settings of one engine process.

    Args:
        kafka: librdkafka client properties.
        state_dir: this process's own directory.
        worker: the worker's id, as people gave it.
        instance: this process's id in the group, unique to the stream.
        partitions: how many the stream's topics have.
        epoch_s: how long an epoch lasts at the most, in seconds; one follows the other after so long.
        standbys: how many other processes follow each partition.
        memory_bytes: the budget of rows, block cache and memtables, of all partitions together.
        skip_lost: go on, with a dead letter, where retention removed input that was never counted.
        topic_ids: what Kafka calls the input topics (of counting, of merging), by name: one that was deleted and made
            anew has another id. Of a topic that is not named here it is not asked.
        advertise: ``HOST:PORT`` at which others can ask this worker.
        leave: leave the group at the stop (scaling in) instead of keeping the place for a restart.
    """

    kafka: Mapping[str, str]
    state_dir: Path
    worker: str
    instance: str
    partitions: int
    epoch_s: float = 0.5
    standbys: int = 0
    memory_bytes: int = 1 << 30
    skip_lost: bool = False
    topic_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    advertise: str | None = None
    leave: bool = False
