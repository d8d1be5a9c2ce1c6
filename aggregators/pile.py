"""A pile: a growing set of 128-bit ids, each with a time and a number, in rows of bounded size.

Entries lie in order of arrival; their count alone tells which rows there are:

    tail    the last ``n % unit`` entries, in the owner's head row
    young   blocks of ``unit · fan^level`` entries as they came, levels 0, 1, 2: one row each
    old     blocks from ``unit · fan^3`` entries on, sorted and cut into pages: look-ups and counts by binary search

Block ``i`` of a level holds the positions ``[i · size, (i + 1) · size)``. Four neighbours become one block of the
next level (the last level excepted), so an entry is rewritten once a level, and the rows depend on the entries and
their order only, not on how they were cut into batches. A batch of many entries goes straight into the largest
blocks that it fills.

Cost of an entry: O(log n) writes in all. Of a look-up: a `Sieve` answers for the young; for the old, a page of each
block, until the look-ups made have cost as much as a sieve for them does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from aggregators.ids import Words, marks, word, words
from aggregators.rows import Rows
from aggregators.sieve import Sieve, tags

Longs = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]

HASHED = 1 << 30
"""Bit of an entry's number: its id is the hash of a text (`aggregators.ids`)."""
NO_FLOOR = -(2**63)
_LAST = 2**63 - 1
"""The greatest time there is."""

ENTRY_BYTES = 28
_YOUNG, _FENCES, _IDS, _TIMES = b"yfit"
_SUFFIX = Struct(">BBIH")
_COUNTS = Struct("<II")


class Sizes(NamedTuple):
    """The sizes of blocks and pages, in entries, and two points of balance (tests make them small)."""

    unit: int = 32
    fan: int = 4
    old_level: int = 3
    top_level: int = 6
    page: int = 1024
    times_page: int = 8192
    many: int = 24
    """From here on numpy is quicker than a loop."""
    worth: int = 512
    """A look-up in the old blocks costs about as much as putting this many entries into a sieve."""


class _Block(NamedTuple):
    level: int
    index: int


class Columns(NamedTuple):
    """Entries as arrays, in no particular order."""

    key: Words
    low: Words
    times: Longs
    numbers: Numbers


class _Fences(NamedTuple):
    """What is known of an old block without its pages: sizes, and the first key and time of each page."""

    entries: int
    counted: int
    keys: list[int]
    times: list[int]


class _Page(NamedTuple):
    """A page of an old block, sorted by ``(key, low)``."""

    key: memoryview
    low: memoryview
    times: memoryview
    numbers: memoryview


