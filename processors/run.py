"""A run: a contiguous slice ``[first, next)`` of one partition; the unit that moves through a worker.

Offsets in the slice that hold no record (transaction markers, aborted or compacted records) belong to the run that
covers them, so positions add up without a look at single records. Its records lie in packets, which nobody opens
before they are counted: packed as they were sent, they take a fifth of the memory.

>>> run = Run("sites", 0, first=5, next=8, packets=[Loose([Record(5, b"a"), Record(7, b"b")])], end=8)
>>> run.since(6), [record.value for record in run.since(6).records()]
(Run(sites-0 [6, 8), 1 records), [b'b'])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class KafkaRecord(Protocol):
    """A record as aiokafka parses it."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Epoch milliseconds: the broker's clock on an input topic."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its value."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Its headers."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """A record made by hand: for the in-memory log of tests and plug-in authors."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()


class Packet(Protocol):
    """Records of one partition that lie together, in the order of their offsets."""

    @property
    def first(self) -> int:
        """The first offset that it may hold."""
        ...

    @property
    def next(self) -> int:
        """The offset after the last that it may hold."""
        ...

    @property
    def nbytes(self) -> int:
        """What it takes in memory, about."""
        ...

    def __len__(self) -> int:
        """How many records it holds; as many at the most, where compaction thinned it out or it is cut."""
        ...

    def records(self) -> Sequence[KafkaRecord]:
        """Open it. Each call does so anew, and what it gives is not kept."""
        ...

    def since(self, offset: int) -> Packet:
        """The same without what lies below ``offset``."""
        ...


class Loose:
    """A packet of records made by hand.

    Args:
        records: in the order of their offsets.
    """

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[KafkaRecord]) -> None:
        self._records = records

    @property
    def first(self) -> int:
        """The offset of its first record."""
        return self._records[0].offset

    @property
    def next(self) -> int:
        """The offset after its last record."""
        return self._records[-1].offset + 1

    @property
    def nbytes(self) -> int:
        """Of its values."""
        return sum(len(record.value or b"") for record in self._records)

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> Sequence[KafkaRecord]:
        """The records that it was made of."""
        return self._records

    def since(self, offset: int) -> Loose:
        """The records from ``offset`` on."""
        return Loose([record for record in self._records if record.offset >= offset])


class Run:
    """Records of one partition, and the offsets ``[first, next)`` that they account for.

    Args:
        topic: the partition's topic.
        partition: its number.
        first: the first offset accounted for.
        next: the offset after the last one accounted for.
        packets: what is there, in offset order.
        end: the end of the partition's committed part when the run was fetched.
    """

    __slots__ = ("__weakref__", "end", "first", "next", "packets", "partition", "topic")

    def __init__(
        self, topic: str, partition: int, *, first: int, next: int, packets: Sequence[Packet], end: int
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.first = first
        self.next = next
        self.packets = packets
        self.end = end

    def __len__(self) -> int:
        return sum(map(len, self.packets))

    def __repr__(self) -> str:
        return f"Run({self.topic}-{self.partition} [{self.first}, {self.next}), {len(self)} records)"

    def records(self) -> list[KafkaRecord]:
        """All records, out of their packets."""
        return [record for packet in self.packets for record in packet.records()]

    def since(self, offset: int) -> Run:
        """The part of the run from ``offset`` on: what is left when the rest was counted before."""
        if offset <= self.first:
            return self
        first = min(offset, self.next)
        above = [
            packet if packet.first >= first else packet.since(first) for packet in self.packets if packet.next > first
        ]
        return Run(self.topic, self.partition, first=first, next=self.next, packets=above, end=self.end)
