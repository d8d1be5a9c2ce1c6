"""Which records of a batch count: those whose id is not known, and that are not too late.

With a retention, a site's ``floor`` is its greatest timestamp less the retention. What is below is folded: it stays
in the totals, is dropped when blocks are merged, and an event below is too late. The floor moves with every event,
so that a batch gives what its events would have given one by one.

>>> from aggregators.arrivals import Arrivals
>>> from aggregators.by_site import BySite
>>> from aggregators.residents import Residents
>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.site import Sizes
>>> from schemas.sites import Message, MessageData
>>> rows = Rows(MemoryStore())
>>> residents = Residents.of(rows)
>>> batch = BySite(Arrivals([Message(id, "v", "7", at, MessageData()) for at, id in enumerate("abac")]))
>>> visit = Visit(batch, [site for site in residents.open(rows, Sizes(), batch.site_ids) if site])
>>> NewEvents(visit, residents.seen, retention=None).keep.tolist()
[True, True, False, True]
"""

from __future__ import annotations

import numpy as np

from aggregators.blocks import Longs, Mask
from aggregators.by_site import Places
from aggregators.pile import NO_FLOOR
from aggregators.seen import Seen
from aggregators.site import Site
from aggregators.visit import Visit


class NewEvents:
    """The new events of a batch; all ids are remembered, so they must be counted.

    Args:
        visit: all records and their sites.
        seen: the ids in memory.
        retention: in seconds; None: unlimited.
    """

    def __init__(self, visit: Visit, seen: Seen, retention: int | None) -> None:
        self.keep: Mask = np.ones(len(visit.batch.codes), np.bool_)
        """Whether each record counts."""
        self.floors: Longs | None = None
        """The floor of its site after each record; None: no site has one."""
        self.too_late: list[int] = []
        """The places of records that are refused."""
        self._batch, self._retention = visit.batch, retention
        batch, sites, floor_of = visit.batch, visit.sites, visit.totals["floor"]
        starts, ends = batch.starts, batch.ends
        partly = [at for at, site in enumerate(sites) if not site.events.whole]
        for at in partly:
            sites[at].events.introduce_all(seen, int(ends[at] - starts[at]))
        may = seen.sift(batch.prints(visit.salts[:, 0]))
        suspect: set[int] = {at for at in partly if not sites[at].events.whole}
        suspect.update(batch.codes[may].tolist())
        moving = np.full(len(sites), retention is not None) | (floor_of > NO_FLOOR)
        if moving.any():
            self.floors = np.full(len(may), NO_FLOOR, np.int64)
        for at in sorted(suspect.union(moving.nonzero()[0].tolist())):
            site, first, last, floor = sites[at], int(starts[at]), int(ends[at]), int(floor_of[at])
            known = self._known(site, first, last, may[first:last], floor) if at in suspect else []
            if self.floors is not None and moving[at]:
                self.floors[first:last] = self._in_order(site, first, last, set(known))
            else:
                self.keep[known] = False
                self._first_of_each((may[first:last] & self.keep[first:last]).nonzero()[0] + first)

    def _known(self, site: Site, first: int, last: int, may: Mask, floor: int) -> list[int]:
        """The places of records ``[first, last)`` whose id is here before the batch."""
        ids, hashed = self._batch.ids[first:last], self._batch.hashed
        return [first + at for at in site.events.find(ids, None if hashed is None else hashed[first:last], may, floor)]

    def _first_of_each(self, places: Places) -> None:
        """Of records that count so far, keep the first of each id."""
        met: set[tuple[bytes, bool]] = set()
        for at in places.tolist():
            identity = self._batch.identity(at)
            if identity in met:
                self.keep[at] = False
            met.add(identity)

    def _in_order(self, site: Site, first: int, last: int, known: set[int]) -> list[int]:
        """Choose among the records ``[first, last)`` of a site whose floor moves with them.

        Args:
            site: theirs.
            first: the place of the first.
            last: the place after the last.
            known: the places of ids that are here before the floor moves.

        Returns:
            The floor after each record.
        """
        batch, retention = self._batch, self._retention
        _, _, _, _, newest, before, _, _ = site.totals
        floor = before
        floors: list[int] = []
        seen: dict[tuple[bytes, bool], int] = {}
        for at, time in enumerate(batch.times[first:last].tolist(), first):
            identity = batch.identity(at)
            if time < floor:
                self.keep[at] = False
                self.too_late.append(int(batch.places[at]))
            elif (at in known and (floor == before or site.events.number_of(*identity, floor) is not None)) or (
                seen.get(identity, NO_FLOOR - 1) >= floor
            ):
                self.keep[at] = False
            else:
                seen[identity] = time
                newest = max(newest, time)
                if retention is not None:
                    floor = max(floor, newest - retention)
            floors.append(floor)
        return floors