class Pile:
    """The entries of one owner.

    Args:
        rows: of the partition.
        prefix: of all row keys; no other owner's begins with it.
        sizes: of blocks and pages.
        uncounted: `rank` does not count entries whose number reaches this; None when nobody asks for a `rank`.
        n: how many entries there are.
        tail: the last ``n % unit`` of them, as `tail` gave them.
    """

    __slots__ = (
        "_at_units", "_looked", "_new_numbers", "_new_times", "_old", "_prefix", "_rows", "_sieve", "_sizes",
        "_uncounted", "_whole", "_young", "_young_times", "n", "old_span", "tail_ids", "tail_numbers", "tail_times",
    )  # fmt: skip

    def __init__(
        self, rows: Rows, prefix: bytes, sizes: Sizes, *, uncounted: int | None = None, n: int = 0, tail: bytes = b""
    ) -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self._uncounted = uncounted
        self.old_span = sizes.unit * sizes.fan**sizes.old_level
        """How many entries the first old block takes."""
        self._sieve: Sieve | None = None
        self._whole = False
        """Whether the sieve stands for the old blocks, too."""
        self._looked = 0
        self._young_times: Longs | None = None
        """The counted times of the young and the tail, sorted; what came since is in the next two."""
        self._new_times = self._new_numbers = b""
        self._at_units = -1
        self._young: list[_Block] = []
        self._old: list[_Block] = []
        self.n = n
        count = n % sizes.unit
        self.tail_ids = tail[: 16 * count]
        self.tail_times = tail[16 * count : 24 * count]
        self.tail_numbers = tail[24 * count : 28 * count]

    @property
    def tail(self) -> bytes:
        """The entries that lie in no row of the pile yet."""
        return self.tail_ids + self.tail_times + self.tail_numbers

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the pages, which are kept by themselves."""
        sieve = 0 if self._sieve is None else self._sieve.nbytes
        times = 0 if self._young_times is None else self._young_times.nbytes
        return 900 + ENTRY_BYTES * self._sizes.unit + sieve + times

    # -- which ids are here

    def find(self, ids: bytes, marks: Sequence[int], tags: bytes, hashed: bytes | None, floor: int) -> list[int]:
        """Which of some ids, all different, are here already.

        Those that are not must be added next: the sieve counts them in.

        Args:
            ids: 16 bytes each.
            marks: and ``tags``: of each id.
            hashed: a byte for each id: whether it is hashed (None: none is).
            floor: entries of an earlier time do not count: they are folded.

        Returns:
            The places, in ``ids``, of those that are here.
        """
        count = len(tags)
        self._prepare(count)
        sieve = cast("Sieve", self._sieve)
        old = self._blocks()[1]
        if count < self._sizes.many:
            maybe = sieve.sift(marks, tags)
        else:
            maybe = sieve.sift_many(np.array(marks, np.uint32), tags)
        if not maybe and (self._whole or not old):
            return []
        found = [
            place
            for place in maybe
            if self._in_young(ids[16 * place : 16 * place + 16], hashed is not None and hashed[place] != 0, floor)
            is not None
        ]
        if old:
            ask = maybe if self._whole else range(count)
            if found:
                here = set(found)
                ask = [place for place in ask if place not in here]
            if len(ask) < self._sizes.many:
                found += [
                    place
                    for place in ask
                    if self._in_old(
                        *word(ids[16 * place : 16 * place + 16]), hashed is not None and hashed[place] != 0, floor
                    )
                    is not None
                ]
            else:
                found += self._many_in_old(ids, ask, hashed, floor)
        return sorted(found)

    def holds(self, sixteen: bytes, hashed: bool, floor: int) -> bool:
        """Whether one id is here with a time of ``floor`` or later."""
        if self._in_young(sixteen, hashed, floor) is not None:
            return True
        return self._in_old(*word(sixteen), hashed, floor) is not None

    def number_of(self, sixteen: bytes) -> int | None:
        """The number of the entry with this hashed id, or None (for piles without times)."""
        number = self._in_young(sixteen, True, NO_FLOOR)
        return number if number is not None else self._in_old(*word(sixteen), True, NO_FLOOR)

    def _prepare(self, more: int) -> None:
        """Have a sieve with room for ``more``; decide whether the old blocks are worth one."""
        n, span = self.n, self.old_span
        young = n % span
        if not self._whole and n >= span:
            self._looked += more
            if self._looked * self._sizes.worth >= n:
                self._whole, self._sieve = True, None
        entries = n if self._whole else young
        if self._sieve is not None and self._sieve.room >= entries + more:
            return
        sieve = self._sieve = Sieve(entries + more)
        for ids in self._young_ids():
            _remember(sieve, words(ids)[0])
        if self._whole:
            for block in self._blocks()[1]:
                for number in range(len(self._fences(block).keys)):
                    _remember(sieve, np.frombuffer(self._page(block, number, keep=False).key, np.uint64))

    def _young_ids(self) -> Iterator[bytes]:
        for block in self._blocks()[0]:
            row = self._young_row(block)
            yield row[: len(row) // ENTRY_BYTES * 16]
        if self.tail_ids:
            yield self.tail_ids

    def _in_young(self, sixteen: bytes, hashed: bool, floor: int) -> int | None:
        """The number of the entry in the tail or the young blocks, or None."""
        number = _look(self.tail_ids, self.tail_times, self.tail_numbers, sixteen, hashed, floor)
        if number is not None:
            return number
        for block in self._blocks()[0]:
            row = self._young_row(block)
            n = len(row) // ENTRY_BYTES
            if row.find(sixteen, 0, 16 * n) >= 0:
                number = _look(row[: 16 * n], row[16 * n : 24 * n], row[24 * n :], sixteen, hashed, floor)
                if number is not None:
                    return number
        return None

    def _in_old(self, key: int, low: int, hashed: bool, floor: int) -> int | None:
        """The number of the entry in the old blocks, or None."""
        for block in self._blocks()[1]:
            keys = self._fences(block).keys
            # Equal keys may begin at the end of the page before the first that begins with them.
            for number in range(max(bisect_left(keys, key) - 1, 0), len(keys)):
                if keys[number] > key:
                    break
                page = self._page(block, number)
                at, end = bisect_left(page.key, key), len(page.key)
                while at < end and page.key[at] == key:
                    if page.low[at] == low and page.times[at] >= floor and bool(page.numbers[at] & HASHED) == hashed:
                        return page.numbers[at]
                    at += 1
        return None

    def _many_in_old(self, ids: bytes, places: Sequence[int], hashed: bytes | None, floor: int) -> list[int]:
        """`_in_old` for many, block by block and page by page."""
        where = np.fromiter(places, np.int64, len(places))
        key, low = words(ids)
        where = where[np.argsort(key[where])]
        key, low = key[where], low[where]
        flags = np.zeros(len(where), np.bool_) if hashed is None else np.frombuffer(hashed, np.bool_)[where]
        found = np.zeros(len(where), np.bool_)
        unsure = np.zeros(len(where), np.bool_)
        for block in self._blocks()[1]:
            fences = self._fences(block).keys
            for number, first, last in _by_page(np.array(fences, np.uint64), key, "right"):
                page = self._page(block, number)
                keys = np.frombuffer(page.key, np.uint64)
                at = np.searchsorted(keys, key[first:last], "right") - 1  # >= 0: the page begins at or below the key
                same = np.flatnonzero(keys[at] == key[first:last])
                if not len(same):
                    continue
                at, to = at[same], same + first
                sure = (
                    (np.frombuffer(page.low, np.uint64)[at] == low[to])
                    & (np.frombuffer(page.times, np.int64)[at] >= floor)
                    & ((np.frombuffer(page.numbers, np.uint32)[at] & HASHED != 0) == flags[to])
                )
                found[to[sure]] = True
                unsure[to[~sure]] = True
        for at in np.flatnonzero(unsure & ~found).tolist():  # another entry has the same key: look at each
            found[at] = self._in_old(int(key[at]), int(low[at]), bool(flags[at]), floor) is not None
        return where[found].tolist()

    # -- how many times lie where

    def rank(self, steps: Sequence[tuple[int, int]]) -> int:
        """The sum, over the steps ``(time, weight)``, of weight times the number of counted entries before time."""
        if not self.n:
            return 0
        young = memoryview(self._sorted_young_times())
        if len(steps) < self._sizes.many:
            total = sum(weight * bisect_left(young, time) for time, weight in steps)
            for block in self._blocks()[1]:
                fences = self._fences(block).times
                for time, weight in steps:
                    number = bisect_left(fences, time) - 1
                    if number >= 0:
                        page = self._times_page(block, number)
                        total += weight * (number * self._sizes.times_page + bisect_left(page, time))
            return total
        after_all = sum(weight for time, weight in steps if time > _LAST)
        total = after_all * (len(young) + sum(self._fences(block).counted for block in self._blocks()[1]))
        table = np.array(sorted(step for step in steps if step[0] <= _LAST), np.int64).reshape(-1, 2)
        times, weights = np.ascontiguousarray(table[:, 0]), table[:, 1]
        total += int((np.searchsorted(np.asarray(young), times, "left") * weights).sum())
        for block in self._blocks()[1]:
            fences = np.array(self._fences(block).times, np.int64)
            for number, first, last in _by_page(fences, times, "left"):
                page = np.frombuffer(self._times_page(block, number), np.int64)
                ranks = np.searchsorted(page, times[first:last], "left") + number * self._sizes.times_page
                total += int((ranks * weights[first:last]).sum())
        return total

    def _sorted_young_times(self) -> Longs:
        times = self._young_times
        if times is None:
            rows = [self._young_row(block) for block in self._blocks()[0]]
            ends = [len(row) // ENTRY_BYTES for row in rows]
            self._new_times = b"".join([r[16 * n : 24 * n] for r, n in zip(rows, ends, strict=True)]) + self.tail_times
            self._new_numbers = b"".join([r[24 * n :] for r, n in zip(rows, ends, strict=True)]) + self.tail_numbers
            times = np.zeros(0, np.int64)
        if self._new_times:
            new = np.frombuffer(self._new_times, np.int64)
            new = new[np.frombuffer(self._new_numbers, np.uint32) < cast("int", self._uncounted)]
            times = np.concatenate((times, new))
            times.sort()
            self._new_times = self._new_numbers = b""
        self._young_times = times
        return times

    # -- everything

    def entries(self) -> Iterator[tuple[Longs, Numbers]]:
        """Times and numbers of all entries, in no particular order (reads everything)."""
        for block in self._blocks()[1]:
            for number in range(len(self._fences(block).keys)):
                page = self._page(block, number, keep=False)
                yield np.frombuffer(page.times, np.int64), np.frombuffer(page.numbers, np.uint32)
        yield from ((part.times, part.numbers) for part in self._young_columns())

    def young_entries(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Ids, times and numbers of the young and the tail, in order of arrival."""
        for block in self._blocks()[0]:
            row = self._young_row(block)
            n = len(row) // ENTRY_BYTES
            yield row[: 16 * n], row[16 * n : 24 * n], row[24 * n :]
        yield self.tail_ids, self.tail_times, self.tail_numbers

    def _young_columns(self) -> Iterator[Columns]:
        for ids, times, numbers in self.young_entries():
            yield _columns(ids, times, numbers)

    # -- adding

    def add(self, ids: bytes, times: bytes, numbers: bytes, floors: Longs | None = None) -> list[Numbers]:
        """Add entries, of which none is here.

        Args:
            ids: 16 bytes each.
            times: signed 64 bits each, little-endian.
            numbers: unsigned 32 bits each.
            floors: for each entry, the time before which old entries are dropped once it is here (None: never).

        Returns:
            The numbers of entries that were dropped.
        """
        before, unit = self.n, self._sizes.unit
        count = len(numbers) // 4
        self.n = after = before + count
        self.tail_ids += ids
        self.tail_times += times
        self.tail_numbers += numbers
        if self._young_times is not None:
            self._new_times += times
            self._new_numbers += numbers
        if before // unit == after // unit:
            return []
        return self._seal(before, floors)

    def _seal(self, before: int, floors: Longs | None) -> list[Numbers]:
        """Move what fills a unit from the tail into blocks."""
        unit, after = self._sizes.unit, self.n
        base = before - before % unit
        gone = self._list(before // unit)
        now = self._list(after // unit)
        dropped: list[Numbers] = []
        for block in now - gone:
            size = self._size(block.level)
            first, last = block.index * size, (block.index + 1) * size
            parts = [part for part in gone if first <= part.index * self._size(part.level) < last]
            parts.sort(key=lambda part: part.index * self._size(part.level))
            tail = slice(max(first - base, 0), last - base)
            if block.level < self._sizes.old_level:
                self._write_young(block, parts, tail)
            else:
                floor = NO_FLOOR if floors is None else int(floors[last - before - 1])
                dropped += self._write_old(block, parts, tail, floor)
        for block in gone - now:
            self._delete(block)
        cut = after - after % unit - base
        self.tail_ids = self.tail_ids[16 * cut :]
        self.tail_times = self.tail_times[8 * cut :]
        self.tail_numbers = self.tail_numbers[4 * cut :]
        if before // self.old_span != after // self.old_span:
            self._young_times = None
            self._new_times = self._new_numbers = b""
            if not self._whole:
                self._sieve = None
        return dropped

    def _write_young(self, block: _Block, parts: list[_Block], tail: slice) -> None:
        first, last = tail.start, tail.stop
        rows = [self._young_row(part) for part in parts]
        ends = [len(row) // ENTRY_BYTES for row in rows]
        pieces = [row[: 16 * n] for row, n in zip(rows, ends, strict=True)]
        pieces.append(self.tail_ids[16 * first : 16 * last])
        pieces += [row[16 * n : 24 * n] for row, n in zip(rows, ends, strict=True)]
        pieces.append(self.tail_times[8 * first : 8 * last])
        pieces += [row[24 * n :] for row, n in zip(rows, ends, strict=True)]
        pieces.append(self.tail_numbers[4 * first : 4 * last])
        self._rows.put(self._key(_YOUNG, block), b"".join(pieces))

    def _write_old(self, block: _Block, parts: list[_Block], tail: slice, floor: int) -> list[Numbers]:
        first, last = tail.start, tail.stop
        pieces: list[Columns] = []
        for part in parts:
            if part.level >= self._sizes.old_level:
                pages = range(len(self._fences(part).keys))
                pieces += [_arrays(self._page(part, number, keep=False)) for number in pages]
            else:
                row = self._young_row(part)
                n = len(row) // ENTRY_BYTES
                pieces.append(_columns(row[: 16 * n], row[16 * n : 24 * n], row[24 * n :]))
        pieces.append(
            _columns(
                self.tail_ids[16 * first : 16 * last],
                self.tail_times[8 * first : 8 * last],
                self.tail_numbers[4 * first : 4 * last],
            )
        )
        columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
        dropped: list[Numbers] = []
        if floor > NO_FLOOR:
            keep = columns[2] >= floor
            if not keep.all():
                dropped.append(columns[3][~keep])
                columns = [column[keep] for column in columns]
        order = np.argsort(columns[0])
        key = columns[0][order]
        if (key[1:] == key[:-1]).any():  # one order for these, too, whatever the parts were
            order = np.lexsort((columns[3], columns[2], columns[1], columns[0]))
        self._write_pages(block, Columns(*[column[order] for column in columns]))
        return dropped

    def _write_pages(self, block: _Block, columns: Columns) -> None:
        put, page, times_page = self._rows.put, self._sizes.page, self._sizes.times_page
        entries = len(columns.numbers)
        for number, at in enumerate(range(0, entries, page)):
            row = b"".join([column[at : at + page].tobytes() for column in columns])
            put(self._key(_IDS, block, number), row)
        times = np.zeros(0, np.int64)
        if self._uncounted is not None:
            times = columns.times[columns.numbers < self._uncounted]
            times.sort()
            for number, at in enumerate(range(0, len(times), times_page)):
                put(self._key(_TIMES, block, number), times[at : at + times_page].tobytes())
        head = _COUNTS.pack(entries, len(times))
        put(self._key(_FENCES, block), head + columns.key[::page].tobytes() + times[::times_page].tobytes())

    def _delete(self, block: _Block) -> None:
        keys = [self._key(_YOUNG, block)]
        if block.level >= self._sizes.old_level:
            fences = self._fences(block)
            keys = [self._key(_FENCES, block)]
            keys += [self._key(_IDS, block, number) for number in range(len(fences.keys))]
            keys += [self._key(_TIMES, block, number) for number in range(len(fences.times))]
        for key in keys:
            self._rows.delete(key)
            self._rows.forget(key)

    # -- blocks and their rows

    def _size(self, level: int) -> int:
        return self._sizes.unit * self._sizes.fan**level

    def _list(self, units: int) -> set[_Block]:
        """The blocks of a pile that has filled so many units."""
        fan, top = self._sizes.fan, self._sizes.top_level
        blocks: set[_Block] = set()
        for level in range(top + 1):
            last = units // fan**level
            first = 0 if level == top else last - last % fan
            blocks.update([_Block(level, index) for index in range(first, last)])
        return blocks

    def _blocks(self) -> tuple[list[_Block], list[_Block]]:
        """The young and the old blocks, each in order of arrival."""
        units = self.n // self._sizes.unit
        if units != self._at_units:
            blocks = sorted(self._list(units), key=lambda block: -block.level)
            self._young = [block for block in blocks if block.level < self._sizes.old_level]
            self._old = [block for block in blocks if block.level >= self._sizes.old_level]
            self._young.sort(key=lambda block: block.index * self._size(block.level))
            self._at_units = units
        return self._young, self._old

    def _key(self, kind: int, block: _Block, page: int = 0) -> bytes:
        return self._prefix + _SUFFIX.pack(kind, block.level, block.index, page)

    def _row(self, key: bytes) -> bytes:
        row = self._rows.get(key)
        if row is None:
            raise LookupError(f"the row {key!r} is missing: the state is damaged; delete it, and it is restored")
        return row

    def _young_row(self, block: _Block) -> bytes:
        key = self._key(_YOUNG, block)
        row = self._rows.kept(key)
        if row is None:
            row = self._row(key)
            self._rows.keep(key, row, len(row) + 200)
        return row

    def _fences(self, block: _Block) -> _Fences:
        key = self._key(_FENCES, block)
        fences = self._rows.kept(key)
        if fences is None:
            row = self._row(key)
            entries, counted = _COUNTS.unpack_from(row)
            pages = -(-entries // self._sizes.page)
            words = memoryview(row)[_COUNTS.size :]
            keys = words[: 8 * pages].cast("Q").tolist()
            fences = _Fences(entries, counted, keys, words[8 * pages :].cast("q").tolist())
            self._rows.keep(key, fences, 400 + 5 * len(row))
        return fences

    def _page(self, block: _Block, number: int, *, keep: bool = True) -> _Page:
        key = self._key(_IDS, block, number)
        page = self._rows.kept(key)
        if page is None:
            row = memoryview(self._row(key))
            n = len(row) // ENTRY_BYTES
            page = _Page(
                row[: 8 * n].cast("Q"), row[8 * n : 16 * n].cast("Q"), row[16 * n : 24 * n].cast("q"),
                row[24 * n :].cast("I"),
            )  # fmt: skip
            if keep:
                self._rows.keep(key, page, len(row) + 1200)
        return page

    def _times_page(self, block: _Block, number: int) -> memoryview:
        key = self._key(_TIMES, block, number)
        page = self._rows.kept(key)
        if page is None:
            page = memoryview(self._row(key)).cast("q")
            self._rows.keep(key, page, page.nbytes + 400)
        return page


def _look(ids: bytes, times: bytes, numbers: bytes, sixteen: bytes, hashed: bool, floor: int) -> int | None:
    """Where ``sixteen`` stands in ``ids``: its number, when flag and time fit."""
    at = ids.find(sixteen)
    while at >= 0:
        if at % 16 == 0:
            place = at // 16
            number = int.from_bytes(numbers[4 * place : 4 * place + 4], "little")
            time = int.from_bytes(times[8 * place : 8 * place + 8], "little", signed=True)
            if time >= floor and bool(number & HASHED) == hashed:
                return number
        at = ids.find(sixteen, at + 1)
    return None


def _remember(sieve: Sieve, key: Words) -> None:
    mark = marks(key)
    sieve.sift_many(mark, tags(mark))


def _columns(ids: bytes, times: bytes, numbers: bytes) -> Columns:
    return Columns(*words(ids), np.frombuffer(times, np.int64), np.frombuffer(numbers, np.uint32))


def _arrays(page: _Page) -> Columns:
    return Columns(*[np.frombuffer(cast("Any", column), column.format) for column in page])


def _by_page(fences: npt.NDArray[Any], values: npt.NDArray[Any], side: Any) -> Iterator[tuple[int, int, int]]:
    """Which sorted ``values`` fall in which page: ``(page, first, last)``; those before the first page in none."""
    pages = np.searchsorted(fences, values, side) - 1
    at = int(np.searchsorted(pages, 0))
    while at < len(values):
        number = int(pages[at])
        last = int(np.searchsorted(pages, number, "right"))
        yield number, at, last
        at = last
