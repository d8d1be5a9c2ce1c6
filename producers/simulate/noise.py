"""Random numbers that are a function of seed, purpose and place: any block can be made again, on any machine.

>>> noise = Noise(seed=1)
>>> noise.words("site", 0, 3).tolist() == noise.words("site", 1, 3).tolist()[:2] + [0]
False
>>> noise.words("site", 0, 3).tolist()[1:] == noise.words("site", 1, 2).tolist()
True

splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), over counters. NumPy's own
generators promise no stable stream across versions, and can not be asked for the millionth number alone.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES = np.array([8, 13, 18, 23])
_DIGITS = np.delete(np.arange(36), _DASHES)


class Noise:
    """Numbers of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def words(self, purpose: str, first: int, count: int) -> Words:
        """The 64-bit numbers ``[first, first + count)`` of a purpose."""
        return self.at(purpose, np.arange(first, first + count, dtype=np.uint64))

    def at(self, purpose: str, places: Words) -> Words:
        """The 64-bit numbers at any places of a purpose."""
        digest = hashlib.blake2b(f"{self._seed}/{purpose}".encode(), digest_size=8).digest()
        base = np.frombuffer(digest, "<u8").astype(np.uint64)
        z = base + (places + np.uint64(1)) * _GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    def uuids(self, purpose: str, places: Words) -> list[bytes]:
        """Canonical random UUIDs (version 4), as ASCII."""
        halves = np.stack([self.at(purpose + "/high", places), self.at(purpose + "/low", places)], axis=1)
        octets = halves.astype(">u8").view(np.uint8)
        octets[:, 6] = (octets[:, 6] & 0x0F) | 0x40
        octets[:, 8] = (octets[:, 8] & 0x3F) | 0x80
        text = np.full((len(places), 36), ord("-"), np.uint8)
        text[:, _DIGITS[0::2]] = _HEX[octets >> 4]
        text[:, _DIGITS[1::2]] = _HEX[octets & 15]
        return text.view("S36").ravel().tolist()


def below(words: Words, limit: int | Words) -> Words:
    """Numbers in ``[0, limit)``; ``limit`` up to 2**32."""
    return ((words >> np.uint64(32)) * np.asarray(limit, np.uint64)) >> np.uint64(32)
