"""The statuses of a site that is small yet: one stretch of time in columns, not stored but made again from events.

The rules are those of `aggregators.timeline`, which takes over when the site's first old block is full.

>>> from aggregators.rows import MemoryStore
>>> timeline, moved = YoungTimeline(Rows(MemoryStore()), b"7"), []
>>> timeline.sign(10, 0, True, b"a" * 16, None, moved)
>>> timeline.sign(30, 0, False, b"b" * 16, None, moved)
>>> moved
[(10, 9223372036854775808, 1), (30, 9223372036854775808, -1)]
>>> met([timeline], np.array([0, 0, 0]), np.array([9, 10, 30])).tolist()
[False, True, False]

Invariants, for ``n`` statuses: times never fall; ``counts[i]`` operators are online after ``i`` statuses.

Everything but times is a byte a status, which is searched and changed at the speed of memory. So a young timeline has
255 operators at the most; one with more is stored, however small it is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from aggregators.blocks import Longs, row_at
from aggregators.ids import uuid_text
from aggregators.leaf import ALWAYS, NEVER, Leaf, Moves, SignedStatus, move
from aggregators.rows import Rows

_ONLINE, _TEXT = 1, 2
"""Bits of a code: what the status says; its id is the hash of a text, which has a row of its own."""
_STATUS_BYTES = 30

_MORE = bytes(range(1, 256)) + b"\0"
_LESS = b"\0" + bytes(range(255))


class YoungTimeline:
    """The statuses of one site.

    Args:
        rows: of the partition.
        site: its id, UTF-8.
    """

    __slots__ = ("_codes", "_ids", "_operators", "_rows", "_site", "_texts", "counts", "times")

    def __init__(self, rows: Rows, site: bytes) -> None:
        self._rows = rows
        self._site = site
        self.times = array("q")
        self.counts = bytearray(1)
        self._operators = bytearray()
        self._codes = bytearray()
        self._ids = bytearray()
        self._texts: set[bytes] | None = None
        """The hashes of all ids whose text has a row, also of those that gave way to a greater one."""

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return 600 + _STATUS_BYTES * len(self.times)

    def load(self, statuses: Iterable[tuple[int, int, bool, bytes, bool]]) -> None:
        """Fill an empty timeline from events in any order.

        Args:
            statuses: time, operator, whether online, id, and whether that is the hash of a text.
        """
        held: dict[tuple[int, int], tuple[bytes, int]] = {}
        for time, operator, online, sixteen, hashed in statuses:
            code = _TEXT * hashed | online
            if hashed:
                self._texts = self._texts or set()
                self._texts.add(sixteen)
            other = held.get((time, operator))
            if other is None or self._text(sixteen, code) > self._text(*other):
                held[time, operator] = sixteen, code
        online_now: set[int] = set()
        for time, operator in sorted(held):
            sixteen, code = held[time, operator]
            self.times.append(time)
            self._operators.append(operator)
            self._codes.append(code)
            self._ids += sixteen
            (online_now.add if code & _ONLINE else online_now.discard)(operator)
            self.counts.append(len(online_now))

    def sign(self, time: int, operator: int, state: bool, sixteen: bytes, text: str | None, moved: Moves) -> None:
        """Count one status; see `aggregators.timeline.Timeline.sign`."""
        code: int = state
        if text is not None:
            code |= _TEXT
            self._texts = self._texts or set()
            self._texts.add(sixteen)
            self._rows.put(self._text_key(sixteen), text.encode())
        times, codes, counts, operators = self.times, self._codes, self.counts, self._operators
        n = len(times)
        at = bisect_left(times, time)
        same = -1
        if at < n and times[at] == time:
            same = operators.find(operator, at, bisect_right(times, time, at))
        if same >= 0:  # this operator's status of this time: which of the two holds?
            at = same
            was = codes[at] & _ONLINE
            if self._text(self._ids[16 * at : 16 * at + 16], codes[at]) >= self._text(sixteen, code):
                return
            codes[at] = code
            self._ids[16 * at : 16 * at + 16] = sixteen
        else:
            before = operators.rfind(operator, 0, at)
            was = codes[before] & _ONLINE if before >= 0 else 0
            times.insert(at, time)
            codes.insert(at, code)
            counts.insert(at + 1, counts[at])
            self._ids[16 * at : 16 * at] = sixteen
            operators.insert(at, operator)
            n += 1
        if was == state:
            return
        # One more, or one less, is online until this operator's next status.
        end = operators.find(operator, at + 1) + 1 or n + 1
        part = counts[at + 1 : end]
        counts[at + 1 : end] = part.translate(_MORE if state else _LESS)
        edge = 0 if state else 1
        if edge in part:
            for place, count in enumerate(part, at + 1):
                if count == edge:
                    move(moved, times[place - 1], times[place] if place < n else NEVER, 1 if state else -1)

    def statuses(self) -> Iterator[SignedStatus]:
        """The statuses in order of time; of one time, in any order."""
        for at, (time, operator, code) in enumerate(zip(self.times, self._operators, self._codes, strict=True)):
            sixteen = bytes(self._ids[16 * at : 16 * at + 16])
            identity = self._text(sixteen, code) if code & _TEXT else sixteen
            yield SignedStatus(time, operator, code & _ONLINE != 0, identity)

    def leaves(self) -> Iterator[Leaf]:
        """All of it as one leaf."""
        leaf = Leaf(ALWAYS, set())
        leaf.fill(self.statuses())
        yield leaf

    def forget_texts(self) -> None:
        """Delete the rows of texts."""
        for sixteen in self._texts or ():
            self._rows.delete(self._text_key(sixteen))

    def _text(self, sixteen: bytes | bytearray, code: int) -> str:
        """The text of an id."""
        return row_at(self._rows, self._text_key(sixteen)).decode() if code & _TEXT else uuid_text(bytes(sixteen))

    def _text_key(self, sixteen: bytes | bytearray) -> bytes:
        return b"c" + self._site + sixteen


def met(timelines: Sequence[YoungTimeline], which: npt.NDArray[np.integer], times: Longs) -> npt.NDArray[np.bool_]:
    """Whether messages met an operator.

    Args:
        timelines: of some sites.
        which: the place of each message's site among them.
        times: of the messages.
    """
    lengths = np.fromiter([len(timeline.times) for timeline in timelines], np.intp, len(timelines))
    ends = np.cumsum(lengths)
    signed = np.frombuffer(b"".join([timeline.times for timeline in timelines]) + bytes(8), np.int64)
    counts = np.frombuffer(b"".join([timeline.counts for timeline in timelines]), np.uint8)
    high = ends[which]
    low = high - lengths[which]
    for _ in range(int(lengths.max()).bit_length()):  # the first status after each message, by halving
        middle = (low + high) >> 1
        later = signed[middle] > times
        low, high = np.where(later | (low == high), low, middle + 1), np.where(later, middle, high)
    return counts[low + which] > 0
