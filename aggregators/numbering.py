"""The numbers of names, of all sites in memory at once: ``(owner, name)`` to a number, 128 bits for a key.

>>> numbering = Numbering()
>>> owners, names = np.array([[1, 2], [3, 4]], np.uint64), hashes(["anna", "bert"])
>>> keys = owners + names
>>> numbering.enter(keys, np.array([0, 5], np.uint32))
>>> numbering.find(keys[::-1].copy())[0].tolist(), numbering.find(keys + np.uint64(1))[0].tolist()
([6, 1], [0, 0])

A key is the sum of two 128-bit hashes, of the owner and of the name; they are the interpreter's own (SipHash under a
key of the process), so that nobody can choose names that meet. The table is never stored: it is made again from texts.
Open addressing, no more than seven slots of ten taken: 29 to 57 bytes a name, however long its text is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

from aggregators.blocks import Mask, Numbers
from aggregators.ids import Words

Places = npt.NDArray[np.intp]
Slots = npt.NDArray[np.intp]

_KEY = np.dtype("V16")
_KEY_BITS = _WORD_BITS = 64
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


def owner(text: str | bytes) -> tuple[int, int]:
    """The two hashes of an owner, to be added to those of its names.

    They are those of a tuple, which no name has: the sum does not tell which of the two texts is the owner's, and
    ``a`` of ``b`` must not be ``b`` of ``a``. (Python hashes ASCII alike as text and as bytes.)

    >>> owner("7")[0] == hash("7"), owner(b"7") == owner("7")
    (False, True)
    """
    first, second = (text, "\0" + text) if isinstance(text, str) else (text, b"\0" + text)
    return hash((first,)), hash((second,))


def first_of_each(owners: npt.NDArray[np.integer], names: npt.NDArray[np.integer]) -> Places:
    """The first place of each pair of owner and name: by owner, and in order of arrival.

    >>> first_of_each(np.array([1, 0, 1, 1]), np.array([5, 5, 7, 5])).tolist()
    [1, 0, 2]
    """
    owners, names = owners.astype(np.int64), names.astype(np.int64)
    if not len(owners):
        return owners
    # Sorted as one number, place and all: to sort numbers takes a tenth of sorting places by them.
    places, most = np.arange(len(owners)), int(names.max()) + 1
    bits = len(owners).bit_length()
    if (int(owners.max()) + 1) * most >> _WORD_BITS - 1 - bits:
        _, first = np.unique(np.stack((owners, names), axis=1), axis=0, return_index=True)
    else:
        pairs = np.sort((owners * most + names << bits) + places)
        new = np.ones(len(pairs), np.bool_)
        np.not_equal(pairs[1:] >> bits, pairs[:-1] >> bits, out=new[1:])
        first = pairs[new] & (1 << bits) - 1
    return np.sort((owners[first] << bits) + first) & (1 << bits) - 1


class Numbering:
    """Numbers by key."""

    __slots__ = ("_bits", "_keys", "_values", "count", "generation")

    def __init__(self) -> None:
        self.generation = next(_generations)
        """Tells this one from any that was there before."""
        self.count = 0
        """How many keys there are."""
        self._make(_SMALLEST_BITS)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._keys.nbytes + self._values.nbytes + 300

    def find(self, keys: Words) -> tuple[Numbers, Slots]:
        """The number of each key and 1 more, 0 where it has none; and the slot where it is, or belongs."""
        found, ends = np.zeros(len(keys), np.uint32), self._first_slots(keys)
        slots, step, mask = ends, 0, len(self._values) - 1
        places: Slots = np.arange(len(keys))
        while len(places) > _FEW:
            there = self._values.take(slots)
            same = self._are_at(keys, slots)
            found[places] = there
            left: Slots = ((there != 0) & ~same).nonzero()[0]
            step += 1
            places, keys, slots = places.take(left), keys.take(left, axis=0), slots.take(left) + step & mask
            ends[places] = slots
        for place, key, slot in zip(places.tolist(), keys.tolist(), slots.tolist(), strict=True):
            ends[place] = end = self._slot_of(key, slot, step)
            found[place] = self._values[end]
        return found, ends

    def enter(self, keys: Words, numbers: Numbers, slots: Slots | None = None) -> None:
        """Give numbers to keys, each of them once; those that have one keep it.

        Args:
            keys: of names.
            numbers: of each.
            slots: what `find` said of them, if that was the last that was done here.
        """
        while (self.count + len(keys)) * 10 > len(self._values) * 7:
            self._double()
            slots = None
        values = numbers + np.uint32(1)
        if slots is not None:
            left = self._claim(keys, values, slots)
            keys, values = keys.take(left, axis=0), values.take(left)
        slots, step, mask = self._first_slots(keys), 0, len(self._values) - 1
        while len(keys) > _FEW:
            left = self._claim(keys, values, slots)
            step += 1
            keys, values, slots = keys.take(left, axis=0), values.take(left), slots.take(left) + step & mask
        for key, value, slot in zip(keys.tolist(), values.tolist(), slots.tolist(), strict=True):
            mine = self._slot_of(key, slot, step)
            if not self._values[mine]:
                self._keys.view(np.uint64)[2 * mine : 2 * mine + 2] = key
                self._values[mine] = value
                self.count += 1

    def _claim(self, keys: Words, values: Numbers, slots: Slots) -> Slots:
        """Put keys into slots that are empty; which of the keys are not at their slot then."""
        empty = (self._values.take(slots) == 0).nonzero()[0]
        # Of several keys for one slot the last has it; the others go on.
        self._keys[slots.take(empty)] = keys.view(_KEY).reshape(-1).take(empty)
        same = self._are_at(keys, slots)
        new = empty[same.take(empty)]
        self._values[slots.take(new)] = values.take(new)
        self.count += len(new)
        return (~same).nonzero()[0]

    def _are_at(self, keys: Words, slots: Slots) -> Mask:
        """Whether each key is at its slot (one of zeros is at any empty slot, too)."""
        there = _halves(self._keys.take(slots))
        return (there[:, 0] == keys[:, 0]) & (there[:, 1] == keys[:, 1])

    def _slot_of(self, key: list[int], slot: int, step: int) -> int:
        """The slot of one key, or the empty one where it belongs; after so many steps the search was at ``slot``."""
        values, keys, mask = self._values, self._keys.view(np.uint64), len(self._values) - 1
        while values[slot] and keys[2 * slot : 2 * slot + 2].tolist() != key:
            step += 1
            slot = slot + step & mask
        return slot

    def _first_slots(self, keys: Words) -> Slots:
        return (keys[:, 0] >> np.uint64(_KEY_BITS - self._bits)).astype(np.intp)

    def _make(self, bits: int) -> None:
        self._bits = bits
        self._keys = np.zeros(1 << bits, _KEY)
        """A key as a scalar: rows of a table are copied one number at a time, several times as slow."""
        self._values = np.zeros(1 << bits, np.uint32)

    def _double(self) -> None:
        held = self._values.nonzero()[0]
        keys, values = _halves(self._keys.take(held)), self._values.take(held)
        self._make(self._bits + 1)
        self.count = 0
        self.enter(keys, values - np.uint32(1))


def _halves(keys: npt.NDArray[np.void]) -> Words:
    return keys.view(np.uint64).reshape(-1, 2)
