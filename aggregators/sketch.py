"""A quantile sketch whose counts can be added, merged and taken back: DDSketch (Masson, Rim and Lee, VLDB 2019).

>>> from collections import Counter
>>> bins = Counter(map(bin_of, [10.0, 20.0, 20.0, 1000.0]))
>>> abs(quantile(bins, 50) - 20.0) <= 20.0 * RELATIVE_ERROR
True

The sketch is how many values each bin holds, so a value that is taken back leaves no trace, and sketches are merged by
adding. Bins split each power of two into 64 equal parts (DDSketch's linear interpolation of the logarithm): the number
of a value's bin is the upper bits of the double itself, the same on every machine, which a logarithm's last bit is
not.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

RELATIVE_ERROR = 0.01
"""What is promised; half a bin is 1/128 of its lower end."""
SMALLEST = 2.0**-20
"""What is below counts as 0, so the error there is less than a millionth, not 1 %."""
LARGEST = 2.0**63
"""What is above counts as this: the number of bins is bounded, by 5,313."""

_DROPPED = 52 - 6
"""The bits of a double below the six that tell the 64 parts of a power of two apart."""
_double = struct.Struct("<d")
_word = struct.Struct("<q")


def bin_of(value: float) -> int:
    """The bin of a value that is not negative; greater values have greater bins."""
    if value < SMALLEST:
        return 0
    return _word.unpack(_double.pack(min(LARGEST, value)))[0] >> _DROPPED


def bins_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """`bin_of` each value."""
    numbers = np.minimum(values, LARGEST).view(np.int64) >> _DROPPED
    numbers[values < SMALLEST] = 0
    return numbers


def middle_of(number: int) -> float:
    """The middle of a bin."""
    if number == 0:
        return 0.0
    low, high = (_double.unpack(_word.pack(border << _DROPPED))[0] for border in (number, number + 1))
    return low + (high - low) / 2


def quantile(bins: Mapping[int, int], percent: int) -> float:
    """A value within `RELATIVE_ERROR` of the quantile: the first that at least ``percent`` of all do not exceed.

    That is one of the values, the ⌈percent/100 · n⌉-th in order: SQL's ``percentile_disc``.

    Args:
        bins: counts by bin; at least one.
        percent: from 0 to 100.
    """
    place = max(1, -(-percent * sum(bins.values()) // 100))
    for number in sorted(bins):
        place -= bins[number]
        if place <= 0:
            return middle_of(number)
    raise ValueError("a sketch without values has no quantiles")
