r"""What an id takes in a pile: 16 bytes, whatever its text.

A canonical UUID (36 characters, lower case) is its own 16 bytes; any other text is its BLAKE2b-128, and the
``hashed`` flag that travels beside the bytes keeps the two spaces apart: nobody can send a UUID that passes for
another text. An id in upper case is another id, as the specification has it, and so is hashed.

>>> identity("0123abcd-0000-4000-8000-00000000000f")
(b'\x01#\xab\xcd\x00\x00@\x00\x80\x00\x00\x00\x00\x00\x00\x0f', False)
>>> identity("0123ABCD-0000-4000-8000-00000000000f")[1]
True
>>> identify(["0123abcd-0000-4000-8000-00000000000f"])[0] == identity("0123abcd-0000-4000-8000-00000000000f")[0]
True
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DASHES = (8, 13, 18, 23)
_DASH = ord("-")
_END, _LINE_END = 36, ord("\n")
_LINE = _END + 1
_BLANK = ord(" ")
_CASE, _UPPER = 0x60, 0x40
"""Bits of ASCII letters, and how they are in upper case."""

_ODD_1, _ODD_2 = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
_WORD = (1 << 64) - 1


def identity(text: str) -> tuple[bytes, bool]:
    """The 16 bytes of an id, and whether they are a hash of its text."""
    if _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", "")), False
    return blake2b(text.encode(), digest_size=16).digest(), True


def uuid_text(sixteen: bytes) -> str:
    """The text of an id that is not hashed."""
    digits = sixteen.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def identify(texts: Sequence[str]) -> tuple[bytes, bytes | None]:
    """The identities of many ids at once.

    Returns:
        16 bytes for each, joined; and a byte for each that tells whether it is hashed, or None when none is.
    """
    joined = _uuids(texts)
    if joined is not None:
        return joined, None
    pairs = [identity(text) for text in texts]
    hashed = bytes(pair[1] for pair in pairs)
    return b"".join([pair[0] for pair in pairs]), hashed if any(hashed) else None


def _uuids(texts: Sequence[str]) -> bytes | None:
    """The bytes of ``texts`` if every one is a canonical UUID (0.1 µs each instead of 1 µs)."""
    count = len(texts)
    text = "\n".join(texts)
    if len(text) + 1 != _LINE * count or not text.isascii():
        return None
    grid = np.frombuffer(bytearray(f"{text}\n", "ascii"), np.uint8).reshape(count, _LINE)
    if (grid[:, _END] != _LINE_END).any() or (grid & _CASE == _UPPER).any():
        return None
    for column in _DASHES:
        if (grid[:, column] != _DASH).any():
            return None
        grid[:, column] = _BLANK
    try:
        joined = bytes.fromhex(grid.tobytes().decode("ascii"))
    except ValueError:
        return None
    # `fromhex` skips blanks and line ends, and one more of them leaves too few digits.
    return joined if len(joined) == 16 * count else None


def pairs(sixteens: bytes) -> Words:
    """Joined identities as numbers: a row of two halves each."""
    return np.frombuffer(sixteens, "<u8").reshape(-1, 2)


def words(halves: Words) -> tuple[Words, Words]:
    """Each identity as ``(key, low)``.

    ``low`` is the second half, ``key`` mixes both so that it spreads evenly even where ids are consecutive numbers.
    Together they are the identity again: for one ``low``, ``key`` is one to one.

    Args:
        halves: as `pairs` makes them.
    """
    low = halves[:, 1]
    return halves[:, 0] * np.uint64(_ODD_1) + low * np.uint64(_ODD_2), low


def word(sixteen: bytes) -> tuple[int, int]:
    """`words` of one identity."""
    low = int.from_bytes(sixteen[8:], "little")
    return (int.from_bytes(sixteen[:8], "little") * _ODD_1 + low * _ODD_2) & _WORD, low
