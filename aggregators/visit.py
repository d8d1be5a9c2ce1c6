"""A batch of `sites` and the sites that it visits, with what is done for all of them as columns.

>>> from aggregators.arrivals import Arrivals
>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.site import Sizes
>>> from schemas.sites import Message, MessageData
>>> batch = BySite(Arrivals([Message(id, "v", site, 5, MessageData()) for id, site in ("ax", "by", "cx")]))
>>> visit = Visit(batch, [Site(Rows(MemoryStore()), key, Sizes(), None) for key in (b"sx", b"sy")])
>>> visit.only(np.array([False, True, True]))
>>> [site.key for site in visit.sites], visit.events.tolist()
([b'sx', b'sy'], [1, 1])
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aggregators.blocks import Mask
from aggregators.by_site import BySite
from aggregators.site import TOTALS, Site


class Visit:
    """A batch and its sites.

    Args:
        batch: the records.
        sites: of the batch, in its order.
    """

    def __init__(self, batch: BySite, sites: list[Site]) -> None:
        self.batch = batch
        self.sites = sites
        self.totals: npt.NDArray[Any] = np.frombuffer(bytearray().join([site.head for site in sites]), TOTALS)
        """`aggregators.site.Totals` of each site, to be brought up to date."""
        self.salts = np.frombuffer(b"".join([site.salts for site in sites]), np.uint64).reshape(-1, 2)
        """Of each site: what keeps its ids and names apart from those of others."""

    def only(self, keep: Mask) -> None:
        """Leave out the other records, and the sites that have none then."""
        left = self.batch.only(keep)
        self.sites = [self.sites[at] for at in left]
        self.totals = self.totals[left]
        self.salts = self.salts.take(left, axis=0)

    @property
    def events(self) -> npt.NDArray[np.int64]:
        """How many records each site has."""
        return self.batch.ends - self.batch.starts
