"""Sums of floats without any rounding, so that order and grouping change nothing.

>>> total = scaled(0.1) + scaled(0.2) + scaled(0.3)
>>> mean(total, 3), (0.1 + 0.2 + 0.3) / 3
(0.2, 0.20000000000000004)
>>> unpack(pack(total)) == total
True

Every finite double is a whole number of 2**-1074, so a sum of them is a Python integer. It is divided once and rounded
once, where somebody asks for the mean: the quotient of two integers is rounded correctly in Python.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.intp]

SHIFT = 1074
"""The smallest double above zero is 2**-1074."""

_LIMB = 31
"""Bits of a part of a number: sums of fewer than 2**32 of them fit a word."""


def scaled(value: float) -> int:
    """A finite ``value`` as a number of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (SHIFT + 1 - denominator.bit_length())


def mean(total: int, count: int) -> float:
    """The mean of ``count`` values whose sum is ``total``, rounded to the nearest double."""
    return total / (count << SHIFT)


def pack(total: int) -> tuple[int, bytes]:
    """A sum that is not negative as it is stored: how many zero bytes it ends with, and the bytes above them."""
    whole = total.to_bytes((total.bit_length() + 7) // 8, "little")
    above = whole.lstrip(b"\0")
    return len(whole) - len(above), above


def unpack(packed: tuple[int, bytes]) -> int:
    """The sum that `pack` stored."""
    zeros, above = packed
    return int.from_bytes(above, "little") << (8 * zeros)


class SumsOfShares:
    """The exact sums of many groups of values from 0 to 1.

    >>> sums = SumsOfShares(np.array([0.1, 0.2, 0.3, 1e-300]), starts=np.array([0, 3]))
    >>> sums.total(0) == scaled(0.1) + scaled(0.2) + scaled(0.3), sums.total(1) == scaled(1e-300)
    (True, True)
    >>> sums.of(np.array([0])).total(0) == sums.total(0) + sums.total(1)
    True

    A value is cut into three whole numbers of `_LIMB` bits, of 2**-31, 2**-62 and 2**-93, which numpy adds up. The few
    values that have bits below these are added one by one.

    Args:
        values: those of a group together.
        starts: the place of the first value of each group; no group is empty.
    """

    def __init__(self, values: npt.NDArray[np.float64], starts: Places) -> None:
        rest, limbs = values, list[npt.NDArray[np.int64]]()
        for _ in range(3):
            rest = rest * 2.0**_LIMB  # exact, as is what is left of a double without its upper bits
            whole = np.floor(rest)
            rest -= whole
            limbs.append(whole.astype(np.int64))
        self._further: defaultdict[int, int] = defaultdict(int)
        """By group: what the limbs do not hold."""
        below = np.flatnonzero(rest)
        for at, group in zip(below.tolist(), (np.searchsorted(starts, below, "right") - 1).tolist(), strict=True):
            self._further[group] += scaled(float(rest[at])) >> (3 * _LIMB)
        self._limbs = [np.add.reduceat(limb, starts) for limb in limbs] if len(starts) else limbs

    def total(self, group: int) -> int:
        """The sum of a group, in `scaled` units."""
        high, middle, low = (int(limb[group]) for limb in self._limbs)
        whole = (((high << _LIMB) + middle) << _LIMB) + low
        return (whole << (SHIFT - 3 * _LIMB)) + self._further.get(group, 0)

    def of(self, starts: Places) -> SumsOfShares:
        """The sums of groups of groups: ``starts`` has the first group of each."""
        sums = SumsOfShares.__new__(SumsOfShares)
        sums._limbs = [np.add.reduceat(limb, starts) for limb in self._limbs]
        sums._further = defaultdict(int)
        for group, further in self._further.items():
            sums._further[int(np.searchsorted(starts, group, "right")) - 1] += further
        return sums
