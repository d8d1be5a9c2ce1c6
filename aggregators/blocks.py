"""Sorted blocks: the older part of a `aggregators.pile.Pile`, written once, cut into pages.

A block is several rows: its fences (the first key and the first time of each page), pages of entries sorted by key,
and pages of the counted times alone, sorted. Looking an id up reads one page a block, counting times one page a
block and border; nothing reads a whole block but the merge that replaces it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from aggregators.ids import Words, word, words
from aggregators.rows import Rows
from schemas.errors import StateError

Longs = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

HASHED = 1 << 30
"""Bit of an entry's number: its id is the hash of a text (`aggregators.ids`)."""
ENTRY_BYTES = 28
LAST = 2**63 - 1
"""The greatest time there is."""

FENCES, _IDS, _TIMES = b"fit"
SUFFIX = Struct(">BBIH")
"""The end of a row's key: what it is, the block's level and number, the page."""
_COUNTS = Struct("<II")


class Sizes(NamedTuple):
    """The sizes of blocks and pages, in entries, and two points of balance (tests make them small)."""

    unit: int = 32
    fan: int = 8
    old_level: int = 2
    top_level: int = 4
    page: int = 1024
    times_page: int = 8192
    many: int = 64
    """From here on numpy is quicker than a loop."""
    worth: int = 512
    """A look-up in the old blocks costs about as much as telling `aggregators.seen` this many ids."""

    @property
    def old_span(self) -> int:
        """How many entries the first old block takes."""
        return self.unit * self.fan**self.old_level


class Block(NamedTuple):
    """Positions ``[number · size, (number + 1) · size)`` of a pile; the level tells the size."""

    level: int
    number: int


class Columns(NamedTuple):
    """Entries as arrays."""

    key: Words
    low: Words
    times: Longs
    numbers: Numbers


class Asked(NamedTuple):
    """Ids that are looked up together, sorted by key."""

    places: npt.NDArray[np.intp]
    """Where each of them was."""
    key: Words
    low: Words
    hashed: Mask

    @classmethod
    def of(cls, ids: Words, hashed: Mask | None, places: npt.NDArray[np.intp]) -> Asked:
        """Those of the ``ids`` at ``places`` (``hashed`` as in `SortedBlocks.find_many`)."""
        key, low = words(ids.take(places, axis=0))
        order = np.argsort(key)
        places = places[order]
        return cls(
            places, key[order], low[order], np.zeros(len(places), np.bool_) if hashed is None else hashed[places]
        )

    def among(self, page: Columns, floor: int, part: slice = slice(None)) -> tuple[Mask, Mask]:
        """Which of the ``part`` are on a page sorted by key, and of which only the keys agree with an entry's."""
        key = self.key[part]
        at = np.maximum(np.searchsorted(page.key, key, "right") - 1, 0)
        same = page.key[at] == key
        here = same & (page.low[at] == self.low[part]) & (page.times[at] >= floor)
        here &= (page.numbers[at] & np.uint32(HASHED) != 0) == self.hashed[part]
        return here, same & ~here


class _Fences(NamedTuple):
    entries: int
    counted: int
    keys: list[int]
    times: list[int]


class _Page(NamedTuple):
    """Entries sorted by ``(key, low)``."""

    key: memoryview
    low: memoryview
    times: memoryview
    numbers: memoryview

    def columns(self) -> Columns:
        """As arrays."""
        return Columns(*[np.frombuffer(cast("Any", column), column.format) for column in self])


