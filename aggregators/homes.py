"""To which partitions many keys belong: murmur2 of all of them at once.

>>> partitions_of([b"1", b"2", b"1"], 8)
[7, 0, 7]
>>> from aggregators.rows import MemoryStore, Rows
>>> rows = Rows(MemoryStore(), partition=7, partitions=8)
>>> strangers(rows, [b"1", b"2", b"1"])
{1}

`schemas.wire.partition_of` computes one key in microseconds, too much where every record has a key of its own. Here
keys lie one after the other in memory, and a step takes the next four bytes of all keys that are long enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aggregators.rows import Rows
from schemas.wire import partition_of

Words = NDArray[np.uint32]

FEW = 16
"""So many keys are done one by one: an array costs more than they do. The same for the ends of so few longest ones."""

_M = np.uint32(0x5BD1E995)
_SEED = np.uint32(0x9747B28C)
_ENDS = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)
"""What of the last word belongs to a key that has so many bytes beyond whole words."""


def strangers(rows: Rows, keys: Sequence[bytes]) -> set[int]:
    """The places of the keys that murmur2 does not put in the partition of ``rows``."""
    if rows.partitions == 1:
        return set()
    return set(np.flatnonzero(_homes(keys, rows.partitions) != rows.partition).tolist())


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key, as `schemas.wire.partition_of` says it."""
    return _homes(keys, partitions).tolist()


def _homes(keys: Sequence[bytes], partitions: int) -> Words:
    count = len(keys)
    if count < FEW:
        return np.array([partition_of(key, partitions) for key in keys], np.uint32)
    lengths = np.fromiter(map(len, keys), np.int64, count)
    longest_first = np.argsort(-lengths, kind="stable")
    hashes, undone = _murmur2(b"".join(keys), (np.cumsum(lengths) - lengths)[longest_first], lengths[longest_first])
    homes = np.empty(count, np.uint32)
    homes[longest_first] = (hashes & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)
    left_out: list[int] = longest_first[:undone].tolist()
    for place in left_out:
        homes[place] = partition_of(keys[place], partitions)
    return homes


def _murmur2(joined: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Words, int]:
    """`schemas.wire.murmur2` of keys that lie in ``joined``, the longest first.

    Returns:
        The hashes, and how many of the longest keys have none: a step for so few of them is not worth it.
    """
    # Any four bytes of it are a word; four more, so that the end of the last key is one, too.
    words = np.ndarray(len(joined) + 1, "<u4", joined + b"\0\0\0\0", strides=(1,))
    whole = lengths >> 2
    h = _SEED ^ lengths.astype(np.uint32)
    left_out = 0
    for step in range(int(whole[0])):
        longer = int(np.searchsorted(-whole, -step))  # so many have a word more
        if longer <= FEW:
            left_out = longer
            break
        k = words[starts[:longer] + 4 * step] * _M
        k = (k ^ (k >> np.uint32(24))) * _M
        h[:longer] = (h[:longer] * _M) ^ k
    rest = lengths & 3
    last = words[starts + 4 * whole] & _ENDS[rest]
    h = np.where(rest > 0, (h ^ last) * _M, h)
    h = (h ^ (h >> np.uint32(13))) * _M
    return h ^ (h >> np.uint32(15)), left_out
