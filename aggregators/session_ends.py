"""When sessions end: what a person can set of it, and the indexes by moment that name those to be looked at.

>>> at = moment(ALIVE, 90_000) + b"a"
>>> moment(ALIVE, 60_000) <= at < moment(ALIVE, 120_000), session_at(at)
(True, 'a')

A row of an index is a moment and a session, so a range of rows is all sessions of a stretch of time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from schemas.sessions import Further

ALIVE, OVER = b"a", b"o"
_MOMENT = struct.Struct(">Q")
_SIGN = 1 << 63

MOMENT_MS = 60_000
"""How exact the indexes are. Who reports before being looked at is treated as if that had been done in time."""


@dataclass(frozen=True)
class Rules:
    """What a person can set: when sessions end, and what is high."""

    idle_ms: int = 30 * 60_000
    grace_ms: int = 5 * 60_000
    retention_ms: int | None = None
    threshold: float = 0.3
    further: tuple[Further, ...] = ()


def moment(index: bytes, ms: int) -> bytes:
    """Where the rows of an index (`ALIVE`, `OVER`) begin that are of the moment of ``ms``, or later."""
    return index + _MOMENT.pack(ms // MOMENT_MS + _SIGN)


def session_at(index_row: bytes) -> str:
    """Whose row of an index this is."""
    return index_row[len(ALIVE) + _MOMENT.size :].decode()
