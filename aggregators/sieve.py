"""A sieve: "certainly new" for almost every id that is new, in one look-up and 4 to 16 bytes an id.

One byte a slot: 0 is empty, `CROWDED` stands for several ids, anything else is a tag of the one id there. What the
sieve calls new is new; what it does not must be looked up (of new ids, about one in forty).

>>> sieve = Sieve(4)
>>> marks = [7, 8, 8, 9]
>>> sieve.sift(marks, tags(np.array(marks, np.uint32)), 0, 2)
[]
>>> sieve.sift(marks, tags(np.array(marks, np.uint32)), 2, 4)
[2]

A sieve is never stored: it is made again from the ids that it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

CROWDED = 255
SLOTS_PER_ID = 4
_SMALLEST = 512
_GROWTH = 4


def tags(marks: npt.NDArray[np.uint32]) -> bytes:
    """The tag of each mark: its upper bits (the slot is made of the lower ones), 1 to 128."""
    return ((marks >> np.uint32(25)) + np.uint32(1)).astype(np.uint8).tobytes()


class Sieve:
    """Remembers marks.

    Args:
        ids: how many it must have room for; make a new one for more.
    """

    __slots__ = ("mask", "room", "table")

    def __init__(self, ids: int) -> None:
        size = _SMALLEST
        while size < ids * SLOTS_PER_ID:
            size *= _GROWTH
        self.room = size // SLOTS_PER_ID
        """How many ids fit before the sieve lets too much through."""
        self.mask = size - 1
        self.table = bytearray(size)

    def sift(self, marks: Sequence[int], tags: bytes, first: int, last: int) -> list[int]:
        """Remember the marks ``[first, last)``; the places of those that may have been here (also: earlier of them)."""
        table, mask = self.table, self.mask
        seen: list[int] = []
        for place in range(first, last):
            slot = marks[place] & mask
            there, tag = table[slot], tags[place]
            if not there:
                table[slot] = tag
            elif there in (tag, CROWDED):
                seen.append(place)
            else:
                table[slot] = CROWDED
        return seen

    def sift_many(self, marks: Sequence[int], tags: bytes, first: int, last: int) -> list[int]:
        """`sift` for many marks at once; of several for one slot it names all but the first."""
        mark, tag = np.array(marks[first:last], np.uint32), tags[first:last]
        slots = mark & np.uint32(self.mask)
        there = np.frombuffer(self.table, np.uint8)[slots]
        self.fill(mark, tag)
        once = np.zeros(len(mark), np.bool_)
        once[np.unique(slots, return_index=True)[1]] = True
        may = (there == np.frombuffer(tag, np.uint8)) | (there == CROWDED) | ~once
        return (np.flatnonzero(may) + first).tolist()

    def fill(self, marks: npt.NDArray[np.uint32], tags: bytes) -> None:
        """Remember many marks."""
        table, tag = np.frombuffer(self.table, np.uint8), np.frombuffer(tags, np.uint8)
        slots = marks & np.uint32(self.mask)
        there = table[slots]
        table[slots] = tag
        # Of several marks for one slot the last has won; whoever does not find its own tag there met another.
        table[slots[(there != 0) & (there != tag) | (table[slots] != tag)]] = CROWDED

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return len(self.table) + 120
