"""The detail of one session: windows of samples, and when states begin; what a late record may still change.

>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.session_window import plain
>>> detail = Detail(Rows(MemoryStore()), b"a")
>>> detail.begin(2, 7_000), detail.rank_at(6_999), detail.rank_at(7_000)
(Begun(before=0, until=None), 0, 2)
>>> detail.window(1).add_sample(plain(0, 0, 0.5), None)
True
>>> [window.number for window in detail.fold(2)], detail.base, detail.numbers
([1], 2, [])

| row | what |
|---|---|
| ``d`` session | the numbers of its windows |
| ``w`` session, window, page | a page of a window (`aggregators.session_window`) |
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from aggregators.rows import Rows
from aggregators.session_window import WINDOW_MS, Window, is_full

_WINDOWS, _PAGES = b"d", b"w"
_PAGE = struct.Struct(">QI")
_SIGN = 1 << 63

_encode = msgspec.msgpack.Encoder().encode
_decode_numbers = msgspec.msgpack.Decoder(list[int]).decode


class Begun(NamedTuple):
    """A state that begins where another one was thought to go on."""

    before: int
    """The rank of that one."""
    until: int | None
    """When the next state begins; None where there is none."""


class Detail:
    """The windows and states of one session that are not folded.

    Args:
        rows: of its partition.
        name: of the session.
        base: the rank of the last state that is folded.
    """

    def __init__(self, rows: Rows, name: bytes, base: int = 0) -> None:
        self._rows = rows
        self._name = name
        self.base = base
        self.windows: dict[int, Window] = {}
        """By number."""
        self.numbers: list[int] = []
        """Of the windows, ascending."""
        self.times: list[int] = []
        """When states begin, ascending."""
        self.ranks: list[int] = []
        """Which."""
        self.written: set[int] = set()
        """Windows that got anything since `put`."""
        self.nbytes = 0
        """What the windows take in memory, about."""
        self._stored_numbers: list[int] = []
        self._awake: list[int] = []
        """The window that was the newest at the last `put`."""
        self._gone: list[bytes] = []
        """Rows to be deleted."""

    def window(self, number: int) -> Window:
        """The window of that number, from here on."""
        window = self.windows.get(number)
        if window is None:
            window = self.windows[number] = Window(number)
            insort(self.numbers, number)
        return window

    @property
    def last_rank(self) -> int:
        """The rank of the latest state."""
        return self.ranks[-1] if self.ranks else self.base

    def rank_at(self, time: int) -> int:
        """The rank of the state at a time (ms)."""
        at = bisect_right(self.times, time)
        return self.ranks[at - 1] if at else self.base

    def begin(self, rank: int, time: int) -> Begun | None:
        """A state begins; None where that is no news."""
        times, ranks = self.times, self.ranks
        at = bisect_left(times, time)
        if at < len(times) and times[at] == time:
            before = ranks[at]
            if rank <= before:
                return None
            ranks[at] = rank
        else:
            before = ranks[at - 1] if at else self.base
            times.insert(at, time)
            ranks.insert(at, rank)
        return Begun(before, times[at + 1] if at + 1 < len(times) else None)

    def between(self, since: int, until: int | None) -> Iterator[Window]:
        """The windows that hold any of ``[since, until)`` (ms)."""
        first = bisect_left(self.numbers, since // WINDOW_MS)
        last = None if until is None else bisect_right(self.numbers, (until - 1) // WINDOW_MS)
        return map(self.windows.__getitem__, self.numbers[first:last])

    def fold(self, floor: int) -> list[Window]:
        """Let go of what is below the window of that number; the windows that were there, in their order."""
        at = bisect_left(self.times, floor * WINDOW_MS)
        if at:
            self.base = self.ranks[at - 1]
            del self.times[:at], self.ranks[:at]
        at = bisect_left(self.numbers, floor)
        folded = [self.windows.pop(number) for number in self.numbers[:at]]
        del self.numbers[:at]
        for window in folded:
            self._gone += [self._page(window.number, page) for page in range(window.stored)]
            self.nbytes -= window.weighed
        return folded

    # -- rows

    def put(self) -> None:
        """Put into rows what has changed; let all windows rest but the newest, which most is added to."""
        rows = self._rows
        for key in self._gone:
            rows.delete(key)
        newest = self.numbers[-1:]
        for number in {*self.written, *self._awake}:
            window = self.windows.get(number)
            if window is None:
                continue
            for page in range(window.clean, len(window.pages)):
                rows.put(self._page(number, page), bytes(window.pages[page]))
            window.clean = window.stored = len(window.pages)
            if number not in newest:
                window.rest()
            self.nbytes += window.weigh()
        self.written, self._gone, self._awake = set(), [], newest
        if self.numbers != self._stored_numbers:
            self._put_numbers()

    def load(self) -> None:
        """Take what the rows have."""
        row = self._rows.get(_WINDOWS + self._name)
        if row is None:
            return
        self.numbers = list(accumulate(_decode_numbers(row)))
        self._stored_numbers = self.numbers.copy()
        begins: dict[int, int] = {}
        for number in self.numbers:
            window = self.windows[number] = Window(number, self._load_pages(number))
            for time, rank in window.marks():
                begins[time] = max(rank, begins.get(time, 0))
            self.nbytes += window.weigh()
        self.times = sorted(begins)
        self.ranks = [begins[time] for time in self.times]
        for window in self.windows.values():
            window.count_by(self.rank_at)

    def _put_numbers(self) -> None:
        if self.numbers:
            steps = [self.numbers[0], *(after - before for before, after in pairwise(self.numbers))]
            self._rows.put(_WINDOWS + self._name, _encode(steps))
        else:
            self._rows.delete(_WINDOWS + self._name)
        self._stored_numbers = self.numbers.copy()

    def _page(self, number: int, page: int) -> bytes:
        return _PAGES + self._name + _PAGE.pack(number + _SIGN, page)

    def _load_pages(self, number: int) -> list[bytes]:
        pages: list[bytes] = []
        while not pages or is_full(pages[-1]):
            page = self._rows.get(self._page(number, len(pages)))
            if page is None:
                break
            pages.append(page)
        return pages
