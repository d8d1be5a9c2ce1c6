"""Which transactions a broker's own files hold open: what it was in the middle of, read while it stands still.

A stopped broker answers nobody, and what it answered a moment before may be over. Its log is what it is: records of a
transaction, and the marker that ends it, where it was ended.

>>> begun = head(TRANSACTIONAL, producer=7)
>>> open_in(begun), open_in(begun + head(TRANSACTIONAL | CONTROL, producer=7)), open_in(begun + begun[:-1])
({7}, set(), {7})
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct

_HEAD = Struct(">qiibIhiqqqhii")
"""Of a record batch, as the protocol guide has it: first offset, length of what follows, epoch of the leader, version,
checksum, attributes, last offset, two times, producer, its epoch, first sequence, records."""
_FOLLOWS_AT = 12
TRANSACTIONAL, CONTROL = 0x10, 0x20
"""Attributes."""


def head(attributes: int, producer: int) -> bytes:
    """A record batch without records."""
    return _HEAD.pack(0, _HEAD.size - _FOLLOWS_AT, 0, 2, 0, attributes, 0, 0, 0, producer, 0, 0, 0)


def open_in(log: bytes) -> set[int]:
    """The producers whose transactions a partition's log begins and does not end."""
    found: set[int] = set()
    begin = 0
    while begin + _HEAD.size <= len(log):
        _, follows, _, _, _, attributes, _, _, _, producer, _, _, _ = _HEAD.unpack_from(log, begin)
        begin += _FOLLOWS_AT + follows
        if follows <= 0 or begin > len(log):  # the rest is being written, or was never
            break
        if attributes & CONTROL:
            found.discard(producer)
        elif attributes & TRANSACTIONAL:
            found.add(producer)
    return found


def open_transactions(logs: Path, topic: str) -> int:
    """How many transactions are open in the partitions of ``topic``.

    Args:
        logs: where a broker keeps its logs.
        topic: whose newest segments are read.
    """
    return sum(len(open_in(max(of.glob("*.log")).read_bytes())) for of in logs.glob(f"{topic}-*") if of.is_dir())
