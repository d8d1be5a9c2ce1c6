"""Which ids were seen before: "certainly new" for almost every id that is new, of all sites in memory at once.

One table of 32-bit prints serves a whole partition, so that the ids of a batch are looked up and remembered together,
whatever sites they are of. What it calls new is new; what it does not must be looked up exactly (of new ids, one in
two thousand when two million are remembered). It is never stored: it is made again from the ids.

>>> seen = Seen()
>>> seen.sift(np.array([7, 8, 8], np.uint32)).tolist(), seen.sift(np.array([9, 7], np.uint32)).tolist()
([False, True, True], [False, True])

Open addressing, no more than seven slots of ten taken: 6 to 12 bytes an id. A print's upper bits are its first slot,
so sorted prints walk through the table in order, and a table can be doubled without the ids.
"""

from __future__ import annotations

from itertools import count

import numpy as np
import numpy.typing as npt

from aggregators.ids import Words

Prints = npt.NDArray[np.uint32]

_PRINT_BITS = 32
_SMALLEST_BITS = 12
_FEW = 16
"""Up to here a loop is quicker than numpy."""
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_generations = count(1)


def prints(key: Words, salts: Words | np.uint64) -> Prints:
    """32 well-mixed bits of each key and its salt.

    Args:
        key: of `aggregators.ids.words`.
        salts: what keeps the ids of one owner apart from those of another.
    """
    key = key + salts
    mixed = ((key ^ key >> _HALF) * _MIX >> _HALF).astype(np.uint32)
    return np.maximum(mixed, np.uint32(1), out=mixed)  # 0 is an empty slot


class Seen:
    """The prints of ids."""

    __slots__ = ("_bits", "_table", "count", "generation")

    def __init__(self) -> None:
        self.generation = next(_generations)
        """Tells this one from any that was there before."""
        self.count = 0
        """How many prints there are."""
        self._bits = _SMALLEST_BITS
        self._table = np.zeros(1 << self._bits, np.uint32)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._table.nbytes + 200

    def sift(self, prints: Prints) -> npt.NDArray[np.bool_]:
        """Remember prints; which of them may have been here, or are there twice."""
        may = np.zeros(len(prints), np.bool_)
        order = np.argsort(prints)
        prints = prints[order]
        twice = prints[1:] == prints[:-1]
        if twice.any():
            may[order[1:][twice]] = may[order[:-1][twice]] = True
            once = np.concatenate((np.ones(1, np.bool_), ~twice))
            order, prints = order[once], prints[once]
        while (self.count + len(prints)) * 10 > len(self._table) * 9:  # if all were new, which seldom is so
            self._double()
        may[order[self._enter(prints)]] = True
        if self.count * 10 > len(self._table) * 7:
            self._double()
        return may

    def _enter(self, prints: Prints) -> npt.NDArray[np.bool_]:
        """Remember prints, each of them once; which were here."""
        table, mask = self._table, len(self._table) - 1
        here = np.zeros(len(prints), np.bool_)
        slots = (prints >> np.uint32(_PRINT_BITS - self._bits)).astype(np.intp)
        places, step = np.arange(len(prints)), 0
        while len(places) > _FEW:
            there = table[slots]
            here[places[there == prints]] = True
            empty = np.flatnonzero(there == 0)
            # Of several prints for one slot the last has it; the others go on.
            table[slots[empty]] = prints[empty]
            left = np.flatnonzero(table[slots] != prints)
            step += 1
            places, prints, slots = places[left], prints[left], slots[left] + step & mask
        for place, print_, slot in zip(places.tolist(), prints.tolist(), slots.tolist(), strict=True):
            at, steps = slot, step
            while (other := int(table[at])) not in {0, print_}:
                steps += 1
                at = at + steps & mask
            table[at] = print_
            here[place] = other == print_
        self.count += len(here) - int(np.count_nonzero(here))
        return here

    def _double(self) -> None:
        held = self._table[self._table != 0]
        self._bits += 1
        self._table = np.zeros(1 << self._bits, np.uint32)
        self.count = 0
        self._enter(held)
