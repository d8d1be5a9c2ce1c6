"""A run: a contiguous slice ``[first, next)`` of one partition; the unit that moves through a worker.

Offsets in the slice that hold no record (transaction markers, aborted or compacted records) belong to the run that
covers them, so positions add up without a look at single records.

>>> run = Run("sites", 0, first=5, next=8, records=[Record(5, b"a"), Record(7, b"b")], end=8)
>>> run.since(6), [record.value for record in run.since(6).records]
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


class Run:
    """Records of one partition, and the offsets ``[first, next)`` that they account for.

    Args:
        topic: the partition's topic.
        partition: its number.
        first: the first offset accounted for.
        next: the offset after the last one accounted for.
        records: what is there, in offset order.
        end: the end of the partition's committed part when the run was fetched.
        nbytes: of the values; what `since` cuts off stays counted.
    """

    __slots__ = ("__weakref__", "end", "first", "nbytes", "next", "partition", "records", "topic")

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        first: int,
        next: int,
        records: Sequence[KafkaRecord],
        end: int,
        nbytes: int = 0,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.first = first
        self.next = next
        self.records = records
        self.end = end
        self.nbytes = nbytes

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"Run({self.topic}-{self.partition} [{self.first}, {self.next}), {len(self.records)} records)"

    def since(self, offset: int) -> Run:
        """The part of the run from ``offset`` on: what is left when the rest was counted before."""
        if offset <= self.first:
            return self
        return Run(
            self.topic,
            self.partition,
            first=min(offset, self.next),
            next=self.next,
            records=[record for record in self.records if record.offset >= offset],
            end=self.end,
            nbytes=self.nbytes,
        )
