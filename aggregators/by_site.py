"""A batch of `sites`, sorted by site, in columns: what can be done for all records at once.

>>> from schemas.sites import Message, MessageData
>>> batch = BySite(Arrivals([Message(id, "v", site, 5, MessageData()) for id, site in ("ax", "by", "cx")]))
>>> batch.site_ids, batch.ends.tolist(), batch.places.tolist()
(['x', 'y'], [2, 3], [0, 2, 1])
>>> batch.only(np.array([False, True, True])), batch.site_ids, batch.ends.tolist()
([0, 1], ['x', 'y'], [1, 2])
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aggregators.arrivals import MESSAGE, ONLINE, Arrivals
from aggregators.blocks import HASHED, Longs, Mask, Numbers
from aggregators.distinct import sorted_by
from aggregators.ids import words
from aggregators.pile import entries
from aggregators.seen import Prints, prints

Places = npt.NDArray[np.intp]


class BySite:
    """Columns of the records, those of one site together, in their order of arrival.

    Args:
        arrivals: at least one.
    """

    def __init__(self, arrivals: Arrivals) -> None:
        self.site_ids, codes = arrivals.site_ids, arrivals.codes
        """The sites."""
        self.places = order = sorted_by(codes, len(self.site_ids))
        """Where in the batch each record was."""
        self.codes = codes[order]
        """The place of each record's site among the sites; it never falls."""
        self.ends = np.cumsum(np.bincount(codes))
        """Of each site: the place after its last record."""
        self.ids = arrivals.ids.take(order, axis=0)
        """As `aggregators.ids.pairs` makes them."""
        self.hashed = None if (hashed := arrivals.hashed) is None else hashed[order]
        """Whether the id is hashed; None when none is."""
        self.names, self.senders = arrivals.names, arrivals.senders[order]
        """The distinct senders, and the place of each record's sender among them."""
        self.times: Longs = arrivals.times[order]
        self._kinds = arrivals.kinds[order]
        self.signed: Mask = self._kinds != MESSAGE
        """Whether a record is a status."""
        self._texts = arrivals.texts

    def only(self, keep: Mask) -> list[int]:
        """Leave out the other records, and sites that have none then; which sites are left."""
        self.codes, self.places, self.ids = self.codes[keep], self.places[keep], self.ids.compress(keep, axis=0)
        self.senders, self.times = self.senders[keep], self.times[keep]
        self._kinds, self.signed = self._kinds[keep], self.signed[keep]
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

    def online(self, places: Places) -> list[bool]:
        """What the statuses at some places say."""
        return (self._kinds[places] == ONLINE).tolist()

    def texts(self, places: Places) -> list[str | None]:
        """The ids of the statuses at some places, where they are hashed."""
        if not self._texts:
            return [None] * len(places)
        return [self._texts.get(place) for place in self.places[places].tolist()]

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
