"""Every kind of row that `renders` must reject, made from the parts of a good one.

>>> bad_row("maxcpu is missing", b"a1b2")
b'a1b2,maya,arnold,24,true,183204,2048.5,'
"""

from __future__ import annotations

_GOOD = (b"%(uid)b", b"maya", b"arnold", b"24", b"true", b"183204", b"2048.5", b"97.3")
_COLUMNS = ("uid", "app", "renderer", "frames", "success", "elapsed_time", "maxram", "maxcpu")


def _with(**fields: bytes) -> bytes:
    return b",".join(fields.get(name, good) for name, good in zip(_COLUMNS, _GOOD, strict=True))


KINDS: dict[str, bytes] = {
    "uid is empty": _with(uid=b""),
    "frames is missing": _with(frames=b""),
    "frames has a sign": _with(frames=b"-24"),
    "frames is no integer": _with(frames=b"24.0"),
    "frames is beyond 64 bits": _with(frames=b"9223372036854775808"),
    "success is upper case": _with(success=b"True"),
    "success is a number": _with(success=b"1"),
    "elapsed_time is missing": _with(elapsed_time=b""),
    "elapsed_time has a sign": _with(elapsed_time=b"+5"),
    "elapsed_time is no integer": _with(elapsed_time=b"5.5"),
    "maxram is missing": _with(maxram=b""),
    "maxram is nan": _with(maxram=b"nan"),
    "maxram has an exponent": _with(maxram=b"2e3"),
    "maxram has a space": _with(maxram=b" 5"),
    "maxcpu is missing": _with(maxcpu=b""),
    "maxcpu is inf": _with(maxcpu=b"inf"),
    "maxcpu has a sign": _with(maxcpu=b"-97.3"),
    "maxcpu has a comma": _with(maxcpu=b'"97,3"'),
    "a column is missing": b",".join(_GOOD[:-1]),
    "there is a column too many": b",".join([*_GOOD, b"x"]),
    "text follows a closing quote": _with(app=b'"maya"x'),
    "a text is not UTF-8": _with(renderer=b"arn\xf6ld"),
}
"""Templates by what is wrong."""

NAMES = tuple(KINDS)


def bad_row(kind: str, uid: bytes) -> bytes:
    """A row that is bad in one way: one of `NAMES`."""
    return KINDS[kind] % {b"uid": uid}
