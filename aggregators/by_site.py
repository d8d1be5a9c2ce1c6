"""A batch of `sites`, sorted by site: what can be done for all records at once, before any state is touched.

>>> from schemas.sites import Message, MessageData
>>> batch = BySite([Message("a", "v", site, 5, MessageData()) for site in ("x", "y", "x")], [0, 1, 2])
>>> [(group.site_id, group.first, group.last, group.repeats) for group in batch.groups()], batch.places
([('x', 0, 2, True), ('y', 2, 3, False)], [0, 2, 1])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aggregators.ids import Words, identify, marks, pairs, words
from aggregators.pile import entries
from aggregators.sieve import tags
from schemas.sites import SiteEvent, Status

_SITE_ID, _ID, _SENDER, _TIMESTAMP = map(attrgetter, ("site_id", "id", "sender", "timestamp"))

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
        # Each column is taken in order of arrival, as the records lie in memory, and sorted afterwards: to go from
        # record to record in the order of sites costs a cache miss each.
        site_ids = list(map(_SITE_ID, records))
        number_of = {site: number for number, site in enumerate(dict.fromkeys(site_ids))}
        self._sites = list(number_of)
        small = len(number_of) < 1 << 16  # 16 bits are sorted by radix
        codes = np.array(list(map(number_of.__getitem__, site_ids)), np.uint16 if small else np.uint32)
        order = np.argsort(codes, kind="stable")
        self._ends = np.cumsum(np.bincount(codes, minlength=len(number_of)))
        in_order: list[int] = order.tolist()

        self._records, self._order = records, in_order
        self.places = in_order if isinstance(places, range) else [places[at] for at in in_order]
        """Where in the batch each record was."""
        ids, hashed = identify(list(map(_ID, records)))
        self.ids = np.frombuffer(ids, "V16")[order].tobytes()
        """16 bytes each."""
        self.hashed = None if hashed is None else np.frombuffer(hashed, np.uint8)[order].tobytes()
        """A byte each that tells whether the id is hashed, or None when none is."""
        key = words(pairs(self.ids))[0]
        mark = marks(key)
        self.marks: list[int] = mark.tolist()
        """What a `Pile` remembers of each id."""
        self.tags = tags(mark)
        senders = list(map(_SENDER, records))
        self.senders = [senders[at] for at in in_order]
        self._times = np.fromiter(map(_TIMESTAMP, records), np.int64, len(records))[order]
        self.times: list[int] = self._times.tolist()
        signed = np.array([kind is Status for kind in map(type, records)], np.bool_)
        self.statuses: list[int] = np.flatnonzero(signed[order]).tolist()
        """The places of statuses."""
        self.numbers = [0] * len(records)
        """For whoever counts the records: the number of each one's entry."""
        self._repeating = self._with_repeats(key, codes[order])

    def record(self, at: int) -> SiteEvent:
        """The record at a place."""
        return self._records[self._order[at]]

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
