"""To which partitions many keys belong: murmur2 of all of them at once.

>>> partitions_of([b"1", b"2", b"1"], 8)
[7, 0, 7]
>>> from aggregators.rows import MemoryStore, Rows
>>> rows = Rows(MemoryStore(), partition=7, partitions=8)
>>> strangers(rows, [b"1", b"2", b"1"])
{1}

`schemas.wire.partition_of` computes one key in microseconds, too much where every record has a key of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aggregators.rows import Rows
from schemas.wire import partition_of

Words = NDArray[np.uint32]

_M = np.uint32(0x5BD1E995)
_SEED = 0x9747B28C


FEW = 16
"""So many keys of one length are done one by one: an array costs more than they do."""


def strangers(rows: Rows, keys: Sequence[bytes]) -> set[int]:
    """The places of the keys that murmur2 does not put in the partition of ``rows``."""
    if rows.partitions == 1:
        return set()
    here = rows.partition
    return {place for place, home in enumerate(partitions_of(keys, rows.partitions)) if home != here}


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key, as `schemas.wire.partition_of` says it."""
    by_length: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        by_length.setdefault(len(key), []).append(place)
    found = [0] * len(keys)
    for length, places in by_length.items():
        if len(places) < FEW:
            for place in places:
                found[place] = partition_of(keys[place], partitions)
            continue
        hashes = _murmur2(b"".join([keys[place] for place in places]), length, len(places))
        homes = (hashes & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)
        for place, home in zip(places, homes.tolist(), strict=True):
            found[place] = home
    return found


def _murmur2(joined: bytes, length: int, count: int) -> Words:
    """`schemas.wire.murmur2` of ``count`` keys of one length."""
    octets = np.frombuffer(joined, np.uint8).reshape(count, length)
    h = np.full(count, (_SEED ^ length) & 0xFFFFFFFF, np.uint32)
    whole = length & ~3
    for k in np.ascontiguousarray(octets[:, :whole]).view("<u4").T.astype(np.uint32):
        mixed = k * _M
        mixed = (mixed ^ (mixed >> np.uint32(24))) * _M
        h = (h * _M) ^ mixed
    if length != whole:
        rest = np.zeros((count, 4), np.uint8)
        rest[:, : length - whole] = octets[:, whole:]
        h = (h ^ rest.view("<u4").ravel().astype(np.uint32)) * _M
    h = (h ^ (h >> np.uint32(13))) * _M
    return h ^ (h >> np.uint32(15))
