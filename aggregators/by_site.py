"""A batch of `sites`, sorted by site, in columns: what can be done for all records at once.

>>> from schemas.sites import Message, MessageData
>>> batch = BySite([Message(id, "v", site, 5, MessageData()) for id, site in ("ax", "by", "cx")], range(3))
>>> batch.site_ids, batch.ends.tolist(), batch.places.tolist()
(['x', 'y'], [2, 3], [0, 2, 1])
>>> batch.only(np.array([False, True, True])), batch.site_ids, batch.ends.tolist()
([0, 1], ['x', 'y'], [1, 2])
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import count, repeat
from operator import attrgetter, is_
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aggregators.blocks import HASHED, Longs, Numbers
from aggregators.ids import identify, pairs, words
from aggregators.pile import entries
from aggregators.seen import Prints, prints
from schemas.sites import SiteEvent, Status

_SITE_ID, _ID, _SENDER, _TIMESTAMP = map(attrgetter, ("site_id", "id", "sender", "timestamp"))

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

T = TypeVar("T", bound=Hashable)


class BySite:
    """Columns of the records, those of one site together, in their order of arrival.

    Args:
        records: at least one.
        places: where in the batch each of them was.
    """

    def __init__(self, records: Sequence[SiteEvent], places: Sequence[int]) -> None:
        # Each column is taken in order of arrival, as the records lie in memory, and sorted afterwards: to go from
        # record to record in the order of sites costs a cache miss each.
        number = len(records)
        self.site_ids, codes = _numbered(map(_SITE_ID, records), number)
        """The sites."""
        small = len(self.site_ids) < 1 << 16  # 16 bits are sorted by radix
        order = np.argsort(codes.astype(np.uint16) if small else codes, kind="stable")
        self.codes = codes[order]
        """The place of each record's site among the sites; it never falls."""
        self.ends = np.cumsum(np.bincount(codes))
        """Of each site: the place after its last record."""
        self.places = order if isinstance(places, range) else np.array(places, np.intp)[order]
        """Where in the batch each record was."""
        ids, hashed = identify(list(map(_ID, records)))
        self.ids = pairs(ids).take(order, axis=0)
        """As `aggregators.ids.pairs` makes them."""
        self.hashed: Mask | None = None if hashed is None else np.frombuffer(hashed, np.bool_)[order]
        """Whether the id is hashed; None when none is."""
        self.names, senders = _numbered(map(_SENDER, records), number)
        """The distinct senders."""
        self.senders = senders[order]
        """The place of each record's sender among the names."""
        self.times: Longs = np.fromiter(map(_TIMESTAMP, records), np.int64, number)[order]
        self.signed: Mask = np.fromiter(map(is_, map(type, records), repeat(Status)), np.bool_, number)[order]
        """Whether a record is a status."""
        self._records, self._order = records, order

    def only(self, keep: Mask) -> list[int]:
        """Leave out the other records, and sites that have none then; which sites are left."""
        self.codes, self.places, self.ids = self.codes[keep], self.places[keep], self.ids.compress(keep, axis=0)
        self.senders, self.times, self.signed = self.senders[keep], self.times[keep], self.signed[keep]
        self._order = self._order[keep]
        if self.hashed is not None:
            self.hashed = self.hashed[keep]
        sizes = np.bincount(self.codes, minlength=len(self.site_ids))
        left = np.flatnonzero(sizes)
        self.ends = np.cumsum(sizes[left])
        self.codes = np.repeat(np.arange(len(left), dtype=np.uint32), sizes[left])
        chosen: list[int] = left.tolist()
        self.site_ids = [self.site_ids[site] for site in chosen]
        return chosen

    @property
    def starts(self) -> Places:
        """Of each site: the place of its first record."""
        return np.concatenate((np.zeros(1, np.intp), self.ends[:-1]))

    def records(self, places: Places) -> list[SiteEvent]:
        """The records at some places."""
        records = self._records
        return [records[at] for at in self._order[places].tolist()]

    def identity(self, at: int) -> tuple[bytes, bool]:
        """The id at a place, and whether it is hashed."""
        return self.ids[at].tobytes(), self.hashed is not None and bool(self.hashed[at])

    def prints(self, salts: npt.NDArray[np.uint64]) -> Prints:
        """What `aggregators.seen` is told of each id.

        Args:
            salts: of each site.
        """
        return prints(words(self.ids)[0], salts[self.codes])

    def entries(self, numbers: Numbers) -> bytes:
        """The entry of each record, which has that number."""
        if self.hashed is not None:
            numbers = numbers | self.hashed * np.uint32(HASHED)
        return entries(self.ids, self.times, numbers)


def _numbered(values: Iterable[T], number: int) -> tuple[list[T], npt.NDArray[np.uint32]]:
    """The distinct values in order of arrival, and the place of each value among them."""
    places: defaultdict[T, int] = defaultdict(count().__next__)
    codes = np.fromiter(map(places.__getitem__, values), np.uint32, number)
    return list(places), codes
