"""A pile: a growing set of 128-bit ids, each with a time and a number, in rows of bounded size.

Entries lie in order of arrival; their count alone tells which rows there are:

    tail    the last ``n % unit`` entries, in the owner's head row
    young   blocks of ``unit · fan^level`` entries as they came, levels 0, 1, 2: one row each
    old     blocks from ``unit · fan^3`` entries on, sorted and cut into pages (`aggregators.blocks`)

Block ``i`` of a level holds the positions ``[i · size, (i + 1) · size)``. Four neighbours become one block of the
next level (the last level excepted), so an entry is rewritten once a level, and the rows depend on the entries and
their order only, not on how they were cut into batches. A batch of many entries goes straight into the largest
blocks that it fills.

Cost of an entry: O(log n) writes in all. Of a look-up: a set of marks answers for the young; for the old, a page of
each block, until the look-ups made have cost as much as a `Sieve` for all entries does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from aggregators.blocks import (
    ENTRY_BYTES,
    HASHED,
    LAST,
    SUFFIX,
    Block,
    Columns,
    Longs,
    Numbers,
    Sizes,
    SortedBlocks,
    row_at,
)
from aggregators.ids import Words, marks, pairs, words
from aggregators.rows import Rows
from aggregators.sieve import Sieve, tags

NO_FLOOR = -(2**63)
_MARK_BYTES = 70
"""What a mark takes in a set: the number, its slot."""
_YOUNG = ord("y")
_ENTRY = np.dtype([("id", "<u8", 2), ("time", "<i8"), ("number", "<u4")])


def entries(ids: bytes, times: Longs, numbers: Sequence[int]) -> bytes:
    """Entries as `Pile.add` takes them: `ENTRY_BYTES` each.

    Args:
        ids: 16 bytes each.
        times: of each.
        numbers: of each, below 2^32.
    """
    table = np.empty(len(numbers), _ENTRY)
    table["id"] = pairs(ids)
    table["time"] = times
    table["number"] = numbers
    return table.tobytes()


def numbered(entries: bytes, least: int) -> Iterator[tuple[int, int, bytes]]:
    """Time, number and id of those entries whose number is ``least`` or more."""
    table = np.frombuffer(entries, _ENTRY)
    for at in np.flatnonzero(table["number"] >= least).tolist():
        yield int(table["time"][at]), int(table["number"][at]), entries[at * ENTRY_BYTES : at * ENTRY_BYTES + 16]


class Pile:
    """The entries of one owner.

    Args:
        rows: of the partition.
        prefix: of all row keys; no other owner's begins with it.
        sizes: of blocks and pages.
        uncounted: `rank` does not count entries whose number reaches this; None when nobody asks for a `rank`.
        n: how many entries there are.
        tail: the last ``n % unit`` of them.
    """

    __slots__ = (
        "_at_units",
        "_blocks",
        "_looked",
        "_marks",
        "_new",
        "_old",
        "_prefix",
        "_rows",
        "_sieve",
        "_sizes",
        "_uncounted",
        "_whole",
        "_young",
        "_young_times",
        "n",
        "old_span",
        "tail",
    )

    def __init__(
        self, rows: Rows, prefix: bytes, sizes: Sizes, *, uncounted: int | None = None, n: int = 0, tail: bytes = b""
    ) -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self._uncounted = uncounted
        self._blocks = SortedBlocks(rows, prefix, sizes, uncounted)
        self.old_span: int = sizes.unit * sizes.fan**sizes.old_level
        """How many entries the first old block takes."""
        self._marks: set[int] | None = None
        """The marks of the young and the tail, while there is no sieve."""
        self._sieve: Sieve | None = None
        self._whole = False
        """Whether a sieve stands for all entries."""
        self._looked = 0
        self._young_times: Longs | None = None
        """The counted times of the young and the tail, sorted, without those of the entries in the next."""
        self._new = b""
        self._at_units = -1
        self._young: list[Block] = []
        self._old: list[Block] = []
        self.n = n
        self.tail = tail
        """The entries that lie in no row of the pile yet."""

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the pages, which are kept by themselves."""
        sieve = 0 if self._sieve is None else self._sieve.nbytes
        sieve += 0 if self._marks is None else _MARK_BYTES * len(self._marks)
        times = 0 if self._young_times is None else self._young_times.nbytes
        return 900 + ENTRY_BYTES * self._sizes.unit + sieve + times

    # -- which ids are here

    def find(
        self,
        ids: bytes,
        marks: Sequence[int],
        tags: bytes,
        hashed: bytes | None,
        first: int,
        last: int,
        floor: int = NO_FLOOR,
    ) -> list[int]:
        """Which of the ids ``[first, last)`` are here already.

        Those that are not must be added next: they are remembered already.

        Args:
            ids: 16 bytes each.
            marks: of each id, for the sieve.
            tags: of each id, for the sieve.
            hashed: a byte for each id: whether it is hashed (None: none is).
            first: the place of the first that is meant.
            last: the place after the last that is meant; if an id is twice among them, neither need be found.
            floor: entries of an earlier time do not count: they are folded.

        Returns:
            The places of those that are here, in order.
        """
        maybe = self._sift(marks, tags, first, last)
        old = self._lists()[1] if self.n >= self.old_span else []
        if not maybe and (self._whole or not old):
            return []
        found = [place for place in maybe if self._in_young(*_identity(ids, hashed, place), floor) is not None]
        if old:
            here = set(found)
            ask = [place for place in (maybe if self._whole else range(first, last)) if place not in here]
            if len(ask) >= self._sizes.many:
                found += self._blocks.find_many(old, ids, ask, hashed, floor)
            else:
                find = self._blocks.find
                found += [place for place in ask if find(old, *_identity(ids, hashed, place), floor) is not None]
        return sorted(found)

    def number_of(self, sixteen: bytes, hashed: bool, floor: int = NO_FLOOR) -> int | None:
        """The number of the entry with this id and a time of ``floor`` or later, or None."""
        number = self._in_young(sixteen, hashed, floor)
        return self._blocks.find(self._lists()[1], sixteen, hashed, floor) if number is None else number

    def _sift(self, marks: Sequence[int], tags: bytes, first: int, last: int) -> list[int]:
        """Remember the ids ``[first, last)``; which may be among the young, or, with a sieve, anywhere."""
        count = last - first
        if not self._whole and self.n >= self.old_span:
            self._looked += count
            if self._looked * self._sizes.worth >= self.n:
                self._whole, self._marks = True, None
        if self._whole:
            sieve = self._sieve
            if sieve is None or self.n + count > sieve.room:
                sieve = self._sieve = self._made_sieve(count)
            return (sieve.sift if count < self._sizes.many else sieve.sift_many)(marks, tags, first, last)
        here = self._marks
        if here is None:
            here = self._marks = self._young_marks()
        new = marks[first:last]
        maybe = [] if here.isdisjoint(new) else [place for place, mark in enumerate(new, first) if mark in here]
        here.update(new)
        return maybe

    def _young_marks(self) -> set[int]:
        if not self.n % self.old_span:
            return set()
        return set(marks(words(np.frombuffer(b"".join(self.young()), _ENTRY)["id"])[0]).tolist())

    def _made_sieve(self, more: int) -> Sieve:
        """A sieve for all entries, with room for ``more``."""
        sieve = Sieve(self.n + more)
        if self.n % self.old_span:
            _remember(sieve, words(np.frombuffer(b"".join(self.young()), _ENTRY)["id"])[0])
        for block in self._lists()[1]:
            for columns in self._blocks.columns(block):
                _remember(sieve, columns.key)
        return sieve

    def _in_young(self, sixteen: bytes, hashed: bool, floor: int) -> int | None:
        """The number of the entry in the tail or the young blocks, or None."""
        number = _look(self.tail, sixteen, hashed, floor)
        if number is not None:
            return number
        for block in self._lists()[0]:
            number = _look(self._young_row(block), sixteen, hashed, floor)
            if number is not None:
                return number
        return None

    # -- how many times lie where

    def rank(self, steps: Sequence[tuple[int, int]]) -> int:
        """The sum, over the steps ``(time, weight)``, of weight times the number of counted entries before time."""
        if not self.n:
            return 0
        young = self._sorted_young_times()
        if len(steps) < self._sizes.many:
            view = memoryview(young.data)
            total = sum([weight * bisect_left(view, time) for time, weight in steps])
        else:
            total = len(young) * sum(weight for time, weight in steps if time > LAST)
            table = np.array([step for step in steps if step[0] <= LAST], np.int64).reshape(-1, 2)
            total += int((np.searchsorted(young, table[:, 0], "left") * table[:, 1]).sum())
        old = self._lists()[1]
        return total + self._blocks.rank(old, steps) if old else total

    def _sorted_young_times(self) -> Longs:
        times = self._young_times
        if times is None:
            self._new = b"".join(self.young())
            times = np.zeros(0, np.int64)
        if self._new:
            table = np.frombuffer(self._new, _ENTRY)
            new = table["time"][table["number"] < cast("int", self._uncounted)]
            times = np.concatenate((times, new))
            times.sort()
            self._new = b""
            self._young_times = times
        return times

    # -- everything

    def young(self) -> Iterator[bytes]:
        """The entries of the young blocks and the tail, in order of arrival."""
        for block in self._lists()[0]:
            yield self._young_row(block)
        yield self.tail

    def columns(self) -> Iterator[Columns]:
        """All entries, in no particular order (reads everything)."""
        for block in self._lists()[1]:
            yield from self._blocks.columns(block)
        yield _columns(b"".join(self.young()))

    # -- adding

    def add(self, entries: bytes, floors: Longs | None = None) -> list[Numbers]:
        """Add entries, of which none is here.

        Args:
            entries: as `entries` makes them.
            floors: for each entry, the time before which old entries are dropped once it is here (None: never).

        Returns:
            The numbers of entries that were dropped.
        """
        unit_bytes = self._sizes.unit * ENTRY_BYTES
        before = self.n
        self.n = before + len(entries) // ENTRY_BYTES
        self.tail += entries
        if self._young_times is not None:
            self._new += entries
        return self._seal(before, floors) if len(self.tail) >= unit_bytes else []

    def _seal(self, before: int, floors: Longs | None) -> list[Numbers]:
        """Move what fills units from the tail into blocks."""
        unit, after = self._sizes.unit, self.n
        base, first, last = before - before % unit, before // unit, after // unit
        if last - first <= self._sizes.fan:
            steps = [self._filled(units) for units in range(first + 1, last + 1)]
        else:
            steps = self._filled_between(first, last)
        young, old = self._lists(first)
        dropped: list[Numbers] = []
        for block, parts in steps:
            size = self._size(block.level)
            start, end = block.number * size, (block.number + 1) * size
            in_tail = start + sum([self._size(part.level) for part in parts])
            tail = self.tail[(in_tail - base) * ENTRY_BYTES : (end - base) * ENTRY_BYTES]
            if block.level < self._sizes.old_level:
                rows = [self._young_row(part, keep=False) for part in parts]
                self._rows.put(self._key(block), b"".join([*rows, tail]))
                young.append(block)
            else:
                floor = NO_FLOOR if floors is None else int(floors[end - before - 1])
                dropped.append(self._merge(block, parts, tail, floor))
                old.append(block)
            for part in parts:
                if part.level < self._sizes.old_level:
                    self._rows.delete(self._key(part))
                    self._rows.forget(self._key(part))
                    young.remove(part)
                else:
                    self._blocks.delete(part)
                    old.remove(part)
        self._at_units = last
        self.tail = self.tail[(after - after % unit - base) * ENTRY_BYTES :]
        if before // self.old_span != after // self.old_span:
            self._young_times, self._new = None, b""
            self._marks = None
        return dropped

    def _filled(self, units: int) -> tuple[Block, list[Block]]:
        """The block that a pile's ``units``-th unit completes, and those that it takes in, in order of arrival."""
        fan, level = self._sizes.fan, 0
        parts: list[Block] = []
        while units % fan == 0 and level < self._sizes.top_level:
            parts = [Block(level, index) for index in range(units - fan, units - 1)] + parts
            units //= fan
            level += 1
        return Block(level, units - 1), parts

    def _filled_between(self, first: int, last: int) -> list[tuple[Block, list[Block]]]:
        """The same for many units at once: only the blocks that stay."""
        gone, now = self._list(first), self._list(last)
        steps: list[tuple[Block, list[Block]]] = []
        for block in sorted(now - gone, key=self._start):
            start, end = self._start(block), self._start(block) + self._size(block.level)
            steps.append((block, sorted([part for part in gone if start <= self._start(part) < end], key=self._start)))
        return steps

    def _merge(self, block: Block, parts: Sequence[Block], tail: bytes, floor: int) -> Numbers:
        """Write an old block that is made of other blocks and of what is in the tail."""
        pieces = [_columns(tail)]
        for part in parts:
            if part.level < self._sizes.old_level:
                pieces.append(_columns(self._young_row(part, keep=False)))
            else:
                pieces += self._blocks.columns(part)
        return self._blocks.write(block, pieces, floor)

    # -- blocks

    def _size(self, level: int) -> int:
        return self._sizes.unit * self._sizes.fan**level

    def _list(self, units: int) -> set[Block]:
        """The blocks of a pile that has filled so many units."""
        fan, top = self._sizes.fan, self._sizes.top_level
        blocks: set[Block] = set()
        for level in range(top + 1):
            if not units:
                break
            first = 0 if level == top else units - units % fan
            blocks.update([Block(level, index) for index in range(first, units)])
            units //= fan
        return blocks

    def _start(self, block: Block) -> int:
        return block.number * self._size(block.level)

    def _lists(self, units: int | None = None) -> tuple[list[Block], list[Block]]:
        """The young and the old blocks, each in order of arrival (of a pile of that many units)."""
        if units is None:
            units = self.n // self._sizes.unit
        if units != self._at_units:
            blocks = sorted(self._list(units), key=self._start)
            self._young = [block for block in blocks if block.level < self._sizes.old_level]
            self._old = [block for block in blocks if block.level >= self._sizes.old_level]
            self._at_units = units
        return self._young, self._old

    def _key(self, block: Block) -> bytes:
        return self._prefix + SUFFIX.pack(_YOUNG, block.level, block.number, 0)

    def _young_row(self, block: Block, *, keep: bool = True) -> bytes:
        key = self._key(block)
        row = self._rows.kept(key)
        if row is None:
            row = row_at(self._rows, key)
            if keep:
                self._rows.keep(key, row, len(row) + 200)
        return row


def _look(entries: bytes, sixteen: bytes, hashed: bool, floor: int) -> int | None:
    """The number of ``sixteen`` among ``entries``, if flag and time fit."""
    at = entries.find(sixteen)
    while at >= 0:
        if at % ENTRY_BYTES == 0:
            number = int.from_bytes(entries[at + 24 : at + 28], "little")
            time = int.from_bytes(entries[at + 16 : at + 24], "little", signed=True)
            if time >= floor and bool(number & HASHED) == hashed:
                return number
        at = entries.find(sixteen, at + 1)
    return None


def _identity(ids: bytes, hashed: bytes | None, place: int) -> tuple[bytes, bool]:
    return ids[16 * place : 16 * place + 16], hashed is not None and hashed[place] != 0


def _remember(sieve: Sieve, key: Words) -> None:
    mark = marks(key)
    sieve.fill(mark, tags(mark))


def _columns(entries: bytes) -> Columns:
    table = np.frombuffer(entries, _ENTRY)
    return Columns(*words(table["id"]), table["time"], table["number"])
