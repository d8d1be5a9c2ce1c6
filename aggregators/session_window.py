r"""Five seconds of one session: what arrived for them, in the order of arrival, until they are folded.

>>> window = Window(0)
>>> window.add_sample(plain(3, 1, 0.5), None), window.add_sample(plain(3, 1, 0.5), None)
(True, False)
>>> window.add_mark(mark(2, 1))
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
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from hashlib import blake2b
from operator import add
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aggregators.exact import mean, scaled

WINDOW_MS = 5_000
PAGE_BYTES = 8 << 10
STATES = 7
"""Ranks of states: 0 is unknown, the others are in the order of `schemas.sessions.STATES`."""

_ENTRY = struct.Struct("<HBd")
_PART = struct.Struct("<HB8s")
_RICH, _MARK, _PARTS = 0x08, 0x10, 0x20
_RANK = 0x07
_PLAIN = np.dtype([("place", "<u2"), ("tag", "u1"), ("cpu", "<f8")])
SIZE = _ENTRY.size
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


def mark(place: int, rank: int) -> bytes:
    """The entry that says that the state of ``rank`` begins at ``place`` (ms from the window's start)."""
    return _ENTRY.pack(place, rank | _MARK, 0.0)


def plains(places: npt.NDArray[np.int64], cpus: npt.NDArray[np.float64]) -> bytes:
    """The entries of many samples whose records report no state, one after the other: `plain` of each."""
    entries = np.zeros(len(places), _PLAIN)
    entries["place"], entries["cpu"] = places, cpus
    return entries.tobytes()


def is_full(page: Sized) -> bool:
    """Whether a page takes no more, so that another may follow it."""
    return len(page) >= PAGE_BYTES


class Sums(NamedTuple):
    """What samples add up to."""

    total: int
    """Exact, in `exact.scaled` units."""
    counts: list[int]
    """Of each rank of a state."""
    tops: list[float]
    """The greatest of each; -1 where there is none."""


class Run(NamedTuple):
    """Entries in the order of arrival."""

    plain: bytes
    """Those of `plains`."""
    other: bytes = b""
    """After them: one of another kind, with all that belongs to it."""
    identity: bytes = b""
    """What that is known by, where it is a sample."""


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
        seen, known = self._identified(), identity or entry
        if known in seen:
            return False
        seen.add(known)
        self.count += 1
        self._append(entry if identity is None else entry + identity)
        return True

    def has(self, identity: bytes) -> bool:
        """Whether a sample is here: its identity, or its entry where that is its identity."""
        return identity in self._identified()

    def add_mark(self, entry: bytes) -> None:
        """Say that a state begins, by the entry that `mark` made."""
        self._append(entry)

    def add(self, runs: Iterable[Run], sums: Sums) -> None:
        """Add what has arrived for it, of which nothing is here.

        Args:
            runs: in the order of arrival.
            sums: what its samples add up to.
        """
        seen = self._seen
        for run in runs:
            self._append_all(run.plain)
            if run.other:
                self._append(run.other)
            if seen is not None:
                seen.update(run.plain[at : at + SIZE] for at in range(0, len(run.plain), SIZE))
                if run.identity:
                    seen.add(run.identity)
        self.count += sum(sums.counts)
        self.total += sums.total
        self.counts = list(map(add, self.counts, sums.counts))
        self.tops = list(map(max, self.tops, sums.tops))

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

    def _append_all(self, plain_ones: bytes) -> None:
        """Append entries of one size, as one by one."""
        at, pages = 0, self.pages
        while at < len(plain_ones):
            if not pages or is_full(pages[-1]):
                pages.append(bytearray())
            room = -(-(PAGE_BYTES - len(pages[-1])) // SIZE) * SIZE
            pages[-1] += plain_ones[at : at + room]
            self.clean = min(self.clean, len(pages) - 1)
            at += room

    def _identified(self) -> set[bytes]:
        """The identities of its samples."""
        seen = self._seen
        if seen is None:
            seen = self._seen = set(self._identities())
        return seen

    def _identities(self) -> Iterator[bytes]:
        for page in self.pages:
            whole = bytes(page)
            for at in range(0, len(whole), SIZE):
                tag = whole[at + 2]
                if tag < _RICH:
                    yield whole[at : at + SIZE]
                elif tag < _MARK:
                    yield whole[at + SIZE : at + SIZE + _IDENTITY]
