r"""Five seconds of one session: what arrived for them, in the order of arrival, until they are folded.

>>> window = Window(0)
>>> window.add_sample(plain(3, 1, 0.5), None), window.add_sample(plain(3, 1, 0.5), None)
(True, False)
>>> window.add_mark(2, 1)
>>> list(window.samples()), list(window.marks())
([(3, 0.5)], [(2, 1)])

What is in a window is written as entries of 11 bytes: a place in the window (ms), a tag, and 8 bytes more.

* A *sample* has its CPU share, and in its tag the state that the record itself reported: with its place this is all
  that such a record says, so the entry is the record's identity, by which it counts once.
* A *rich* sample's record said more (a version, a user, …); two further entries hold the BLAKE2b-128 of all that.
* A *mark* says that a state begins. It has its rank in the tag; of several at one moment the greatest applies.

A window is stored as pages, each a row. A page takes no more once it has `PAGE_BYTES`, and changes no more then; so a
batch writes what it adds and at most a page before it, also when a client sends a million samples for one moment. The
cut depends on the order of arrival only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence, Sized
from hashlib import blake2b

from aggregators.exact import mean, scaled

WINDOW_MS = 5_000
PAGE_BYTES = 8 << 10
STATES = 7
"""Ranks of states: 0 is unknown, the others are in the order of `schemas.sessions.STATES`."""

_ENTRY = struct.Struct("<HBd")
_PART = struct.Struct("<HB8s")
_RICH, _MARK, _PARTS = 0x08, 0x10, 0x20
_RANK = 0x07
_SIZE = _ENTRY.size
_IDENTITY = 2 * _PART.size


plain = _ENTRY.pack
"""The entry of a sample whose record says no more than this: ``(place, rank, cpu)``, as `rich` has them."""


def rich(place: int, rank: int, cpu: float, content: bytes) -> tuple[bytes, bytes]:
    """The entry of a sample whose record says more, and its identity.

    Args:
        place: ms from the window's start.
        rank: of the state that the record reports; 0 when it reports none.
        cpu: from 0 to 1.
        content: all that the record says, the same bytes for the same content.
    """
    digest = blake2b(content, digest_size=16).digest()
    identity = _PART.pack(place, _PARTS, digest[:8]) + _PART.pack(place, _PARTS, digest[8:])
    return _ENTRY.pack(place, rank | _RICH, cpu), identity


def is_full(page: Sized) -> bool:
    """Whether a page takes no more, so that another may follow it."""
    return len(page) >= PAGE_BYTES


class Window:
    """One window.

    Args:
        number: its start, in windows since the epoch.
        pages: as stored; of a new one: none.
    """

    __slots__ = ("_seen", "clean", "count", "counts", "number", "pages", "stored", "tops", "total", "weighed")

    def __init__(self, number: int, pages: Sequence[bytes] = ()) -> None:
        self.number = number
        self.pages = [bytearray(page) for page in pages]
        self.stored = len(self.pages)
        """How many pages have a row."""
        self.clean = self.stored
        """How many of them are as their rows say."""
        self.counts = [0] * STATES
        """Samples by the rank of their state, which `count_by` tells."""
        self.tops = [-1.0] * STATES
        """The greatest sample of each; -1 where there is none."""
        self.weighed = 0
        """What it took in memory when it was last weighed."""
        self._seen: set[bytes] | None = None
        values = [cpu for _, cpu in self.samples()]
        self.count = len(values)
        self.total = sum(map(scaled, values))
        """The exact sum of its samples."""

    @property
    def mean(self) -> float:
        """Of its samples (there is at least one)."""
        return mean(self.total, self.count)

    @property
    def rank(self) -> int:
        """The state that most of its samples have; in a tie the one later in the table."""
        counts = self.counts
        most = max(counts)
        return STATES - 1 - counts[::-1].index(most)

    def weigh(self) -> int:
        """How much more it takes in memory than when it was last weighed, about."""
        before = self.weighed
        self.weighed = 800 + sum(map(len, self.pages)) + (0 if self._seen is None else 100 * len(self._seen))
        return self.weighed - before

    def add_sample(self, entry: bytes, identity: bytes | None) -> bool:
        """Add a sample unless it is here. Who adds one adds it to ``total``, too.

        Args:
            entry: as `plain` or `rich` made it.
            identity: of a rich one.
        """
        seen = self._seen
        if seen is None:
            seen = self._seen = set(self._identities())
        known = identity or entry
        if known in seen:
            return False
        seen.add(known)
        self.count += 1
        self._append(entry if identity is None else entry + identity)
        return True

    def add_mark(self, time: int, rank: int) -> None:
        """Say that the state of a rank begins at ``time`` (ms)."""
        self._append(_ENTRY.pack(time - self.number * WINDOW_MS, rank | _MARK, 0.0))

    def samples(self) -> Iterator[tuple[int, float]]:
        """``(time, cpu)`` of each sample, in no particular order."""
        start = self.number * WINDOW_MS
        for page in self.pages:
            for place, tag, cpu in _ENTRY.iter_unpack(page):
                if tag < _MARK:
                    yield start + place, cpu

    def marks(self) -> Iterator[tuple[int, int]]:
        """``(time, rank)`` of each mark, in no particular order."""
        start = self.number * WINDOW_MS
        for page in self.pages:
            for place, tag, _ in _ENTRY.iter_unpack(page):
                if tag & _MARK:
                    yield start + place, tag & _RANK

    def count_by(self, rank_at: Callable[[int], int]) -> None:
        """Count anew by state; ``rank_at`` tells the rank of the state at a time (ms)."""
        counts, tops = [0] * STATES, [-1.0] * STATES
        for time, cpu in self.samples():
            rank = rank_at(time)
            counts[rank] += 1
            tops[rank] = max(tops[rank], cpu)
        self.counts, self.tops = counts, tops

    def rest(self) -> None:
        """Forget what is quickly made again: nobody adds to it for now."""
        self._seen = None

    def _append(self, entries: bytes) -> None:
        pages = self.pages
        if pages and len(pages[-1]) < PAGE_BYTES:
            pages[-1] += entries
        else:
            pages.append(bytearray(entries))
        if self.clean == len(pages):
            self.clean -= 1

    def _identities(self) -> Iterator[bytes]:
        for page in self.pages:
            whole = bytes(page)
            for at in range(0, len(whole), _SIZE):
                tag = whole[at + 2]
                if tag < _RICH:
                    yield whole[at : at + _SIZE]
                elif tag < _MARK:
                    yield whole[at + _SIZE : at + _SIZE + _IDENTITY]
