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

Invariants, for a leaf with ``n`` statuses:

* ``times`` never falls; ``(time, operator)`` is unique, over all leaves;
* ``counts[i]`` operators are online after ``i`` of its statuses; ``counts[0] == len(online)``;
* statuses of one time lie in one leaf, so a leaf's start is above every time before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from aggregators.ids import uuid_text
from aggregators.rows import Rows

NEVER = 2**63
"""After every time."""
ALWAYS = -(2**63)
"""Not after any time."""

_LEAF_HEAD = Struct("<qIII")
_INDEX_HEAD = Struct("<II")
_NUMBER = Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[str])
_STATUS_BYTES = 130
"""What a status takes in memory: its time, and four places in lists."""


class Sizes(NamedTuple):
    """How many statuses a leaf holds before it is split (tests make it small)."""

    leaf: int = 256


Identity = bytes | str
"""A status's id: the 16 bytes of a UUID, or the text of any other (only its hash is in the pile)."""


class SignedStatus(NamedTuple):
    """What a status tells."""

    time: int
    operator: int
    online: bool
    identity: Identity


class Leaf:
    """The statuses of ``[start, start of the next leaf)``."""

    __slots__ = ("counts", "ids", "online", "operators", "start", "states", "times")

    def __init__(self, start: int, online: set[int]) -> None:
        self.start = start
        self.online = online
        """The operators online at the start."""
        self.times: list[int] = []
        self.operators: list[int] = []
        self.states: list[bool] = []
        self.ids: list[Identity] = []
        self.counts = [len(online)]

    def fill(self, statuses: Iterable[SignedStatus]) -> None:
        """Append statuses in their order."""
        online = set(self.online)
        for time, operator, state, identity in statuses:
            self.times.append(time)
            self.operators.append(operator)
            self.states.append(state)
            self.ids.append(identity)
            (online.add if state else online.discard)(operator)
            self.counts.append(len(online))

    def statuses(self) -> Iterator[SignedStatus]:
        """The statuses in their order."""
        return map(SignedStatus, self.times, self.operators, self.states, self.ids)

    def online_at_end(self) -> set[int]:
        """The operators online after the last status."""
        online = set(self.online)
        for operator, state in zip(self.operators, self.states, strict=True):
            (online.add if state else online.discard)(operator)
        return online

    def encode(self) -> bytes:
        """As a row."""
        texts = [identity for identity in self.ids if isinstance(identity, str)]
        codes = [
            operator << 2 | isinstance(identity, str) << 1 | state
            for operator, identity, state in zip(self.operators, self.ids, self.states, strict=True)
        ]
        parts = [
            _LEAF_HEAD.pack(self.start, len(self.online), len(self.times), len(texts)),
            np.array(sorted(self.online), "<u4").tobytes(),
            np.array(self.times, "<i8").tobytes(),
            np.array(codes, "<u4").tobytes(),
            *[identity for identity in self.ids if isinstance(identity, bytes)],
        ]
        return b"".join([*parts, _encoder.encode(texts)] if texts else parts)

    @classmethod
    def decode(cls, row: bytes) -> Leaf:
        """From a row."""
        start, online, n, texts = _LEAF_HEAD.unpack_from(row)
        at = _LEAF_HEAD.size
        leaf = cls(start, set(np.frombuffer(row, "<u4", online, at).tolist()))
        at += 4 * online
        times = np.frombuffer(row, "<i8", n, at).tolist()
        codes = np.frombuffer(row, "<u4", n, at + 8 * n).tolist()
        at += 12 * n
        end = at + 16 * (n - texts)
        uuids = iter([row[i : i + 16] for i in range(at, end, 16)])
        others = iter(_decoder.decode(row[end:]) if texts else ())
        leaf.fill(
            SignedStatus(time, code >> 2, bool(code & 1), next(others if code & 2 else uuids))
            for time, code in zip(times, codes, strict=True)
        )
        return leaf

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return 700 + _STATUS_BYTES * len(self.times) + 40 * len(self.online)


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
        self._starts = [ALWAYS]
        self._numbers = [0]
        self._next = 1
        self._texts: set[bytes] = set()
        """The hashes of ids whose text has a row of its own, as long as the leaf is not stored."""
        if stored:
            row = self._row(self._index_key)
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
                identity = self._row(self._text_key(sixteen)).decode()
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
        place = bisect_right(self._starts, time) - 1 if self._leaf is None else 0
        leaf = self._at(place)
        times, operators, states = leaf.times, leaf.operators, leaf.states
        at = bisect_left(times, time)
        end = bisect_right(times, time, at)
        before = at
        while at < end and operators[at] != operator:
            at += 1
        if at < end:
            if _text(leaf.ids[at]) >= _text(identity):
                return
            was = states[at]
            states[at] = state
            leaf.ids[at] = identity
        else:
            before -= 1
            while before >= 0 and operators[before] != operator:
                before -= 1
            was = states[before] if before >= 0 else operator in leaf.online
            times.insert(at, time)
            operators.insert(at, operator)
            states.insert(at, state)
            leaf.ids.insert(at, identity)
            leaf.counts.insert(at + 1, leaf.counts[at])
        if self._leaf is None:
            self._changed[self._numbers[place]] = leaf
        if was != state:
            self._shift(place, at, operator, 1 if state else -1)
        if self._leaf is None and len(times) > self._sizes.leaf:
            self._split(place, leaf)

    def _shift(self, place: int, at: int, operator: int, change: int) -> None:
        """Add ``change`` to the number online from status ``at`` to the operator's next one."""
        edge = 0 if change > 0 else 1
        leaf = self._at(place)
        left = leaf.times[at]
        while True:
            times, operators, counts = leaf.times, leaf.operators, leaf.counts
            for at in range(at + 1, len(times) + 1):  # noqa: B020, PLR1704 - goes on from where it was
                count = counts[at]
                counts[at] = count + change
                if at == len(times):
                    break
                right = times[at]
                if count == edge and left < right:
                    self._move(left, right, change)
                left = right
                if operators[at] == operator:
                    return
            last = place + 1 == len(self._starts)
            right = NEVER if last else self._starts[place + 1]
            if count == edge and left < right:
                self._move(left, right, change)
            if last:
                return
            place, left, at = place + 1, right, -1
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
            return _online(leaf, times)
        times = sorted(times)
        total = at = 0
        while at < len(times):
            place = bisect_right(self._starts, times[at]) - 1
            last = len(times)
            if place + 1 < len(self._starts):
                last = bisect_left(times, self._starts[place + 1], at)
            total += _online(self._at(place), times[at:last])
            at = last
        return total

    def steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The whole timeline (reads everything).

        Returns:
            ``(times, online)``: whether somebody was online from each time on; ``online`` is one longer, its first
            place is for what lies before all times.
        """
        times: list[int] = []
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
                leaf = Leaf.decode(self._row(key))
                self._rows.keep(key, leaf, leaf.nbytes)
        return leaf

    # -- rows

    def _row(self, key: bytes) -> bytes:
        row = self._rows.get(key)
        if row is None:
            raise LookupError(f"the row {key!r} is missing: the state is damaged; delete it, and it is restored")
        return row

    def _text_key(self, sixteen: bytes) -> bytes:
        return b"c" + self._site + sixteen

    def _key(self, number: int) -> bytes:
        return b"l" + self._site + _NUMBER.pack(number)

    @property
    def _index_key(self) -> bytes:
        return b"x" + self._site


def _online(leaf: Leaf, times: Sequence[int]) -> int:
    starts, counts = leaf.times, leaf.counts
    total = 0
    for time in times:
        if counts[bisect_right(starts, time)]:
            total += 1
    return total


def _text(identity: Identity) -> str:
    return identity if isinstance(identity, str) else uuid_text(identity)
