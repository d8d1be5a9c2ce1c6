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

SHIFT = 1074
"""The smallest double above zero is 2**-1074."""

SMALLEST_SHARE = 2.0**-9
SHARE_UNITS, SHARE_SHIFT = 2.0**62, SHIFT - 62
"""``int(value * SHARE_UNITS) << SHARE_SHIFT`` is `scaled` of any value from `SMALLEST_SHARE` to 1, and cheaper: the
integer fits a machine word, and has all of the double's 53 bits."""


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
