"""One partition of a stream: its rows, its stamp and its open epoch. No Kafka, no files, no clock of its own.

    partition.accept(run)            # counts it, or says that offsets are missing before it
    epoch = partition.seal()         # what changed since the last epoch
    offset = log.commit(epoch)       # durable: all of it or nothing
    partition.committed(epoch, offset)
    partition.settle()               # committed rows into the local store, some epochs at once

Invariants, checked here and on in production:

* ``stamp.offset`` ≤ ``position`` ≤ the source's end; neither falls, unless what waits is given up (`give_up_waiting`).
* A run is counted at most once: what lies below ``position`` is cut, a gap above it is refused.
* One epoch is under way at a time, while the next one fills.
* The store receives committed epochs only, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.json import Encoder

from aggregators.aggregator import Aggregator, Batch
from aggregators.homes import partitions_of
from aggregators.rows import Changes, Rows, Store
from processors.epoch import BY_KEY, STAMP_KEY, Epoch, Letter, Output, Stamp, letter_of, lost_letter
from processors.run import Run
from processors.waiting import Waiting
from schemas.errors import StateError, StateRefused
from schemas.partial import Partial, encode, key_of
from schemas.schema import Schema

R = TypeVar("R")

_lines = Encoder().encode_lines

BATCH_BYTES = 64 << 20
"""Input, as it was fetched, that makes a batch by its bytes: what a process holds of a partition's at the most, and a
crash reads again. By its records, `Aggregator.batch_records` does."""
TURN = 0.618034
"""Epochs end at ticks that are an epoch apart; those of partition ``n`` come ``n`` times this share of an epoch after
those of partition 0. Any few numbers are spread over an epoch by it, so that partitions do not wait for each other."""
BATCH_ROWS = 65_536
"""A batch ends where it would change more rows, going by the last one. All of them are in memory until the commit, with
what the aggregator made of them, in each partition: 2.5 kB for each new site. Where a row changes but once in a batch,
nothing is saved by a larger one."""
LETTERS_BYTES = 32 << 20
"""Dead letters hold opened values, each up to a megabyte. With more than this an epoch ends, wherever it is."""
BEHIND_RECORDS = 32_768
"""With more input waiting, a partition is behind."""
BEHIND_EPOCH_S = 20.0
"""Behind, an epoch lasts until it holds a batch, or so long: rows that change again and again are then sent once, and
nobody waits for a summary that is about to be outdated."""


class WritableStore(Store, Protocol):
    """A store that holds a prefix of the changelog."""

    offset: int

    def write(self, rows: Changes, offset: int, /) -> None:
        """Write committed rows and the changelog offset of the last of them, at once."""
        ...


@dataclass(slots=True)
class Counters:
    """What a partition has done since this process took it over."""

    records: int = 0
    epochs: int = 0
    outputs: int = 0
    rows: int = 0
    row_bytes: int = 0
    replayed: int = 0
    letters: dict[str, int] = field(default_factory=dict[str, int])


class Partition(Generic[R]):
    """The counting of one source partition.

    Args:
        schema: of the stream.
        aggregator: of the stream.
        rows: of the partition, over ``store``.
        store: what holds them between two lives of the process.
        position: where counting begins (`start_position`).
        clock: seconds, monotonic.
        epoch_s: how long an epoch lasts at the most; one follows the other after so long.
        topic_id: of the source (`Stamp`).
    """

    def __init__(
        self,
        schema: Schema[R],
        aggregator: Aggregator[R],
        rows: Rows,
        store: WritableStore,
        *,
        position: int,
        clock: Callable[[], float],
        epoch_s: float,
        topic_id: str = "",
    ) -> None:
        self.number = rows.partition
        self.rows = rows
        self.store = store
        self.position = position
        """The next source offset to count."""
        self.end = position
        """The source's committed end, as last heard."""
        self.stamp = Stamp(position, aggregator.version, topic_id)
        """What is durable."""
        self._topic_id = topic_id
        self._counted = position
        """The next source offset that is not counted: what lies between it and `position` waits."""
        self.counters = Counters()
        self._schema = schema
        self._decoder = schema.decoder
        self._topic = schema.topics.input
        self._group = schema.topics.app
        self._aggregator = aggregator
        self._batch_records = aggregator.batch_records
        """How many records make the next batch full."""
        self._outputs = self._partials if schema.merges else self._summaries
        self._clock = clock
        self._epoch_s = epoch_s
        self._waiting = Waiting()
        self._changed: dict[str, None] = {}
        self._published: dict[bytes, dict[str, Any] | Struct | None] = {}
        self._letters: list[Letter] = []
        self._records = 0
        self._opened_at: float | None = None
        self._under_way: Epoch | None = None
        self._committed_to = -1
        """The changelog offset of the last stamp that was committed here."""

    # -- counting

    def accept(self, run: Run) -> bool:
        """Take ``run`` into the open epoch.

        Returns:
            False when offsets are missing between what is counted and the run: seek back to ``position``. A run that
            is counted already is taken and changes nothing.
        """
        self.end = max(self.end, run.end)
        if run.first > self.position:
            return False
        if run.first < self.position:
            self.counters.replayed += min(self.position, run.next) - run.first
            run = run.since(self.position)
        if run.next <= self.position:
            return True
        self.position = run.next
        if run.packets:
            if self._opened_at is None:
                self._opened_at = self._clock()
            self._waiting.add(run.packets)
        return True

    def skip_lost(self, log_start: int) -> None:
        """Go on at ``log_start`` though ``[position, log_start)`` was never counted; a letter names the gap."""
        self._letters.append(lost_letter(self._topic, self.number, self._group, self.position, log_start))
        self._count_letter("lost input")
        self.position = log_start
        if self._opened_at is None:
            self._opened_at = self._clock()

    @property
    def waiting(self) -> int:
        """How many records wait to be counted."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """What the records that wait to be counted take in memory, about."""
        return self._waiting.nbytes

    def give_up_waiting(self) -> None:
        """Forget what waits, as if it had not been read: whoever counts next reads it again."""
        if self._letters:
            return  # the letter of a gap moves the position with it, durably
        self._waiting, self._opened_at = Waiting(), None
        self.position = self._counted = (self.stamp if self._under_way is None else self._under_way.stamp).offset

    @property
    def is_open(self) -> bool:
        """Whether the open epoch holds anything."""
        return self._opened_at is not None

    def due_in(self) -> float:
        """Seconds until the open epoch should end; 0 or less: now. Infinite where nothing is open."""
        if self._opened_at is None:
            return float("inf")
        if len(self._waiting) >= self._batch_records or self._waiting.nbytes >= BATCH_BYTES:
            return 0.0
        if self.end - self.position > BEHIND_RECORDS:
            return self._opened_at + max(self._epoch_s, BEHIND_EPOCH_S) - self._clock()
        since_tick_s = (self._opened_at / self._epoch_s - self.number * TURN) % 1.0 * self._epoch_s
        return self._opened_at + self._epoch_s - since_tick_s - self._clock()

    def _count(self) -> None:
        """Count what waits, or as much of it as leaves no more than about `LETTERS_BYTES` of dead letters."""
        waiting, self._waiting = self._waiting, Waiting()
        counted_to, nbytes = self.position, 0
        of_a_gap = bool(self._letters)  # its letter and the position behind it are durable together, or not at all
        for part in waiting.parts(
            self._decoder, timed=self._aggregator.needs_broker_time, columns=self._aggregator.columns
        ):
            changes = self._aggregator.update(self.rows, Batch(part.records, part.times, part.columns))
            self._changed.update(dict.fromkeys(changes.entities))
            self._published.update(changes.published)
            refused = [(part.places[index], reason) for index, reason in changes.refused]
            for place, reason in sorted(part.bad + refused):
                letter = letter_of(part.record(place), self._topic, self.number, self._group, reason)
                self._letters.append(letter)
                nbytes += len(letter.value)
            for _, reason in refused:
                self._count_letter(reason)
            if part.bad:
                self._count_letter("malformed", len(part.bad))
            self._records += part.size
            if nbytes > LETTERS_BYTES and not of_a_gap and len(rest := waiting.since(part.next)):
                counted_to, self._waiting = part.next, rest
                break
        self._counted = counted_to

    def _count_letter(self, reason: str, n: int = 1) -> None:
        self.counters.letters[reason] = self.counters.letters.get(reason, 0) + n

    # -- epochs

    def seal(self) -> Epoch | None:
        """End the open epoch; None when it holds nothing.

        Raises:
            StateError: another one is under way.
        """
        if self._under_way is not None:
            raise StateError(f"{self._topic}-{self.number}: an epoch was sealed while another is under way")
        self._count()
        if self._opened_at is None:
            return None
        row_bytes = self.rows.dirty_bytes
        epoch = Epoch(
            first=self.stamp.offset,
            stamp=Stamp(self._counted, self._aggregator.version, self._topic_id),
            records=self._records,
            rows=self.rows.take(),
            row_bytes=row_bytes,
            outputs=self._outputs([*self._changed]),
            letters=self._letters,
            published=list(map(Output, self._published, self._revised(self._published.values()), repeat(BY_KEY))),
        )
        self._batch_records = self._aggregator.batch_records
        if epoch.records:
            self._batch_records = min(self._batch_records, BATCH_ROWS * epoch.records // max(1, len(epoch.rows)))
        self._changed, self._published, self._letters, self._records = {}, {}, [], 0
        self._opened_at = self._clock() if self._waiting else None
        self._under_way = epoch
        return epoch

    def _summaries(self, entities: Sequence[str]) -> list[Output]:
        values = self._revised(self._aggregator.summaries(self.rows, entities))
        return list(map(Output, map(str.encode, entities), values, repeat(self.number)))

    def _revised(self, values: Collection[dict[str, Any] | Struct | None]) -> Iterable[bytes | None]:
        # What is counted never falls for a partition, so it never falls for an entity of it.
        lines = _lines([value for value in values if value is not None])
        # A line end stands nowhere but after a value's last brace: JSON escapes it in texts.
        revised = iter(lines.replace(b"}\n", b',"revision":%d}\n' % self._counted).split(b"\n"))
        return [None if value is None else next(revised) for value in values]

    def _partials(self, entities: Sequence[str]) -> list[Output]:
        number, position = self.number, self._counted
        shares = self._aggregator.summaries(self.rows, entities)
        partials = [Partial(entity, number, position, share) for entity, share in zip(entities, shares, strict=True)]
        names = list(map(str.encode, entities))
        keys = [key_of(name, number) for name in names]
        return list(map(Output, keys, encode(partials), partitions_of(names, self.rows.partitions)))

    def committed(self, epoch: Epoch, offset: int) -> None:
        """``epoch`` is durable; ``offset`` is the changelog offset of its stamp.

        Raises:
            StateError: it is not the epoch that was under way.
        """
        if self._under_way is not epoch:
            raise StateError(f"{self._topic}-{self.number}: an epoch was acknowledged that is not under way")
        self._under_way = None
        self.rows.committed()
        self.stamp, self._committed_to = epoch.stamp, offset
        counters = self.counters
        counters.records += epoch.records
        counters.epochs += 1
        counters.outputs += len(epoch.outputs)
        counters.rows += len(epoch.rows)
        counters.row_bytes += epoch.row_bytes

    @property
    def durable_offset(self) -> int:
        """The source offset up to which all is durable: with nothing open, also past markers that hold no record."""
        return self.position if self._opened_at is None and self._under_way is None else self.stamp.offset

    def settle(self) -> None:
        """Write the committed rows into the store, in one batch."""
        if self._committed_to > self.store.offset:
            self.store.write({**self.rows.unsettled, STAMP_KEY: self.stamp.encode()}, self._committed_to)
            self.rows.settled()


def start_position(
    store: Store, version: int, topic: str, partition: int, log_start: int, log_end: int, topic_id: str = ""
) -> tuple[int, int | None]:
    """Where counting begins, once the store is restored.

    Args:
        store: restored to the changelog's end.
        version: of the aggregator's rows.
        topic: the source topic, for messages.
        partition: its number.
        log_start: the first offset that the source still holds.
        log_end: the source's committed end.
        topic_id: what Kafka calls the source; empty: not known.

    Returns:
        The position, and the log's start where input below it was lost (it is beyond the position), else None.

    Raises:
        StateRefused: the state counts another source, or more than it ever held, or is of another version.
    """
    row = store.get(STAMP_KEY)
    if row is None:
        # The group's offset may be anywhere; without a stamp nothing is counted, so all of the log is.
        return log_start, None
    stamp = Stamp.decode(row)
    if stamp.version != version:
        raise StateRefused(
            f"the state of {topic}-{partition} has format {stamp.version}, this program writes {version}: "
            f"run the release that wrote it. {_way_to_count_anew(topic)}"
        )
    if stamp.topic_id and topic_id and stamp.topic_id != topic_id:
        raise StateRefused(
            f"the state of {topic}-{partition} counts {stamp.offset} records of an earlier topic {topic}, which was "
            f"deleted and made anew since. {_way_to_count_anew(topic)}"
        )
    if stamp.offset > log_end:
        raise StateRefused(
            f"the state of {topic}-{partition} counts up to offset {stamp.offset}, but the topic ends at {log_end}: "
            f"it was recreated or truncated. {_way_to_count_anew(topic)}"
        )
    if stamp.offset < log_start:
        return stamp.offset, log_start
    return stamp.offset, None


def _way_to_count_anew(topic: str) -> str:
    """Summaries go, too: their revisions would fall."""
    stream = topic.partition(".")[0]
    return (
        f"To count what the topic holds anew: stop the workers of {stream}, delete all of its topics but {stream} "
        f"itself, and the directories {stream} below DATA/workers"
    )
