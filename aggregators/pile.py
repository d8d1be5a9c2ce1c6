"""A pile: a growing set of 128-bit ids, each with a time and a number, in rows of bounded size.

Entries lie in order of arrival; their count alone tells which rows there are:

    tail    the last ``n % unit`` entries, in the owner's head row
    young   blocks of ``unit · fan^level`` entries as they came, levels 0 and 1: one row each
    old     blocks from ``unit · fan^2`` entries on, sorted and cut into pages (`aggregators.blocks`)

Block ``i`` of a level holds the positions ``[i · size, (i + 1) · size)``. ``fan`` neighbours become one block of the
next level (the last level excepted), so an entry is rewritten once a level, and the rows depend on the entries and
their order only, not on how they were cut into batches. A batch of many entries goes straight into the largest
blocks that it fills.

Cost of an entry: O(log n) writes in all. Of a look-up: nothing for an id that `aggregators.seen` calls new. It is told
the young entries when a pile is read from rows, and all that come. For the old ones a page of each block is read,
until the look-ups made have cost as much as to tell all of the ids.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from aggregators.blocks import (
    ENTRY_BYTES,
    HASHED,
    LAST,
    SUFFIX,
    Asked,
    Block,
    Columns,
    Longs,
    Mask,
    Numbers,
    Sizes,
    SortedBlocks,
    row_at,
    steps_within,
)
from aggregators.ids import Words, words
from aggregators.rows import Rows
from aggregators.seen import Prints, Seen, prints

NO_FLOOR = -(2**63)
_YOUNG = ord("y")
_ENTRY = np.dtype([("id", "<u8", 2), ("time", "<i8"), ("number", "<u4")])

_WORD = (1 << 64) - 1
_FEW, _SHORT = 4, 256
"""Fewer steps than `_FEW` count all times for each, where those are more than `_SHORT`; else to sort is quicker."""
_MANY = 4
"""From here on to sort the young is quicker than to search them for each id."""


def entries(ids: Words, times: Longs, numbers: Numbers) -> bytes:
    """Entries as `Pile.add` takes them: `ENTRY_BYTES` each.

    Args:
        ids: as `aggregators.ids.pairs` makes them.
        times: of each.
        numbers: of each.
    """
    table = np.empty(len(numbers), _ENTRY)
    table["id"] = ids
    table["time"] = times
    table["number"] = numbers
    return table.tobytes()


def columns(entries: bytes) -> Columns:
    """Entries as columns."""
    table = np.frombuffer(entries, _ENTRY)
    return Columns(*words(table["id"]), table["time"], table["number"])


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
        salt: what keeps its ids apart from those of other piles in memory.
        uncounted: `rank` does not count entries whose number reaches this; None when nobody asks for a `rank`.
        n: how many entries there are.
        tail: the last ``n % unit`` of them.
    """

    __slots__ = (
        "_at_units",
        "_blocks",
        "_looked",
        "_old",
        "_prefix",
        "_rows",
        "_salt",
        "_sizes",
        "_young",
        "n",
        "seen_by",
        "tail",
        "whole",
    )

    def __init__(
        self,
        rows: Rows,
        prefix: bytes,
        sizes: Sizes,
        *,
        salt: int,
        uncounted: int | None = None,
        n: int = 0,
        tail: bytes = b"",
    ) -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self._blocks = SortedBlocks(rows, prefix, sizes, uncounted)
        self._salt = np.uint64(salt & _WORD)
        self.seen_by = 0
        """The generation of the `Seen` that was told the young entries."""
        self.whole = False
        """Whether that one was told all."""
        self._looked = 0
        self._at_units = -1
        self._young: list[Block] = []
        self._old: list[Block] = []
        self.n = n
        self.tail = tail
        """The entries that lie in no row of the pile yet."""

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the pages, which are kept by themselves."""
        return 700 + len(self.tail)

    @property
    def seen(self) -> int:
        """How many of its ids are told to a `Seen`."""
        return self.n if self.whole else self.n % self._sizes.old_span

    # -- which ids are here

    def prints(self, key: Words) -> Prints:
        """What `Seen` is told of ids with these keys."""
        return prints(key, self._salt)

    def introduce(self, seen: Seen) -> Prints | None:
        """The prints that ``seen`` must be told before it is asked about this pile; None: it knows what it must."""
        if self.seen_by == seen.generation:
            return None
        self.seen_by, self._looked = seen.generation, 0
        self.whole = self.n < self._sizes.old_span
        if not self.n % self._sizes.old_span:
            return None
        return self.prints(columns(b"".join(self.young())).key)

    def introduce_all(self, seen: Seen, more: int) -> None:
        """Tell ``seen`` the rest, when so many look-ups more in the old blocks would cost as much."""
        if self.whole:
            return
        self._looked += more
        if self._looked * self._sizes.worth >= self.n:
            self.whole = True
            for block in self._old_blocks():
                for part in self._blocks.columns(block):
                    seen.sift(self.prints(part.key))

    def find(self, ids: Words, hashed: Mask | None, may: Mask, floor: int = NO_FLOOR) -> list[int]:
        """Which of some ids are here already.

        Args:
            ids: as `aggregators.ids.pairs` makes them.
            hashed: whether each id is hashed (None: none is).
            may: what `Seen.sift` said of each.
            floor: entries of an earlier time do not count: they are folded.

        Returns:
            The places of those that are here.
        """
        ask = np.flatnonzero(may)
        found: list[int] = []
        if self.n % self._sizes.old_span:
            look = ask
            if len(ask) >= _MANY:
                asked = Asked.of(ids, hashed, ask)
                here, differs = asked.among(_sorted(columns(b"".join(self.young(keep=True)))), floor)
                found += asked.places[here].tolist()
                look = asked.places[differs]
            for at in look.tolist():
                flag = hashed is not None and bool(hashed[at])
                if self._in_young(ids[at].tobytes(), flag, floor) is not None:
                    found.append(at)
        old = self._old_blocks()
        if old and (len(ask) or not self.whole):
            rest = may.copy() if self.whole else np.ones(len(ids), np.bool_)
            rest[found] = False
            found += self._blocks.find_many(old, ids, hashed, np.flatnonzero(rest), floor)
        return found

    def number_of(self, sixteen: bytes, hashed: bool, floor: int = NO_FLOOR) -> int | None:
        """The number of the entry with this id and a time of ``floor`` or later, or None."""
        number = self._in_young(sixteen, hashed, floor)
        return self._blocks.find(self._old_blocks(), sixteen, hashed, floor) if number is None else number

    def _in_young(self, sixteen: bytes, hashed: bool, floor: int) -> int | None:
        """The number of the entry in the tail or the young blocks, or None."""
        number = _look(self.tail, sixteen, hashed, floor)
        if number is not None:
            return number
        for block in self._lists()[0]:
            number = _look(self._young_row(block, keep=True), sixteen, hashed, floor)
            if number is not None:
                return number
        return None

    # -- how many times lie where

    def rank(self, young: Longs, steps: Sequence[tuple[int, int]]) -> int:
        """The sum, over the steps ``(time, weight)``, of weight times the number of counted entries before time.

        Args:
            young: the counted times of the young and the tail, in any order (their owner keeps them).
            steps: what is asked.
        """
        if len(steps) < _FEW and len(young) > _SHORT:
            total = sum([weight * int(np.count_nonzero(young < time)) for time, weight in steps])
        elif len(steps) < self._sizes.many:
            ordered = np.sort(young).data
            total = sum([weight * bisect_left(ordered, time) for time, weight in steps])
        else:
            young = np.sort(young)
            total = len(young) * sum([weight for time, weight in steps if time > LAST])
            times, weights = steps_within(steps)
            total += int((np.searchsorted(young, times, "left") * weights).sum())
        return total + self._blocks.rank(self._old_blocks(), steps)

    # -- everything

    def young(self, *, keep: bool = False) -> Iterator[bytes]:
        """The entries of the young blocks and the tail, in order of arrival; whether to ``keep`` the rows at hand."""
        for block in self._lists()[0]:
            yield self._young_row(block, keep=keep)
        yield self.tail

    def columns(self) -> Iterator[Columns]:
        """All entries, in no particular order (reads everything)."""
        for block in self._old_blocks():
            yield from self._blocks.columns(block)
        yield columns(b"".join(self.young()))

    # -- adding

    def grow(self, entries: bytes) -> bytes:
        """Add entries, of which none is here, and that fill no unit; the tail then."""
        self.n += len(entries) // ENTRY_BYTES
        self.tail += entries
        return self.tail

    def add(self, entries: bytes, floors: Longs | None = None) -> list[Numbers]:
        """Add entries, of which none is here.

        Args:
            entries: as `entries` makes them.
            floors: for each entry, the time before which old entries are dropped once it is here (None: never).

        Returns:
            The numbers of entries that were dropped.
        """
        unit, fan, before, whole = self._sizes.unit, self._sizes.fan, self.n, self.tail + entries
        after = self.n = before + len(entries) // ENTRY_BYTES
        base, first, last = before - before % unit, before // unit, after // unit
        dropped: list[Numbers] = []
        if last - first <= fan:
            for units in range(first + 1, last + 1):
                if units % fan:
                    at = (units * unit - base) * ENTRY_BYTES
                    self._rows.put(self._key(Block(0, units - 1)), whole[at - unit * ENTRY_BYTES : at])
                else:
                    dropped += self._fill(*self._filled(units), before, whole, floors)
        else:
            for block, parts in self._filled_between(first, last):
                dropped += self._fill(block, parts, before, whole, floors)
        self.tail = whole[(after - after % unit - base) * ENTRY_BYTES :]
        return dropped

    def _fill(
        self, block: Block, parts: Sequence[Block], before: int, whole: bytes, floors: Longs | None
    ) -> list[Numbers]:
        """Write a block that is full.

        Args:
            block: what is written.
            parts: the blocks that it takes in.
            before: how many entries there were before some are added.
            whole: the tail as it was then, and what is added.
            floors: as `add` takes them.

        Returns:
            The numbers of entries that were dropped.
        """
        size = self._size(block.level)
        start, end = block.number * size, (block.number + 1) * size
        base = before - before % self._sizes.unit
        in_tail = start + sum([self._size(part.level) for part in parts])
        tail = whole[(in_tail - base) * ENTRY_BYTES : (end - base) * ENTRY_BYTES]
        dropped: list[Numbers] = []
        if block.level < self._sizes.old_level:
            self._rows.put(self._key(block), b"".join([*map(self._young_row, parts), tail]))
        else:
            floor = NO_FLOOR if floors is None else int(floors[end - before - 1])
            dropped.append(self._merge(block, parts, tail, floor))
        for part in parts:
            if part.level < self._sizes.old_level:
                self._rows.delete(self._key(part))
                self._rows.forget(self._key(part))
            else:
                self._blocks.delete(part)
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
        pieces = [columns(tail)]
        for part in parts:
            if part.level < self._sizes.old_level:
                pieces.append(columns(self._young_row(part)))
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

    def _old_blocks(self) -> list[Block]:
        """In order of arrival."""
        return self._lists()[1] if self.n >= self._sizes.old_span else []

    def _lists(self) -> tuple[list[Block], list[Block]]:
        """The young and the old blocks, each in order of arrival."""
        units = self.n // self._sizes.unit
        if units != self._at_units:
            blocks = sorted(self._list(units), key=self._start)
            self._young = [block for block in blocks if block.level < self._sizes.old_level]
            self._old = [block for block in blocks if block.level >= self._sizes.old_level]
            self._at_units = units
        return self._young, self._old

    def _key(self, block: Block) -> bytes:
        return self._prefix + SUFFIX.pack(_YOUNG, block.level, block.number, 0)

    def _young_row(self, block: Block, *, keep: bool = False) -> bytes:
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


def _sorted(entries: Columns) -> Columns:
    order = np.argsort(entries.key)
    return Columns(entries.key[order], entries.low[order], entries.times[order], entries.numbers[order])
