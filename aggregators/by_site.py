"""A batch of `sites`, sorted by site: what can be done for all records at once, before any state is touched.

>>> from schemas.sites import Message, MessageData
>>> batch = BySite([Message("a", "v", site, 5, MessageData()) for site in ("x", "y", "x")], [0, 1, 2])
>>> list(batch.groups()), batch.places
([('x', 0, 2, True), ('y', 2, 3, False)], [0, 2, 1])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from aggregators.ids import identify, marks, words
from aggregators.sieve import tags
from schemas.sites import SiteEvent, Status


class BySite:
    """Columns of the records, those of one site together, in their order of arrival.

    Args:
        records: at least one.
        places: where in the batch each of them was.
    """

    def __init__(self, records: Sequence[SiteEvent], places: Sequence[int]) -> None:
        site_ids = [record.site_id for record in records]
        numbers = {site: number for number, site in enumerate(dict.fromkeys(site_ids))}
        self._sites = list(numbers)
        small = len(numbers) < 1 << 16  # 16 bits are sorted by radix
        codes = np.fromiter(map(numbers.__getitem__, site_ids), np.uint16 if small else np.uint32, len(records))
        order = np.argsort(codes, kind="stable")
        self._ends = np.cumsum(np.bincount(codes, minlength=len(numbers))).tolist()
        in_order = order.tolist()
        records = [records[at] for at in in_order]

        self.records = records
        self.places = [places[at] for at in in_order]
        """Where in the batch each record was."""
        self.texts = [record.id for record in records]
        self.ids, self.hashed = identify(self.texts)
        """16 bytes each; a byte each that tells whether it is hashed, or None when none is."""
        key = words(self.ids)[0]
        mark = marks(key)
        self.marks, self.tags = mark.tolist(), tags(mark)
        """What a `Sieve` remembers of each id."""
        self.senders = [record.sender for record in records]
        self.times = [record.timestamp for record in records]
        self.times_bytes = np.array(self.times, np.int64).tobytes()
        self.statuses = [at for at, record in enumerate(records) if type(record) is Status]
        """Where the statuses are."""
        self._repeating = self._with_repeats(key, codes[order])

    def groups(self) -> Iterator[tuple[str, int, int, bool]]:
        """``(site_id, first, last, whether an id may be there twice)`` of each site."""
        first = 0
        repeating = self._repeating
        for number, (site, last) in enumerate(zip(self._sites, self._ends, strict=True)):
            yield site, first, last, number in repeating
            first = last

    def _with_repeats(self, key: np.ndarray, codes: np.ndarray) -> set[int]:
        """The numbers of sites that may have an id twice."""
        ordered = np.sort(key)
        if not (ordered[1:] == ordered[:-1]).any():
            return set()
        order = np.lexsort((key, codes))
        same = (key[order][1:] == key[order][:-1]) & (codes[order][1:] == codes[order][:-1])
        return set(codes[order][1:][same].tolist())
