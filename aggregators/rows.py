"""The rows of one partition: bytes by key, buffered until an epoch ends, over whatever keeps them.

>>> rows = Rows(MemoryStore())
>>> rows.put(b"a", b"1"); rows.put(b"b", b"2")
>>> epoch = rows.take()                      # the engine sends these; they stay readable
>>> rows.put(b"a", b"3"); rows.delete(b"b")
>>> rows.get(b"a"), rows.get(b"b"), list(rows.range(b"a", b"z"))
(b'3', None, [(b'a', b'3')])
>>> rows.committed()                         # they are durable, and may go into the store
>>> rows.unsettled == epoch
True
>>> rows.settled()                           # where they are now
>>> rows.get(b"a")
b'3'

A read looks at the open epoch's rows, then at those of the epoch under way, at those that are committed but not in
the store, then in the store. Keys that begin with a zero byte are the engine's.

Beside the bytes, an aggregator may `keep` the object that it made of a row and ask for it again with `kept`. Kept
objects are a cache and nothing more: whatever an object knows has been `put` before `update` returns, so the
engine may forget any of them between two batches (`Memory`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from schemas.wire import partition_of

Changes = Mapping[bytes, bytes | None]
"""Rows by key; ``None`` deletes."""


class Store(Protocol):
    """What keeps the rows when memory does not: RocksDB in a worker, a dict in tests and `verify`."""

    def get(self, key: bytes, /) -> bytes | None:
        """The row at ``key``."""
        ...

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """The row at each of ``keys``."""
        ...

    def scan(self, start: bytes, end: bytes, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The rows of ``[start, end)`` in key order, or the last first."""
        ...


