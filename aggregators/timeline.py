"""Which operators were online when: statuses in order of time, corrected as late ones come in.

Of two statuses of one operator at one time the one with the greater id holds. A status changes its operator's state
from its time to that operator's next status; over that interval alone the number of operators online is corrected,
and where it leaves or reaches zero, the interval is reported in `Timeline.moved`: its messages are chats now, or
e-mails.

>>> from aggregators.rows import MemoryStore, Rows
>>> timeline = Timeline(Rows(MemoryStore()), b"7", Sizes())
>>> timeline.sign(10, 0, True, b"a" * 16, None)
>>> timeline.sign(30, 0, False, b"b" * 16, None)
>>> timeline.moved
[(10, 9223372036854775808, 1), (30, 9223372036854775808, -1)]
>>> timeline.chats([9, 10, 29, 30])
2

A small timeline is one leaf in memory, made again from the events (`load`). A large one (`store`) is a list of
leaves, a row each, and an index row that says where each begins; a leaf knows who was online at its start.

Invariants: ``(time, operator)`` is unique; statuses of one time lie in one leaf, so that a leaf's start is above every
time before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aggregators.blocks import row_at
from aggregators.ids import uuid_text
from aggregators.leaf import Identity, Leaf, SignedStatus
from aggregators.rows import Rows

NEVER = 2**63
"""After every time."""
ALWAYS = -(2**63)
"""Not after any time."""

_INDEX_HEAD = Struct("<II")
_NUMBER = Struct(">I")


class Sizes(NamedTuple):
    """How many statuses a leaf holds before it is split (tests make it small)."""

    leaf: int = 256


class Timeline:
    """The statuses of one site.

    Args:
        rows: of the partition.
        site: its id, UTF-8.
        sizes: of leaves.
        stored: whether the leaves are in rows.
    """

    __slots__ = (
        "_changed",
        "_index_changed",
        "_leaf",
        "_next",
        "_numbers",
        "_rows",
        "_site",
        "_sizes",
        "_starts",
        "_texts",
        "moved",
    )

    def __init__(self, rows: Rows, site: bytes, sizes: Sizes, *, stored: bool = False) -> None:
        self._rows = rows
        self._site = site
        self._sizes = sizes
        self.moved: list[tuple[int, int, int]] = []
        """``(from, to, +1 or -1)``: messages of ``[from, to)`` are chats now, or e-mails. The owner clears it."""
        self._changed: dict[int, Leaf] = {}
        self._index_changed = False
        self._leaf: Leaf | None = None
        """The only leaf, as long as it is not stored."""
        self._starts: list[int] = [ALWAYS]
        self._numbers: list[int] = [0]
        self._next = 1
        self._texts: set[bytes] = set()
        """The hashes of ids whose text has a row of its own, as long as the leaf is not stored."""
        if stored:
            row = row_at(self._rows, self._index_key)
            self._next, n = _INDEX_HEAD.unpack_from(row)
            self._starts = np.frombuffer(row, "<i8", n, _INDEX_HEAD.size).tolist()
            self._numbers = np.frombuffer(row, "<u4", n, _INDEX_HEAD.size + 8 * n).tolist()
        else:
            self._leaf = Leaf(ALWAYS, set())

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the stored leaves, which are kept by themselves."""
        leaf = 0 if self._leaf is None else self._leaf.nbytes
        return 600 + leaf + 48 * len(self._starts)

    # -- statuses

    def load(self, statuses: Iterable[tuple[int, int, bool, bytes, bool]]) -> None:
        """Fill an empty timeline that is not stored, from events in any order.

        Args:
            statuses: time, operator, whether online, id, and whether that is the hash of a text.
        """
        held: dict[tuple[int, int], SignedStatus] = {}
        for time, operator, online, sixteen, hashed in statuses:
            identity: Identity = sixteen
            if hashed:
                self._texts.add(sixteen)
                identity = row_at(self._rows, self._text_key(sixteen)).decode()
            other = held.get((time, operator))
            if other is None or _text(identity) > _text(other.identity):
                held[time, operator] = SignedStatus(time, operator, online, identity)
        leaf = self._leaf = Leaf(ALWAYS, set())
        leaf.fill(held[place] for place in sorted(held))

    def sign(self, time: int, operator: int, state: bool, sixteen: bytes, text: str | None) -> None:
        """Count one status.

        Args:
            time: of the status.
            operator: the number of who signed.
            state: whether online.
            sixteen: the status's id.
            text: of the id, where ``sixteen`` is its hash.
        """
        identity: Identity = sixteen if text is None else text
        if text is not None and self._leaf is not None:
            self._texts.add(sixteen)
            self._rows.put(self._text_key(sixteen), text.encode())
        leaf, place = self._leaf, 0
        if leaf is None:
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
            leaf.replace(at, SignedStatus(time, operator, state, identity))
        else:
            before -= 1
            while before >= 0 and operators[before] != operator:
                before -= 1
            was = leaf.is_online(before) if before >= 0 else operator in leaf.online
            leaf.insert(at, SignedStatus(time, operator, state, identity))
        if was != state:
            self._shift(place, leaf, at, 1 if state else -1)
        if self._leaf is None and end >= self._sizes.leaf:
            self._split(place, leaf)

    def _shift(self, place: int, leaf: Leaf, at: int, change: int) -> None:
        """Add ``change`` to the number online from status ``at`` of a leaf to its operator's next status."""
        edge = 0 if change > 0 else 1
        operator, left = leaf.operators[at], leaf.times[at]
        first = at + 1
        while True:
            times, operators, counts = leaf.times, leaf.operators, leaf.counts
            n = len(times)
            last = place + 1 == len(self._starts)
            end = NEVER if last else self._starts[place + 1]
            for after in range(first, n + 1):
                right = times[after] if after < n else end
                count = counts[after]
                counts[after] = count + change
                if count == edge and left < right:
                    self._move(left, right, change)
                left = right
                if after < n and operators[after] == operator:
                    return
            if last:
                return
            place, first = place + 1, 0
            leaf = self._at(place)
            (leaf.online.add if change > 0 else leaf.online.discard)(operator)
            self._changed[self._numbers[place]] = leaf

    def _move(self, left: int, right: int, change: int) -> None:
        moved = self.moved
        if moved and moved[-1][1] == left and moved[-1][2] == change:
            moved[-1] = (moved[-1][0], right, change)
        else:
            moved.append((left, right, change))

    def chats(self, times: Sequence[int]) -> int:
        """How many of messages sent at ``times`` met an operator."""
        leaf = self._leaf
        if leaf is not None:
            return leaf.met(times)
        times = sorted(times)
        total = at = 0
        while at < len(times):
            place = bisect_right(self._starts, times[at]) - 1
            last = len(times)
            if place + 1 < len(self._starts):
                last = bisect_left(times, self._starts[place + 1], at)
            total += self._at(place).met(times[at:last])
            at = last
        return total

    def steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The whole timeline (reads everything).

        Returns:
            ``(times, online)``: whether somebody was online from each time on; ``online`` is one longer, its first
            place is for what lies before all times.
        """
        times = array("q")
        counts: list[int] = []
        for leaf in self.leaves():
            counts += leaf.counts[1:] if counts else leaf.counts
            times += leaf.times
        return np.array(times, np.int64), np.array(counts, np.int64) > 0

    # -- leaves

    def leaves(self) -> Iterator[Leaf]:
        """All leaves in order of time."""
        for place in range(len(self._starts)):
            yield self._at(place)

    def store(self) -> None:
        """From now on the leaves are in rows."""
        leaf, size = self._leaf, self._sizes.leaf
        if leaf is None:
            return
        self._leaf = None
        for sixteen in self._texts:
            self._rows.delete(self._text_key(sixteen))
        self._texts.clear()
        statuses = sorted(leaf.statuses(), key=lambda status: status[:2])
        self._starts, self._numbers, self._next = [], [], 0
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
        if self._leaf is not None:
            return
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
        statuses = list(leaf.statuses())
        lower = Leaf(leaf.start, leaf.online)
        lower.fill(statuses[:cut])
        upper = Leaf(times[cut], lower.online_at_end())
        upper.fill(statuses[cut:])
        number = self._numbers[place]
        self._changed[number] = lower
        self._enter(place + 1, upper)

    def _enter(self, place: int, leaf: Leaf) -> None:
        self._starts.insert(place, leaf.start)
        self._numbers.insert(place, self._next)
        self._changed[self._next] = leaf
        self._next += 1
        self._index_changed = True

    def _at(self, place: int) -> Leaf:
        if self._leaf is not None:
            return self._leaf
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

    def _text_key(self, sixteen: bytes) -> bytes:
        return b"c" + self._site + sixteen

    def _key(self, number: int) -> bytes:
        return b"l" + self._site + _NUMBER.pack(number)

    @property
    def _index_key(self) -> bytes:
        return b"x" + self._site


def _text(identity: Identity) -> str:
    return identity if isinstance(identity, str) else uuid_text(identity)
