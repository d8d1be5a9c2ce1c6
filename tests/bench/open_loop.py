"""An open loop: records are sent by a clock, whether whoever counts them keeps up or not.

    with core(measured=False), reader, without_collections():
        sent = send(kafka, "sites", records, Pace(rate=20_000, warm_s=10, measured_s=30), tree)
        …                                      # until all of them are counted
    loop = sent.loop(due, steps)               # its latencies, CPU and lateness

A record's latency runs from the moment at which it was due to be sent (not from when a busy sender came to it) to
the moment at which a ``read_committed`` reader is handed the first summary that counts it. Records of one group (a
partition, a site) are counted in the order in which they were sent, so that is the first summary whose count reaches
the record's number.

>>> due = {"7": [1.0, 1.2, 1.4]}
>>> [round(ms) for ms in latencies_ms(due, {"7": [Step(1.5, 2), Step(1.6, 3)]}, begin=1.1)]
[200, 300]
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_left
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from confluent_kafka import KafkaError, Message, Producer

from tests.bench.figures import Cell
from tests.bench.measure import Tree

TICK_S = 0.005
COLUMNS = ("p50 ms", "p99 ms", "p99.9 ms", "% of a core", "CPU µs an event", "sender late, ms")
"""The heads of a `Loop`'s cells."""

Group = TypeVar("Group")


class Record(NamedTuple):
    """What is sent."""

    value: bytes
    key: bytes
    partition: int


class Pace(NamedTuple):
    """How fast, and how long.

    >>> Pace(rate=400, warm_s=10, measured_s=20).events
    12000
    """

    rate: int
    """Records a second."""
    warm_s: float
    measured_s: float

    @property
    def events(self) -> int:
        """How many records that takes."""
        return int(self.rate * (self.warm_s + self.measured_s))


class Step(NamedTuple):
    """A summary of a group, seen."""

    at: float
    """When it was handed over, by ``time.monotonic``."""
    counted: int
    """Of the group's records that it counts."""


class Loop(NamedTuple):
    """What an open loop gave."""

    pace: Pace
    latencies_ms: list[float]
    """Of each record of the measured part, sorted."""
    cpu_s: float
    """Of whoever counts, while the measured part was sent; 0 without one."""
    late_ms: float
    """How far the sender was behind its clock at the worst: beyond some ms the figures are the sender's."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Its part of a table's row, below `COLUMNS`."""
        found = [percentile(self.latencies_ms, share) for share in (0.5, 0.99, 0.999)]
        share = self.cpu_s / self.pace.measured_s
        cpu: tuple[Cell, ...] = (share * 100, share / self.pace.rate * 1e6) if self.cpu_s else ("", "")
        return *found, *cpu, self.late_ms


class Sent(NamedTuple):
    """What the sender knows."""

    pace: Pace
    due: list[float]
    """When each record was due, by ``time.monotonic``."""
    warm: float
    """From when on it is measured."""
    cpu_s: float
    late_ms: float

    def loop(self, due: Mapping[Group, Sequence[float]], steps: Mapping[Group, Sequence[Step]]) -> Loop:
        """What it gave, `due` and the summaries sorted by group."""
        return Loop(self.pace, latencies_ms(due, steps, self.warm), self.cpu_s, self.late_ms)


def send(kafka: Mapping[str, str], topic: str, records: Sequence[Record], pace: Pace, tree: Tree | None = None) -> Sent:
    """Send ``records``, each in the tick in which it is due; all of them are acknowledged in the end.

    Args:
        kafka: client properties.
        topic: where they go.
        records: as many as ``pace`` takes.
        pace: the clock.
        tree: whose CPU is measured.

    Raises:
        RuntimeError: the broker did not take some of them: nothing can be said of who counts them.
    """
    lost: list[KafkaError] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            lost.append(error)

    # An idempotent producer has five requests under way; while a sixth waits, librdkafka's thread spins, on the
    # core that the broker needs to answer. Without repetitions a record's offset is its place in the order, too.
    producer = Producer(
        {
            **kafka,
            "acks": "all",
            "retries": 0,
            "linger.ms": 2,
            "queue.buffering.max.messages": 0,
            "log_level": 0,
            "on_delivery": note,
            "delivery.report.only.error": True,
        }
    )
    producer.list_topics(topic)  # connected, and told of the partitions, before the clock starts
    produce, due = producer.produce, [0.0] * len(records)
    cpu_s, late_s, is_warm = 0.0, 0.0, False
    begin = time.monotonic()
    for first in range(0, len(records), each := max(1, int(pace.rate * TICK_S))):
        at = begin + first / pace.rate
        rest = at - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        if is_warm:
            late_s = max(late_s, time.monotonic() - at)
        elif at >= begin + pace.warm_s:
            is_warm, cpu_s = True, tree.cpu_s() if tree else 0.0
        for value, key, partition in records[first : first + each]:
            produce(topic, value, key, partition)
        due[first : first + each] = [at] * len(due[first : first + each])
        producer.poll(0)
    cpu_s = tree.cpu_s() - cpu_s if tree else 0.0
    producer.flush()
    if lost:
        raise RuntimeError(f"{len(lost)} of {len(records)} records were not sent, first: {lost[0]}")
    return Sent(pace, due, begin + pace.warm_s, cpu_s, late_s * 1000)


@contextmanager
def without_collections() -> Generator[None]:
    """The garbage collector looks through a million records whenever it runs, and the sender is late meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def latencies_ms(
    due: Mapping[Group, Sequence[float]], steps: Mapping[Group, Sequence[Step]], begin: float
) -> list[float]:
    """Of all records that were due at ``begin`` or later, sorted.

    Args:
        due: of each group when its records were due, in their order.
        steps: of each group its summaries that count more than any before; the last ones count everything.
        begin: by ``time.monotonic``, as are all moments.
    """
    found: list[float] = []
    for group, moments in due.items():
        seen = steps.get(group, ())
        counts = [step.counted for step in seen]
        found += [
            (seen[bisect_left(counts, number)].at - moment) * 1000
            for number, moment in enumerate(moments, 1)
            if moment >= begin
        ]
    return sorted(found)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of sorted ``values`` that ``share`` of them do not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    return values[max(0, -int(-len(values) * share // 1) - 1)]
