"""Which operators were online when: statuses in order of time, corrected as late ones come in.

Of two statuses of one operator at one time the one with the greater id holds. A status changes its operator's state
from its time to that operator's next status; over that interval alone the number of operators online is corrected,
and where it leaves or reaches zero, the interval is reported: its messages have become chats, or e-mails.

>>> from aggregators.rows import MemoryStore
>>> timeline, moved = Timeline(Rows(MemoryStore()), b"7", Sizes(), [SignedStatus(10, 0, True, b"a" * 16)]), []
>>> timeline.sign(30, 0, False, b"b" * 16, None, moved)
>>> moved
[(30, 9223372036854775808, -1)]
>>> timeline.chats(np.array([9, 10, 29, 30]))
2

A timeline is a list of leaves, a row each, and an index row that says where each begins; a leaf knows who was online
at its start. A site that is small yet has none (`aggregators.young_timeline`).

Invariants: ``(time, operator)`` is unique; statuses of one time lie in one leaf, so that a leaf's start is above every
time before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

import numpy as np

from aggregators.blocks import Longs, row_at
from aggregators.ids import uuid_text
from aggregators.leaf import ALWAYS, NEVER, Identity, Leaf, Moves, SignedStatus, move
from aggregators.rows import Rows

_INDEX_HEAD = Struct("<II")
_NUMBER = Struct(">I")


class Sizes(NamedTuple):
    """How many statuses a leaf holds before it is split, and how many operators a timeline that is not stored has."""

    leaf: int = 256
    operators: int = 255
    """255 at the most (tests make both small)."""


class Timeline:
    """The statuses of one site.

    Args:
        rows: of the partition.
        site: its id, UTF-8.
        sizes: of leaves.
        statuses: what it begins with; None: what its rows say.
    """

    __slots__ = ("_changed", "_index_changed", "_next", "_numbers", "_rows", "_site", "_sizes", "_starts")

    def __init__(self, rows: Rows, site: bytes, sizes: Sizes, statuses: Iterable[SignedStatus] | None = None) -> None:
        self._rows = rows
        self._site = site
        self._sizes = sizes
        self._changed: dict[int, Leaf] = {}
        self._index_changed = False
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._next = 0
        if statuses is None:
            row = row_at(self._rows, self._index_key)
            self._next, n = _INDEX_HEAD.unpack_from(row)
            self._starts = np.frombuffer(row, "<i8", n, _INDEX_HEAD.size).tolist()
            self._numbers = np.frombuffer(row, "<u4", n, _INDEX_HEAD.size + 8 * n).tolist()
        else:
            self._cut(sorted(statuses, key=lambda status: status[:2]))

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the leaves, which are kept by themselves."""
        return 600 + 48 * len(self._starts)

    # -- statuses

    def sign(self, time: int, operator: int, state: bool, sixteen: bytes, text: str | None, moved: Moves) -> None:
        """Count one status.

        Args:
            time: of the status.
            operator: the number of who signed.
            state: whether online.
            sixteen: the status's id.
            text: of the id, where ``sixteen`` is its hash.
            moved: is told which messages moved.
        """
        identity: Identity = sixteen if text is None else text
        place = bisect_right(self._starts, time) - 1
        leaf = self._at(place)
        self._changed[self._numbers[place]] = leaf
        times, operators = leaf.times, leaf.operators
        at = before = bisect_left(times, time)
        end = len(times)
        while at < end and times[at] == time and operators[at] != operator:
            at += 1
        if at < end and times[at] == time:  # this operator's status of this time: which of the two holds?
            if _text(leaf.ids[at]) >= _text(identity):
                return
            was = leaf.is_online(at)
            leaf.replace(at, operator, state, identity)
        else:
            before -= 1
            while before >= 0 and operators[before] != operator:
                before -= 1
            was = leaf.is_online(before) if before >= 0 else operator in leaf.online
            leaf.insert(at, time, operator, state, identity)
        if was != state:
            self._shift(place, leaf, at, 1 if state else -1, moved)
        if end >= self._sizes.leaf:
            self._split(place, leaf)

    def _shift(self, place: int, leaf: Leaf, at: int, change: int, moved: Moves) -> None:
        """Add ``change`` to the number online from status ``at`` of a leaf to its operator's next status."""
        edge = 0 if change > 0 else 1
        operator, first = leaf.operators[at], at + 1
        while True:
            times, counts, rest = leaf.times, leaf.counts, leaf.operators[first:]
            last = place + 1 == len(self._starts)
            own = operator in rest
            end = first + rest.index(operator) + 1 if own else len(times) + 1
            part = counts[first:end]
            if edge in part:
                after_all = NEVER if last else self._starts[place + 1]
                for after, count in enumerate(part, first):
                    if count == edge:
                        begin = times[after - 1] if after else leaf.start
                        move(moved, begin, times[after] if after < len(times) else after_all, change)
            counts[first:end] = [count + change for count in part]
            if own or last:
                return
            place, first = place + 1, 0
            leaf = self._at(place)
            (leaf.online.add if change > 0 else leaf.online.discard)(operator)
            self._changed[self._numbers[place]] = leaf

    def chats(self, times: Longs) -> int:
        """How many of messages sent at ``times`` met an operator."""
        times = np.sort(times)
        total = at = 0
        while at < len(times):
            place = bisect_right(self._starts, times[at]) - 1
            last = len(times)
            if place + 1 < len(self._starts):
                last = int(np.searchsorted(times, self._starts[place + 1]))
            total += self._at(place).met(times[at:last])
            at = last
        return total

    # -- leaves

    def leaves(self) -> Iterator[Leaf]:
        """All leaves in order of time."""
        for place in range(len(self._starts)):
            yield self._at(place)

    def _cut(self, statuses: list[SignedStatus]) -> None:
        """Make the leaves of a timeline that begins."""
        size = self._sizes.leaf
        online: set[int] = set()
        first = 0
        while first < len(statuses) or not self._starts:
            last = min(first + size // 2 or 1, len(statuses))
            while last < len(statuses) and statuses[last].time == statuses[last - 1].time:
                last += 1
            part = Leaf(statuses[first].time if first else ALWAYS, online)
            part.fill(statuses[first:last])
            self._enter(len(self._starts), part)
            online = part.online_at_end()
            first = last

    def fold(self, floor: int) -> None:
        """Drop the leaves that end at or before ``floor``; who was online then stays known."""
        gone = bisect_right(self._starts, floor, 1) - 1
        if gone <= 0:
            return
        for place in range(gone):
            key = self._key(self._numbers[place])
            self._changed.pop(self._numbers[place], None)
            self._rows.delete(key)
            self._rows.forget(key)
        del self._starts[:gone], self._numbers[:gone]
        self._index_changed = True

    def flush(self) -> None:
        """Put the rows of what has changed."""
        for number, leaf in self._changed.items():
            key = self._key(number)
            self._rows.put(key, leaf.encode())
            self._rows.keep(key, leaf, leaf.nbytes)
        self._changed.clear()
        if self._index_changed:
            self._index_changed = False
            starts, numbers = np.array(self._starts, "<i8"), np.array(self._numbers, "<u4")
            head = _INDEX_HEAD.pack(self._next, len(starts))
            self._rows.put(self._index_key, head + starts.tobytes() + numbers.tobytes())

    def _split(self, place: int, leaf: Leaf) -> None:
        """Cut a full leaf in the middle, or as near to it as two times differ."""
        times = leaf.times
        middle = len(times) // 2
        cut = bisect_left(times, times[middle])
        if cut == 0:
            cut = bisect_right(times, times[middle])
        if cut == len(times):
            return
        self._changed[self._numbers[place]], upper = leaf.cut(cut)
        self._enter(place + 1, upper)

    def _enter(self, place: int, leaf: Leaf) -> None:
        self._starts.insert(place, leaf.start)
        self._numbers.insert(place, self._next)
        self._changed[self._next] = leaf
        self._next += 1
        self._index_changed = True

    def _at(self, place: int) -> Leaf:
        number = self._numbers[place]
        leaf = self._changed.get(number)
        if leaf is None:
            key = self._key(number)
            leaf = self._rows.kept(key)
            if leaf is None:
                leaf = Leaf.decode(row_at(self._rows, key))
                self._rows.keep(key, leaf, leaf.nbytes)
        return leaf

    # -- rows

    def _key(self, number: int) -> bytes:
        return b"l" + self._site + _NUMBER.pack(number)

    @property
    def _index_key(self) -> bytes:
        return b"x" + self._site


def _text(identity: Identity) -> str:
    return identity if isinstance(identity, str) else uuid_text(identity)