class MemoryStore(dict[bytes, bytes]):
    """A store in memory."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row at each of ``keys``."""
        return [self.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The rows of ``[start, end)`` in key order, or the last first."""
        for key in sorted((k for k in self if start <= k < end), reverse=reverse):
            yield key, self[key]

    def write(self, changes: Changes) -> None:
        """Apply an epoch's rows."""
        for key, value in changes.items():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value

    def end_epoch(self, rows: Rows) -> None:
        """End the open epoch of ``rows``, which lie over this store, and take it in: where nothing is sent."""
        rows.take()
        rows.committed()
        self.write(rows.unsettled)
        rows.settled()


class Memory:
    """One budget for the kept objects of all partitions of a process.

    Each `Rows` keeps two generations; an object that is asked for moves to the young one. Over the budget, the
    partition that holds most drops objects of its old generation, those first that were touched longest ago, until the
    budget holds; when none is left, its young generation becomes old. An approximation of least-recently-used that
    costs nothing on the way of a hit.
    """

    def __init__(self, limit_bytes: int = 1 << 62) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.evictions = 0
        self._holders: list[Rows] = []

    def join(self, rows: Rows) -> None:
        """Count the objects of ``rows`` from now on."""
        self._holders.append(rows)

    def leave(self, rows: Rows) -> None:
        """Forget all objects of ``rows``: its partition went elsewhere."""
        if rows in self._holders:
            self._holders.remove(rows)
            rows.forget_all()

    def shrink(self) -> None:
        """Drop objects until the budget holds (call between two batches only)."""
        while self.used_bytes > self.limit_bytes:
            largest = max(self._holders, key=lambda rows: rows.kept_bytes, default=None)
            if largest is None or not largest.kept_bytes:
                return
            self.evictions += largest.forget_oldest(self.used_bytes - self.limit_bytes)


class Rows:
    """The rows of one partition, as an aggregator sees them.

    Args:
        store: what is read when nothing in memory answers.
        partition: the number of this partition.
        partitions: how many the stream has.
        memory: the budget that kept objects count against.
    """

    def __init__(self, store: Store, *, partition: int = 0, partitions: int = 1, memory: Memory | None = None) -> None:
        self.partition = partition
        self.partitions = partitions
        self.dirty_bytes = 0
        """Bytes of keys and values in the open epoch."""
        self._store = store
        self._dirty: dict[bytes, bytes | None] = {}
        self._under_way: dict[bytes, bytes | None] = {}
        self.unsettled: dict[bytes, bytes | None] = {}
        """Committed rows that the store lacks: the newest of each key, whatever the number of epochs."""
        self.memory = memory or Memory()
        self.memory.join(self)
        self._young: dict[bytes, tuple[Any, int]] = {}
        self._old: dict[bytes, tuple[Any, int]] = {}
        self._young_bytes = 0
        self._old_bytes = 0

    # -- for aggregators

    def owns(self, key: bytes) -> bool:
        """Whether ``key`` belongs in this partition (ask once, when an entity is first seen)."""
        return partition_of(key, self.partitions) == self.partition

    def get(self, key: bytes) -> bytes | None:
        """The row at ``key``, or None."""
        dirty = self._dirty
        if key in dirty:
            return dirty[key]
        for changes in (self._under_way, self.unsettled):
            if key in changes:
                return changes[key]
        return self._store.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row at each of ``keys``, or None: `get` for a whole batch, at a fraction of what the calls would cost."""
        newest: dict[bytes, bytes | None] = {}
        asked = keys
        for changes in (self._dirty, self._under_way, self.unsettled):
            here = [key for key in asked if key in changes] if changes else []
            if here:
                newest.update(zip(here, map(changes.__getitem__, here), strict=True))
                asked = [key for key in asked if key not in changes]
        stored = self._store.get_many(asked) if asked else []
        if not newest:
            return stored
        newest.update(zip(asked, stored, strict=True))
        return list(map(newest.__getitem__, keys))

    def put(self, key: bytes, value: bytes) -> None:
        """Set the row at ``key``."""
        dirty = self._dirty
        self.dirty_bytes += len(value) - len(dirty[key] or b"") if key in dirty else len(key) + len(value)
        dirty[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the row at ``key``, if there is one."""
        dirty = self._dirty
        self.dirty_bytes += -len(dirty[key] or b"") if key in dirty else len(key)
        dirty[key] = None

    def change(self, rows: Changes) -> None:
        """Set the row at each key, or remove it where there is no value: `put` and `delete` for a whole batch."""
        dirty = self._dirty
        again = dirty.keys() & rows.keys() if dirty else ()
        self.dirty_bytes += sum(map(len, rows)) + sum(map(len, filter(None, rows.values())))
        self.dirty_bytes -= sum(len(key) + len(dirty[key] or b"") for key in again)
        dirty.update(rows)

    def range(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The rows of ``[start, end)`` in key order, or the last first, as they are when the iteration begins."""
        newest: dict[bytes, bytes | None] = {}
        for changes in (self.unsettled, self._under_way, self._dirty):
            newest.update((k, v) for k, v in changes.items() if start <= k < end)
        if not newest:
            yield from self._store.scan(start, end, reverse=reverse)
            return
        ours = ((k, 0, newest[k]) for k in sorted(newest, reverse=reverse))
        stored = ((k, 1, v) for k, v in self._store.scan(start, end, reverse=reverse) if k not in newest)
        for key, _, value in heapq.merge(ours, stored, reverse=reverse):
            if value is not None:
                yield key, value

    def kept(self, key: bytes) -> Any:
        """The object that `keep` left under ``key``, or None when it never did or was forgotten."""
        hit = self._young.get(key)
        if hit is None:
            hit = self._old.pop(key, None)
            if hit is None:
                return None
            self._young[key] = hit
            self._old_bytes -= hit[1]
            self._young_bytes += hit[1]
        return hit[0]

    def keep(self, key: bytes, value: Any, nbytes: int) -> None:
        """Keep ``value``, about ``nbytes`` large, for `kept`; whatever it knows is in the rows already."""
        before = self._young.get(key)
        if before is None:
            old = self._old.pop(key, None)
            if old is not None:
                self._old_bytes -= old[1]
                self.memory.used_bytes -= old[1]
            change = nbytes
        else:
            change = nbytes - before[1]
        self._young[key] = (value, nbytes)
        self._young_bytes += change
        self.memory.used_bytes += change

    def forget(self, key: bytes) -> None:
        """Forget the object under ``key``."""
        hit = self._young.pop(key, None)
        if hit is not None:
            self._young_bytes -= hit[1]
        else:
            hit = self._old.pop(key, None)
            if hit is None:
                return
            self._old_bytes -= hit[1]
        self.memory.used_bytes -= hit[1]

    # -- for the engine

    @property
    def kept_bytes(self) -> int:
        """What the kept objects take, as their keepers said."""
        return self._young_bytes + self._old_bytes

    def take(self) -> Changes:
        """End the open epoch: its rows, which stay readable. The one before must be `committed`."""
        if self._under_way:
            raise RuntimeError("an epoch's rows were taken while those of another are under way")
        self._under_way, self._dirty, self.dirty_bytes = self._dirty, {}, 0
        return self._under_way

    def committed(self) -> None:
        """What was taken is durable, and belongs into the store."""
        changes, self._under_way = self._under_way, {}
        if self.unsettled:
            self.unsettled.update(changes)
        else:
            self.unsettled = changes

    def settled(self) -> None:
        """The store has all of `unsettled`."""
        self.unsettled = {}

    def forget_oldest(self, nbytes: int) -> int:
        """Drop objects of the old generation until ``nbytes`` are free or it is empty; how many were dropped.

        An empty old generation is renewed first: what was young is old from now on.
        """
        if not self._old:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0
        freed = dropped = 0
        for key in list(self._old):
            if freed >= nbytes:
                break
            freed += self._old.pop(key)[1]
            dropped += 1
        self._old_bytes -= freed
        self.memory.used_bytes -= freed
        return dropped

    def forget_all(self) -> None:
        """Drop every kept object."""
        self.memory.used_bytes -= self.kept_bytes
        self._young, self._old = {}, {}
        self._young_bytes = self._old_bytes = 0
