"""Many values as numbers: the distinct ones, and the place of each value among them.

>>> values, codes = distinct(["b", "a", "b"], 3)
>>> values, codes.tolist()
(['b', 'a'], [0, 1, 0])
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from itertools import count
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=Hashable)
Codes = npt.NDArray[np.uint32]


def distinct(values: Iterable[T], number: int) -> tuple[list[T], Codes]:
    """The distinct values in order of arrival, and the place of each of ``number`` values among them."""
    places: defaultdict[T, int] = defaultdict(count().__next__)
    codes = np.fromiter(map(places.__getitem__, values), np.uint32, number)
    return list(places), codes


def sorted_by(codes: Codes, kinds: int) -> npt.NDArray[np.intp]:
    """The places of codes below ``kinds`` in their order; those of one code stay in theirs.

    >>> sorted_by(np.array([1, 0, 1, 0], np.uint32), 2).tolist()
    [1, 3, 0, 2]
    """
    return np.argsort(codes.astype(np.uint16) if kinds < 1 << 16 else codes, kind="stable")  # 16 bits: by radix
