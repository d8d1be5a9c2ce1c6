"""A leaf of a `aggregators.timeline.Timeline`: the statuses of some stretch of time, in its order.

>>> leaf = Leaf(0, {7})
>>> leaf.fill([SignedStatus(10, 8, True, b"a" * 16), SignedStatus(20, 7, False, "b"), SignedStatus(30, 8, False, "c")])
>>> leaf.counts, leaf.met(np.array([5, 25, 30])), Leaf.decode(leaf.encode()).counts
([1, 2, 1, 0], 2, [1, 2, 1, 0])

Invariants, for ``n`` statuses:

* ``times`` never falls;
* ``counts[i]`` operators are online after ``i`` statuses; ``counts[0] == len(online)``.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple, cast

import msgspec
import numpy as np

from aggregators.blocks import Longs

NEVER = 2**63
"""After every time."""
ALWAYS = -(2**63)
"""Not after any time."""

_HEAD = Struct("<qIII")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[str])
_TEXT = 2
"""Bit of a status's code: its id is a text."""
_MANY = 24
"""From here on numpy is quicker than a loop."""
_STATUS_BYTES = 100
"""What a status takes in memory: its time, four places in lists, its id."""

Moves = list[tuple[int, int, int]]
"""``(from, to, +1 or -1)``: messages of ``[from, to)`` are chats now, or e-mails."""
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

    __slots__ = ("codes", "counts", "ids", "online", "operators", "start", "times")

    def __init__(self, start: int, online: set[int]) -> None:
        self.start = start
        self.online = online
        """The operators online at the start."""
        self.times = array("q")
        self.operators: list[int] = []
        self.codes = array("I")
        """As in the row: ``operator << 2 | the id is a text << 1 | online``."""
        self.ids: list[Identity] = []
        self.counts = [len(online)]

    def fill(self, statuses: Iterable[SignedStatus]) -> None:
        """Append statuses in their order."""
        online = set(self.online)
        for time, operator, state, identity in statuses:
            self.times.append(time)
            self.operators.append(operator)
            self.codes.append(_code(operator, state, identity))
            self.ids.append(identity)
            (online.add if state else online.discard)(operator)
            self.counts.append(len(online))

    def insert(self, at: int, time: int, operator: int, state: bool, identity: Identity) -> None:
        """Insert a status that changes nothing yet: as many are online after it as before."""
        self.times.insert(at, time)
        self.operators.insert(at, operator)
        self.codes.insert(at, _code(operator, state, identity))
        self.ids.insert(at, identity)
        self.counts.insert(at + 1, self.counts[at])

    def replace(self, at: int, operator: int, state: bool, identity: Identity) -> None:
        """Replace the status at a place by another of the same time and operator; `counts` stay as they are."""
        self.codes[at] = _code(operator, state, identity)
        self.ids[at] = identity

    def cut(self, at: int) -> tuple[Leaf, Leaf]:
        """The statuses before a place and those from it on."""
        lower = Leaf(self.start, self.online)
        lower.times, lower.operators, lower.codes = self.times[:at], self.operators[:at], self.codes[:at]
        lower.ids, lower.counts = self.ids[:at], self.counts[: at + 1]
        upper = Leaf(self.times[at], lower.online_at_end())
        upper.times, upper.operators, upper.codes = self.times[at:], self.operators[at:], self.codes[at:]
        upper.ids, upper.counts = self.ids[at:], self.counts[at:]
        return lower, upper

    def is_online(self, at: int) -> bool:
        """Whether the status at a place signs on."""
        return self.codes[at] & 1 != 0

    def statuses(self) -> Iterator[SignedStatus]:
        """The statuses in their order."""
        return map(SignedStatus, self.times, self.operators, [code & 1 != 0 for code in self.codes], self.ids)

    def online_at_end(self) -> set[int]:
        """The operators online after the last status."""
        online = set(self.online)
        for operator, code in zip(self.operators, self.codes, strict=True):
            (online.add if code & 1 else online.discard)(operator)
        return online

    def met(self, times: Longs) -> int:
        """How many of ``times``, all of this leaf's stretch, lie where somebody was online."""
        starts, counts = self.times, self.counts
        if len(times) < _MANY:
            return sum([counts[bisect_right(starts, time)] > 0 for time in times.tolist()])
        ranks = np.searchsorted(np.frombuffer(starts, np.int64), times, "right")
        return int(np.count_nonzero(np.array(counts)[ranks]))

    def encode(self) -> bytes:
        """As a row."""
        ids = self.ids
        texts: list[str] = []
        if (np.frombuffer(self.codes, np.uint32) & np.uint32(_TEXT)).any():
            texts = [identity for identity in ids if isinstance(identity, str)]
            ids = [*[identity for identity in ids if isinstance(identity, bytes)], _encoder.encode(texts)]
        head = _HEAD.pack(self.start, len(self.online), len(self.times), len(texts))
        online = array("I", sorted(self.online))
        columns = (head, online.tobytes(), self.times.tobytes(), self.codes.tobytes())
        return b"".join([*columns, *cast("list[bytes]", ids)])

    @classmethod
    def decode(cls, row: bytes) -> Leaf:
        """From a row."""
        start, online, n, texts = _HEAD.unpack_from(row)
        at = _HEAD.size
        leaf = cls(start, set(np.frombuffer(row, "<u4", online, at).tolist()))
        at += 4 * online
        times = np.frombuffer(row, "<i8", n, at).tolist()
        codes = np.frombuffer(row, "<u4", n, at + 8 * n).tolist()
        at += 12 * n
        end = at + 16 * (n - texts)
        uuids = iter([row[i : i + 16] for i in range(at, end, 16)])
        others = iter(_decoder.decode(row[end:]) if texts else ())
        leaf.fill(
            SignedStatus(time, code >> 2, bool(code & 1), next(others if code & _TEXT else uuids))
            for time, code in zip(times, codes, strict=True)
        )
        return leaf

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return 700 + _STATUS_BYTES * len(self.times) + 40 * len(self.online)


def move(moved: Moves, left: int, right: int, change: int) -> None:
    """Note that messages of ``[left, right)`` moved."""
    if left == right:
        return
    if moved and moved[-1][1] == left and moved[-1][2] == change:
        moved[-1] = (moved[-1][0], right, change)
    else:
        moved.append((left, right, change))


def _code(operator: int, online: bool, identity: Identity) -> int:
    return operator << 2 | (_TEXT if isinstance(identity, str) else 0) | online
