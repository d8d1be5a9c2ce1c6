"""A batch of `sites`, sorted by site: what can be done for all records at once, before any state is touched.

>>> from schemas.sites import Message, MessageData
>>> batch = BySite([Message("a", "v", site, 5, MessageData()) for site in ("x", "y", "x")], [0, 1, 2])
>>> [(group.site_id, group.first, group.last, group.repeats) for group in batch.groups()], batch.places
([('x', 0, 2, True), ('y', 2, 3, False)], [0, 2, 1])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aggregators.ids import Words, identify, marks, pairs, words
from aggregators.pile import entries
from aggregators.sieve import tags
from schemas.sites import SiteEvent, Status

Codes = npt.NDArray[np.uint16 | np.uint32]


class Group(NamedTuple):
    """The records of one site, ``[first, last)``."""

    site_id: str
    first: int
    last: int
    lowest: int
    """The least timestamp."""
    greatest: int
    """The greatest timestamp."""
    statuses: list[int]
    """The places of statuses."""
    repeats: bool
    """Whether an id may be there twice."""


class BySite:
    """Columns of the records, those of one site together, in their order of arrival.

    Args:
        records: at least one.
        places: where in the batch each of them was.
    """

    def __init__(self, records: Sequence[SiteEvent], places: Sequence[int]) -> None:
        site_ids = [record.site_id for record in records]
        number_of = {site: number for number, site in enumerate(dict.fromkeys(site_ids))}
        self._sites = list(number_of)
        small = len(number_of) < 1 << 16  # 16 bits are sorted by radix
        codes = np.array([number_of[site] for site in site_ids], np.uint16 if small else np.uint32)
        order = np.argsort(codes, kind="stable")
        self._ends = np.cumsum(np.bincount(codes, minlength=len(number_of)))
        in_order: list[int] = order.tolist()

        self.records: list[SiteEvent] = [records[at] for at in in_order]
        self.places = [places[at] for at in in_order]
        """Where in the batch each record was."""
        self.texts = [record.id for record in self.records]
        self.ids, self.hashed = identify(self.texts)
        """16 bytes each; a byte each that tells whether it is hashed, or None when none is."""
        key = words(pairs(self.ids))[0]
        mark = marks(key)
        self.marks: list[int] = mark.tolist()
        """What a `Sieve` remembers of each id."""
        self.tags = tags(mark)
        self.senders = [record.sender for record in self.records]
        self.times = [record.timestamp for record in self.records]
        self._times = np.array(self.times, np.int64)
        self.statuses = [at for at, record in enumerate(self.records) if record.__class__ is Status]
        """The places of statuses."""
        self.numbers = [0] * len(records)
        """For whoever counts the records: the number of each one's entry."""
        self._repeating = self._with_repeats(key, codes[order])

    def groups(self) -> Iterator[Group]:
        """The records of each site."""
        ends = self._ends
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
        lowest = np.minimum.reduceat(self._times, starts).tolist()
        greatest = np.maximum.reduceat(self._times, starts).tolist()
        borders = np.searchsorted(self.statuses, ends).tolist()
        repeating, statuses = self._repeating, self.statuses
        first = signed = 0
        columns = zip(self._sites, ends.tolist(), lowest, greatest, borders, strict=True)
        for number, (site, last, low, high, end) in enumerate(columns):
            yield Group(site, first, last, low, high, statuses[signed:end], number in repeating)
            first, signed = last, end

    def entries(self) -> bytes:
        """The entry of each record, with its `numbers`."""
        return entries(self.ids, self._times, self.numbers)

    def is_hashed(self, at: int) -> bool:
        """Whether the id at a place is the hash of its text."""
        return self.hashed is not None and self.hashed[at] != 0

    def identity(self, at: int) -> tuple[bytes, bool]:
        """The id at a place, and whether it is hashed."""
        return self.ids[16 * at : 16 * at + 16], self.is_hashed(at)

    def _with_repeats(self, key: Words, codes: Codes) -> set[int]:
        """The numbers of sites that may have an id twice."""
        ordered = np.sort(key)
        if not (ordered[1:] == ordered[:-1]).any():
            return set()
        order = np.lexsort((key, codes))
        key, codes = key[order], codes[order]
        return set(codes[1:][(key[1:] == key[:-1]) & (codes[1:] == codes[:-1])].tolist())
