"""The numbers of names, of all sites in memory at once: ``(owner, name)`` to a number, 128 bits for a key.

>>> numbering = Numbering()
>>> owners, names = np.array([[1, 2], [3, 4]], np.uint64), hashes(["anna", "bert"])
>>> keys = owners + names
>>> numbering.enter(keys, np.array([0, 5], np.uint32))
>>> (numbering.find(keys[::-1]) - 1).tolist(), numbering.find(keys + np.uint64(1)).tolist()
([5, 0], [0, 0])

A key is the sum of two 128-bit hashes, of the owner and of the name; they are the interpreter's own (SipHash under a
key of the process), so that nobody can choose names that meet. The table is never stored: it is made again from texts.
Open addressing, no more than seven slots of ten taken: 29 to 57 bytes a name, however long its text is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

from aggregators.blocks import Numbers
from aggregators.ids import Words

_KEY_BITS = 64
_SMALLEST_BITS = 10
_FEW = 16
"""Up to here a loop is quicker than numpy."""
_generations = count(1)


def hashes(texts: Sequence[str]) -> Words:
    """A row of two hashes for each text."""
    table = np.empty((len(texts), 2), np.int64)
    table[:, 0] = np.fromiter(map(hash, texts), np.int64, len(texts))
    table[:, 1] = np.fromiter(map(hash, map("\0".__add__, texts)), np.int64, len(texts))
    return table.view(np.uint64)


class Numbering:
    """Numbers by key."""

    __slots__ = ("_bits", "_keys", "_values", "count", "generation")

    def __init__(self) -> None:
        self.generation = next(_generations)
        """Tells this one from any that was there before."""
        self.count = 0
        """How many keys there are."""
        self._bits = _SMALLEST_BITS
        self._keys = np.zeros((1 << self._bits, 2), np.uint64)
        self._values = np.zeros(1 << self._bits, np.uint32)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._keys.nbytes + self._values.nbytes + 300

    def find(self, keys: Words) -> Numbers:
        """The number of each key and 1 more, 0 where it has none."""
        found = np.zeros(len(keys), np.uint32)
        slots, places, step = self._first_slots(keys), np.arange(len(keys)), 0
        mask = len(self._values) - 1
        while len(places) > _FEW:
            there, other = self._values[slots], self._keys[slots]
            same = (other[:, 0] == keys[:, 0]) & (other[:, 1] == keys[:, 1])
            found[places[same]] = there[same]
            left = np.flatnonzero((there != 0) & ~same)
            step += 1
            places, keys, slots = places[left], keys[left], slots[left] + step & mask
        for place, key, slot in zip(places.tolist(), keys.tolist(), slots.tolist(), strict=True):
            found[place] = self._values[self._slot_of(key, slot, step)]
        return found

    def enter(self, keys: Words, numbers: Numbers) -> None:
        """Give numbers to keys, each of them once; those that have one keep it."""
        while (self.count + len(keys)) * 10 > len(self._values) * 7:
            self._double()
        values = numbers + np.uint32(1)
        slots, step, mask = self._first_slots(keys), 0, len(self._values) - 1
        while len(keys) > _FEW:
            empty = np.flatnonzero(self._values[slots] == 0)
            # Of several keys for one slot the last has it; the others go on.
            self._keys[slots[empty]] = keys[empty]
            other = self._keys[slots]
            same = (other[:, 0] == keys[:, 0]) & (other[:, 1] == keys[:, 1])
            new = empty[same[empty]]
            self._values[slots[new]] = values[new]
            self.count += len(new)
            left = np.flatnonzero(~same)
            step += 1
            keys, values, slots = keys[left], values[left], slots[left] + step & mask
        for key, value, slot in zip(keys.tolist(), values.tolist(), slots.tolist(), strict=True):
            mine = self._slot_of(key, slot, step)
            if not self._values[mine]:
                self._keys[mine], self._values[mine] = key, value
                self.count += 1

    def _slot_of(self, key: list[int], slot: int, step: int) -> int:
        """The slot of one key, or the empty one where it belongs; after so many steps the search was at ``slot``."""
        values, keys, mask = self._values, self._keys, len(self._values) - 1
        while values[slot] and (int(keys[slot, 0]) != key[0] or int(keys[slot, 1]) != key[1]):
            step += 1
            slot = slot + step & mask
        return slot

    def _first_slots(self, keys: Words) -> npt.NDArray[np.intp]:
        return (keys[:, 0] >> np.uint64(_KEY_BITS - self._bits)).astype(np.intp)

    def _double(self) -> None:
        held = np.flatnonzero(self._values)
        keys, values = self._keys[held], self._values[held]
        self._bits += 1
        self._keys = np.zeros((1 << self._bits, 2), np.uint64)
        self._values = np.zeros(1 << self._bits, np.uint32)
        self.count = 0
        self.enter(keys, values - np.uint32(1))
