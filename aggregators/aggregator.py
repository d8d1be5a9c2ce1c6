"""What an aggregator is: the meaning of one stream's summaries, and nothing else (no Kafka, files, clock, logging).

The engine decodes runs, hands them over in batches as large as an epoch allows, and publishes what changed. An
aggregator that has `columns` gets the records some thousands at a time, before the batch is whole:

    changes = aggregator.update(rows, Batch(records, broker_ms))
    for entity in changes.entities:
        publish(entity, aggregator.summary(rows, entity))

Laws, which `aggregators.laws` tests for any aggregator:

* **Split**: any cut of the same records into batches and epochs leaves the same rows, byte for byte.
* **Order and duplication**: where a stream promises it, any order of arrival and any repetition does too.
* **Cost**: a batch costs O(its records · log history), never O(history).
* **Memory**: forgetting kept objects between two batches changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from aggregators.rows import Rows

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Batch(NamedTuple, Generic[R]):
    """Good records of one partition, in the order of their offsets."""

    records: Sequence[R]
    broker_ms: Sequence[int]
    """When the broker took each record in, epoch milliseconds (``in the future`` is measured against it)."""
    columns: Any = None
    """What `Aggregator.columns` gave and the engine has filled; ``records`` is empty then."""


class Columns(Protocol[R_contra]):
    """What an aggregator keeps of records that it takes in while they are decoded, some thousands at a time."""

    def extend(self, records: Sequence[R_contra], /) -> None:
        """Take records in."""
        ...


@dataclass
class Changes:
    """What a batch did."""

    entities: Iterable[str] = ()
    """Each entity whose summary may have changed, once."""
    refused: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """``(index into the batch, reason)`` of each record that only state could refuse: `TOO_LATE`, …"""
    published: Mapping[bytes, dict[str, Any] | Struct | None] = field(default_factory=dict[bytes, Any])
    """What changed of the stream's other topic, ``<stream>.rows`` (`Schema.row`), by its key: the newest value, without
    its ``revision``; None removes it. A key belongs to one partition of the input, so its order is kept."""


TOO_LATE = "too late"
IN_THE_FUTURE = "in the future"
WRONG_PARTITION = "wrong partition"


@dataclass(frozen=True)
class Unanswerable:
    """Instead of the answer to a question that this key's state cannot answer, though that of other keys can."""

    reason: str


@dataclass(frozen=True)
class Counting:
    """What a person can set about counting. Times are event time in milliseconds."""

    retention_ms: int | None = None
    """None: unlimited."""
    max_ahead_ms: int | None = None
    """0: off. None: nobody said anything, see `ahead_ms`."""
    idle_ms: int = 30 * 60_000
    grace_ms: int = 5 * 60_000
    threshold: float = 0.3
    dimensions: tuple[str, ...] = ()
    sketch: bool = False

    def ahead_ms(self, default: int | None = None) -> int | None:
        """How far a record's event time may be ahead of the broker's clock; None: any.

        Args:
            default: of the stream, where nobody said anything.
        """
        return default if self.max_ahead_ms is None else self.max_ahead_ms or None


class Aggregator(ABC, Generic[R]):
    """One stream's summaries. One object serves all partitions of a process: it holds no state of its own."""

    version: int = 1
    """Of the rows' format. A store or changelog of another version is refused."""

    needs_broker_time: bool = False
    """Whether `update` looks at ``Batch.broker_ms`` (empty where it does not: a look at each record costs)."""

    batch_records: int = 131_072
    """So many records make a batch, however soon. Where a batch costs by its entities, a backlog is cut coarsely; where
    each record changes rows of its own, all of them are in memory until they are committed, and less is cheaper."""

    def __init_subclass__(cls, **words: Any) -> None:
        """Refuse a class that would ask `summary` for `summaries`, and that for `summary`, without an end.

        Raises:
            TypeError: it defines neither.
        """
        super().__init_subclass__(**words)
        if cls.summary is Aggregator[Any].summary and cls.summaries is Aggregator[Any].summaries:
            raise TypeError(f"{cls.__name__} must define summary, or summaries: what is published of an entity")

    @abstractmethod
    def update(self, rows: Rows, batch: Batch[R]) -> Changes:
        """Count ``batch``. When it returns, all it did is in ``rows``."""

    def columns(self) -> Columns[R] | None:
        """What takes in the records of a batch, to be its `Batch.columns`; None: they are wanted as they are."""
        return None

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """The summary of ``entity`` without its ``revision``, as it is published; None removes it (a tombstone).

        Where entities cut across keys (``Schema.merges``): this partition's share of it, absolute. An aggregator
        defines this, or `summaries`, or both.
        """
        return self.summaries(rows, [entity])[0]

    def summaries(self, rows: Rows, entities: Sequence[str]) -> list[dict[str, Any] | None]:
        """`summary` of each of ``entities``; for an aggregator that has a cheaper way for many."""
        return [self.summary(rows, entity) for entity in entities]

    def merge(self, entity: str, shares: Sequence[dict[str, Any]]) -> dict[str, Any] | None:  # noqa: ARG002
        """The summary of ``entity`` from what `summary` gave in each partition; only where entities cut across keys.

        Associative and commutative, whatever the order of ``shares`` (there is at least one). None removes the entity.
        """
        raise TypeError(f"{type(self).__name__} has no entities that cut across keys, so there is nothing to merge")

    @abstractmethod
    def keys(self, rows: Rows) -> Iterator[str]:
        """The stream's keys that have state here, in no particular order."""

    @abstractmethod
    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """A question about one key that the summary does not answer, as plain JSON-able data.

        Every aggregator answers ``state`` (all that is known of the key, for people). Returns None when the key
        has no state here, and `Unanswerable` where what was asked for is folded.

        Raises:
            LookupError: no such view.
            ValueError: an argument does not fit.
        """
