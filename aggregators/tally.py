"""New events of `sites` on their way into totals and rows: what is left to do once they are chosen and named.

>>> from aggregators.arrivals import Arrivals
>>> from aggregators.by_site import BySite
>>> from aggregators.residents import Residents
>>> from aggregators.rows import MemoryStore
>>> from schemas.sites import Message, MessageData
>>> rows = Rows(MemoryStore())
>>> batch = BySite(Arrivals([Message("a", "v", "7", 1, MessageData())]))
>>> visit = Visit(batch, [site for site in Residents.of(rows).open(rows, Sizes(), batch.site_ids) if site])
>>> tally = Tally(visit, np.array([0], np.uint32), Sizes())
>>> tally.sign(); tally.count_messages(); tally.add(None); tally.put(rows, None)
>>> visit.sites[0].totals.emails, rows.get(b"s7") == visit.sites[0].row()
(1, True)
"""

from __future__ import annotations

from typing import cast

import numpy as np

from aggregators.blocks import ENTRY_BYTES, Longs, Numbers
from aggregators.rows import Rows
from aggregators.site import STATUS, TOTALS_BYTES, Sign, Sizes
from aggregators.timeline import Timeline
from aggregators.visit import Visit
from aggregators.young_timeline import YoungTimeline, met


class Tally:
    """The counting of a batch; its steps, in their order, are its methods.

    Args:
        visit: the new events and their sites.
        numbers: of the senders.
        sizes: of the sites' parts.
    """

    def __init__(self, visit: Visit, numbers: Numbers, sizes: Sizes) -> None:
        batch = self._batch = visit.batch
        self._sites, self._totals, self._numbers, self._sizes = visit.sites, visit.totals, numbers, sizes
        self._starts, self._ends = batch.starts, batch.ends
        self._events = self._ends - self._starts
        self._messages = ~batch.signed
        self._stored: list[int] = []
        """The places of sites whose timeline has rows of its own."""

    def sign(self) -> None:
        """Apply the statuses; messages counted before move."""
        batch, sites, totals, numbers = self._batch, self._sites, self._totals, self._numbers
        room = self._sizes.events.old_span - totals["events"]
        full = np.flatnonzero((room > 0) & (room <= self._events))
        last_young = dict(zip(full.tolist(), (self._starts + room - 1)[full].tolist(), strict=True))
        places = np.flatnonzero(batch.signed)
        online = batch.online(places)
        operators = numbers[places]
        numbers[places] = np.uint32(STATUS) | operators << np.uint32(1) | np.array(online, np.bool_)
        ids = batch.ids.take(places, axis=0).tobytes()
        sixteens = [ids[at : at + 16] for at in range(0, len(ids), 16)]
        columns = (
            places.tolist(),
            batch.times[places].tolist(),
            operators.tolist(),
            online,
            sixteens,
            batch.texts(places),
        )
        signs: list[Sign] = list(zip(*columns, strict=True))
        borders = [0, *np.searchsorted(places, self._ends).tolist()]
        for at in sorted({*batch.codes[places].tolist(), *last_young}):
            chats = sites[at].sign(signs[borders[at] : borders[at + 1]], last_young.get(at))
            if chats:
                totals["chats"][at] += chats
                totals["emails"][at] -= chats

    def count_messages(self) -> None:
        """Count the messages, each in its site's timeline as it is now."""
        totals, count = self._totals, len(self._sites)
        codes, times = self._batch.codes[self._messages], self._batch.times[self._messages]
        messages = np.bincount(codes, minlength=count)
        chats = np.zeros(count, np.int64)
        timelines = [site.timeline for site in self._sites]
        young = [timeline for timeline in timelines if isinstance(timeline, YoungTimeline)]
        if len(young) == count:
            chats += np.bincount(codes[met(young, codes, times)], minlength=count)
        else:
            is_young = np.array([isinstance(timeline, YoungTimeline) for timeline in timelines], np.bool_)
            if young:
                some = is_young[codes]
                which = (np.cumsum(is_young) - 1)[codes[some]]
                chats += np.bincount(codes[some][met(young, which, times[some])], minlength=count)
            ends = np.cumsum(messages)
            self._stored = np.flatnonzero(~is_young).tolist()
            for at in self._stored:
                timeline = cast("Timeline", timelines[at])
                chats[at] = timeline.chats(times[ends[at] - messages[at] : ends[at]])
        totals["chats"] += chats
        totals["emails"] += messages - chats

    def add(self, floors: Longs | None) -> None:
        """Bring the rest of the totals up to date.

        Args:
            floors: of its site after each event (None: no site has one).
        """
        totals, times = self._totals, self._batch.times
        totals["events"] += self._events
        totals["first"] = np.minimum(totals["first"], np.minimum.reduceat(times, self._starts))
        totals["newest"] = np.maximum(totals["newest"], np.maximum.reduceat(times, self._starts))
        if floors is not None:
            totals["floor"] = np.maximum(totals["floor"], floors[self._ends - 1])
        for at in self._stored:
            timeline = cast("Timeline", self._sites[at].timeline)
            timeline.fold(int(totals["floor"][at]))
            timeline.flush()

    def put(self, rows: Rows, floors: Longs | None) -> None:
        """Add the events to their sites' piles, and put the sites' rows.

        Args:
            rows: of the partition.
            floors: as `add` takes them.
        """
        entries, heads = self._batch.entries(self._numbers), self._totals.tobytes()
        messages = self._batch.times[self._messages].tobytes()
        ends = 8 * np.searchsorted(np.flatnonzero(self._messages), self._ends)
        unit = self._sizes.events.unit
        full = (self._totals["events"] // unit != (self._totals["events"] - self._events) // unit).tolist()
        first = begin = head = 0
        columns = (self._sites, self._ends.tolist(), ends.tolist(), full)
        for site, last, end, is_full in zip(*columns, strict=True):
            row = heads[head : head + TOTALS_BYTES]
            some = entries[first * ENTRY_BYTES : last * ENTRY_BYTES]
            if is_full:
                row = site.append(row, some, messages[begin:end], None if floors is None else floors[first:last])
            else:
                row = site.grow(row, some, messages[begin:end])
            rows.put(site.key, row)
            if is_full or not site.nbytes:  # it takes another amount of memory now
                rows.keep(site.key, site, site.measure())
            first, begin, head = last, end, head + TOTALS_BYTES
