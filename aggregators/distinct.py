"""Many values as numbers: the distinct ones, and the place of each value among them.

>>> values, codes = distinct(["b", "a", "b"], 3)
>>> values, codes.tolist()
(['b', 'a'], [0, 1, 0])
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from itertools import count
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=Hashable)
Codes = npt.NDArray[np.uint32]
Places = defaultdict[T, int]
"""The place of each distinct value, in order of arrival."""


def distinct(values: Iterable[T], number: int) -> tuple[list[T], Codes]:
    """The distinct values in order of arrival, and the place of each of ``number`` values among them."""
    places: Places[T] = no_places()
    codes = coded(places, values, number)
    return list(places), codes


def no_places() -> Places[Any]:
    """To be filled by `coded`, in as many calls as the values come in."""
    return defaultdict(count().__next__)


def coded(places: Places[T], values: Iterable[T], number: int) -> Codes:
    """The place of each of ``number`` values among the distinct ones in ``places``; new ones are given the next."""
    return np.fromiter(map(places.__getitem__, values), np.uint32, number)


def sorted_by(codes: Codes, kinds: int) -> npt.NDArray[np.intp]:
    """The places of codes below ``kinds`` in their order; those of one code stay in theirs.

    >>> sorted_by(np.array([1, 0, 1, 0], np.uint32), 2).tolist()
    [1, 3, 0, 2]
    """
    return np.argsort(codes.astype(np.uint16) if kinds < 1 << 16 else codes, kind="stable")  # 16 bits: by radix