class SortedBlocks:
    """Reads and writes sorted blocks of one pile.

    Args:
        rows: of the partition.
        prefix: of the pile's rows.
        sizes: of pages.
        uncounted: times of numbers that reach this are not counted; None: none is.
    """

    __slots__ = ("_prefix", "_rows", "_sizes", "_uncounted")

    def __init__(self, rows: Rows, prefix: bytes, sizes: Sizes, uncounted: int | None) -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self._uncounted = uncounted

    # -- look-ups

    def find(self, blocks: Sequence[Block], sixteen: bytes, hashed: bool, floor: int) -> int | None:
        """The number of the entry with this id and a time of ``floor`` or later, or None."""
        key, low = word(sixteen)
        for block in blocks:
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

    def find_many(
        self, blocks: Sequence[Block], ids: Words, hashed: Mask | None, places: npt.NDArray[np.intp], floor: int
    ) -> list[int]:
        """Those of the ``places`` in ``ids`` that `find` would find.

        Args:
            blocks: where to look.
            ids: as `aggregators.ids.pairs` makes them.
            hashed: whether each id is hashed (None: none is).
            places: which of the ids are meant.
            floor: entries of an earlier time do not count.
        """
        if len(places) < self._sizes.many:
            flags = np.zeros(len(ids), np.bool_) if hashed is None else hashed
            find = self.find
            return [at for at in places.tolist() if find(blocks, ids[at].tobytes(), bool(flags[at]), floor) is not None]
        asked = Asked.of(ids, hashed, places)
        found = np.zeros(len(places), np.bool_)
        unsure = np.zeros(len(places), np.bool_)
        for block in blocks:
            for number, first, last in _by_page(np.array(self._fences(block).keys, np.uint64), asked.key, "right"):
                part = slice(first, last)
                here, differs = asked.among(self._page(block, number).columns(), floor, part)
                found[part] |= here
                unsure[part] |= differs
        for at in np.flatnonzero(unsure & ~found).tolist():  # another entry has the same key: look at each
            sixteen = ids[asked.places[at]].tobytes()
            found[at] = self.find(blocks, sixteen, bool(asked.hashed[at]), floor) is not None
        return cast("list[int]", asked.places[found].tolist())

    # -- counts

    def rank(self, blocks: Sequence[Block], steps: Sequence[tuple[int, int]]) -> int:
        """The sum, over the steps ``(time, weight)``, of weight times the number of counted times before time."""
        total, times_page = 0, self._sizes.times_page
        if len(steps) < self._sizes.many:
            for block in blocks:
                fences = self._fences(block).times
                for time, weight in steps:
                    number = bisect_left(fences, time) - 1
                    if number >= 0:
                        before = number * times_page + bisect_left(self._times(block, number), time)
                        total += weight * before
            return total
        after_all = sum([weight for time, weight in steps if time > LAST])
        times, weights = steps_within(steps)
        for block in blocks:
            fences = self._fences(block)
            total += after_all * fences.counted
            for number, first, last in _by_page(np.array(fences.times, np.int64), times, "left"):
                page = np.frombuffer(self._times(block, number), np.int64)
                ranks = np.searchsorted(page, times[first:last], "left") + number * times_page
                total += int((ranks * weights[first:last]).sum())
        return total

    # -- whole blocks

    def columns(self, block: Block) -> Iterator[Columns]:
        """All entries, page by page."""
        for number in range(len(self._fences(block).keys)):
            yield self._page(block, number, keep=False).columns()

    def write(self, block: Block, parts: Sequence[Columns], floor: int) -> Numbers:
        """Write a block that consists of ``parts``, without entries before ``floor``.

        Returns:
            The numbers of those entries.
        """
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        keep = columns[2] >= floor
        dropped = columns[3][~keep]
        if len(dropped):
            columns = [column[keep] for column in columns]
        order = np.argsort(columns[0])
        key = columns[0][order]
        if (key[1:] == key[:-1]).any():  # these, too, in one order, whatever the parts were
            order = np.lexsort((columns[3], columns[2], columns[1], columns[0]))
        self._write_pages(block, Columns(*[column[order] for column in columns]))
        return dropped

    def _write_pages(self, block: Block, columns: Columns) -> None:
        put, page, times_page = self._rows.put, self._sizes.page, self._sizes.times_page
        entries = len(columns.numbers)
        for number, at in enumerate(range(0, entries, page)):
            put(self._key(_IDS, block, number), b"".join([column[at : at + page].tobytes() for column in columns]))
        times = np.zeros(0, np.int64)
        if self._uncounted is not None:
            times = columns.times[columns.numbers < self._uncounted]
            times.sort()
            for number, at in enumerate(range(0, len(times), times_page)):
                put(self._key(_TIMES, block, number), times[at : at + times_page].tobytes())
        head = _COUNTS.pack(entries, len(times))
        put(self._key(FENCES, block), head + columns.key[::page].tobytes() + times[::times_page].tobytes())

    def delete(self, block: Block) -> None:
        """Remove a block's rows."""
        fences = self._fences(block)
        keys = [self._key(FENCES, block)]
        keys += [self._key(_IDS, block, number) for number in range(len(fences.keys))]
        keys += [self._key(_TIMES, block, number) for number in range(len(fences.times))]
        for key in keys:
            self._rows.delete(key)
            self._rows.forget(key)

    # -- rows

    def _key(self, kind: int, block: Block, page: int = 0) -> bytes:
        return self._prefix + SUFFIX.pack(kind, block.level, block.number, page)

    def _fences(self, block: Block) -> _Fences:
        key = self._key(FENCES, block)
        fences = self._rows.kept(key)
        if fences is None:
            row = row_at(self._rows, key)
            entries, counted = _COUNTS.unpack_from(row)
            pages = -(-entries // self._sizes.page)
            values = memoryview(row)[_COUNTS.size :]
            keys, times = values[: 8 * pages].cast("Q").tolist(), values[8 * pages :].cast("q").tolist()
            fences = _Fences(entries, counted, keys, times)
            self._rows.keep(key, fences, 400 + 5 * len(row))
        return fences

    def _page(self, block: Block, number: int, *, keep: bool = True) -> _Page:
        key = self._key(_IDS, block, number)
        page = self._rows.kept(key)
        if page is None:
            row = memoryview(row_at(self._rows, key))
            n = len(row) // ENTRY_BYTES
            key_column, low, times = row[: 8 * n], row[8 * n : 16 * n], row[16 * n : 24 * n]
            page = _Page(key_column.cast("Q"), low.cast("Q"), times.cast("q"), row[24 * n :].cast("I"))
            if keep:
                self._rows.keep(key, page, len(row) + 1200)
        return page

    def _times(self, block: Block, number: int) -> memoryview:
        key = self._key(_TIMES, block, number)
        page = self._rows.kept(key)
        if page is None:
            page = memoryview(row_at(self._rows, key)).cast("q")
            self._rows.keep(key, page, page.nbytes + 400)
        return page


def steps_within(steps: Sequence[tuple[int, int]]) -> tuple[Longs, Longs]:
    """Times, sorted, and weights of the steps whose time is a time."""
    table = np.array(sorted([step for step in steps if step[0] <= LAST]), np.int64).reshape(-1, 2)
    return np.ascontiguousarray(table[:, 0]), table[:, 1]


def row_at(rows: Rows, key: bytes) -> bytes:
    """The row at ``key``, which other rows say is there.

    Raises:
        StateError: it is not.
    """
    row = rows.get(key)
    if row is None:
        raise StateError(f"the row {key!r} is missing: this partition's state is damaged; delete it to restore it")
    return row


def _by_page(fences: npt.NDArray[Any], values: npt.NDArray[Any], side: Any) -> Iterator[tuple[int, int, int]]:
    """Which sorted ``values`` fall in which page: ``(page, first, last)``; those before the first page in none."""
    pages = np.searchsorted(fences, values, side) - 1
    at = int(np.searchsorted(pages, 0))
    while at < len(values):
        number = int(pages[at])
        last = int(np.searchsorted(pages, number, "right"))
        yield number, at, last
        at = last
