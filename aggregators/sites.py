"""`sites`: what the summary of a live chat's site means, kept right as events come in any order.

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.sites import Message, MessageData, Status, StatusData
>>> rows, sites = Rows(MemoryStore()), Sites(Counting())
>>> chat = Message("b", "visitor1", "7", 10, MessageData())
>>> list(sites.update(rows, Batch([chat], [0])).entities), sites.summary(rows, "7")
(['7'], {'site_id': '7', 'messages': 0, 'emails': 1, 'operators': 0, 'visitors': 1})
>>> online = Status("a", "operator1", "7", 10, StatusData("online"))
>>> list(sites.update(rows, Batch([online], [0])).entities), sites.summary(rows, "7")
(['7'], {'site_id': '7', 'messages': 1, 'emails': 0, 'operators': 1, 'visitors': 1})

A batch is counted site by site (`aggregators.site`):

1. what is too late is refused, what is known already is dropped (`Pile.find`);
2. statuses are applied; each interval that opens or closes moves the messages counted before (`Pile.rank`);
3. each new message is looked up in the corrected timeline, and the events are added to the site's pile.

With a retention, a site's ``floor`` is its greatest timestamp less the retention. What is below is folded: it stays
in the totals, is dropped when blocks are merged, and an event below is too late. The floor moves with every event,
so that a batch gives what its events would have given one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from aggregators import site_views
from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.by_site import BySite
from aggregators.pile import NO_FLOOR, Longs
from aggregators.rows import Rows
from aggregators.site import HEADS, HEADS_END, Site, Sizes, totals
from schemas.sites import SiteEvent


class Sites(Aggregator[SiteEvent]):
    """Chats, e-mails, operators and visitors of each site.

    Args:
        counting: ``retention_ms`` and ``max_ahead_ms`` are heeded (a site's timestamps are seconds).
        sizes: of rows and pages (tests make them small).
    """

    version = 1

    def __init__(self, counting: Counting, sizes: Sizes | None = None) -> None:
        self._sizes = sizes or Sizes()
        self._ahead_ms = counting.max_ahead_ms
        self._retention = None if counting.retention_ms is None else counting.retention_ms // 1000

    def update(self, rows: Rows, batch: Batch[SiteEvent]) -> Changes:
        """Count a batch."""
        changes = Changes()
        records, places = self._in_time(batch, changes)
        if not records:
            return changes
        by_site = BySite(records, places)
        entities: list[str] = []
        statuses, to = [*by_site.statuses, len(records)], 0
        for site_id, first, last, repeating in by_site.groups():
            start = to
            while statuses[to] < last:
                to += 1
            key = HEADS + site_id.encode()
            site = rows.kept(key) or self._open(rows, key)
            if site is None:
                changes.refused += [(place, WRONG_PARTITION) for place in by_site.places[first:last]]
                continue
            chosen, floors = self._admit(site, by_site, first, last, repeating, changes)
            if not chosen:
                continue
            signed = statuses[start:to]
            if len(chosen) < last - first:
                among = set(chosen)
                signed = [at for at in signed if at in among]
            site.add(by_site, chosen, signed, floors)
            rows.put(key, site.row())
            entities.append(site_id)
            nbytes = site.nbytes
            if nbytes != site.kept_bytes:
                site.kept_bytes = nbytes
                rows.keep(key, site, nbytes)
        changes.entities = entities
        changes.refused.sort()
        return changes

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """A site's totals."""
        row = rows.get(HEADS + entity.encode())
        if row is None:
            return None
        known = totals(row)
        return {
            "site_id": entity,
            "messages": known.chats,
            "emails": known.emails,
            "operators": known.operators,
            "visitors": known.visitors,
        }

    def keys(self, rows: Rows) -> Iterator[str]:
        """All sites."""
        for key, _ in rows.range(HEADS, HEADS_END):
            yield key[len(HEADS) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """Answer ``state``, ``at`` (argument ``ts``: seconds), ``by`` (``period``: hour or day) or ``operators``."""
        row = rows.get(HEADS + key.encode())
        if row is None:
            return None
        site = Site(rows, HEADS + key.encode(), self._sizes, row)
        match name:
            case "state":
                return site_views.state(site, key)
            case "at":
                return site_views.at(site, key, arguments)
            case "by":
                return site_views.by(site, arguments)
            case "operators":
                return site_views.operators(site)
            case _:
                raise LookupError(f"sites have no view {name!r}: state, at, by and operators there are")

    def _in_time(self, batch: Batch[SiteEvent], changes: Changes) -> tuple[Sequence[SiteEvent], Sequence[int]]:
        """The records that are not too far ahead of when the broker took them in, and their places."""
        if self._ahead_ms is None:
            return batch.records, range(len(batch.records))
        places: list[int] = []
        for place, (record, broker_ms) in enumerate(zip(batch.records, batch.broker_ms, strict=True)):
            if record.timestamp * 1000 > broker_ms + self._ahead_ms:
                changes.refused.append((place, IN_THE_FUTURE))
            else:
                places.append(place)
        return [batch.records[place] for place in places], places

    def _open(self, rows: Rows, key: bytes) -> Site | None:
        """The site with this key, from its rows or new; None when it is new and of another partition."""
        row = rows.get(key)
        if row is None and not rows.owns(key[len(HEADS) :]):
            return None
        return Site(rows, key, self._sizes, row)

    def _admit(
        self, site: Site, batch: BySite, first: int, last: int, repeating: bool, changes: Changes
    ) -> tuple[Sequence[int], Longs | None]:
        """Which of the records ``[first, last)``, all of ``site``, count, and the floor after each of them."""
        hashed = None if batch.hashed is None else batch.hashed[first:last]
        ids, marks, tags = batch.ids[16 * first : 16 * last], batch.marks[first:last], batch.tags[first:last]
        known = site.events.find(ids, marks, tags, hashed, site.floor)
        if self._retention is not None or site.floor > NO_FLOOR:
            return self._admit_one_by_one(site, batch, first, last, known, changes)
        if not known and not repeating:
            return range(first, last), None
        chosen: list[int] = []
        seen = {(batch.ids[16 * (first + at) : 16 * (first + at) + 16], _flag(batch, first + at)) for at in known}
        for at in range(first, last):
            one = (batch.ids[16 * at : 16 * at + 16], _flag(batch, at))
            if one not in seen:
                seen.add(one)
                chosen.append(at)
        return chosen, None

    def _admit_one_by_one(
        self, site: Site, batch: BySite, first: int, last: int, known: list[int], changes: Changes
    ) -> tuple[list[int], Longs]:
        """`_admit` where a floor moves with the events. ``known`` are the places of ids that are here at first."""
        floor, newest, retention = site.floor, site.newest, self._retention
        here = set(known)
        chosen: list[int] = []
        floors: list[int] = []
        seen: dict[tuple[bytes, bool], int] = {}
        for at in range(first, last):
            time = batch.times[at]
            if time < floor:
                changes.refused.append((batch.places[at], TOO_LATE))
                continue
            one = (batch.ids[16 * at : 16 * at + 16], _flag(batch, at))
            if at - first in here and (floor == site.floor or site.events.holds(*one, floor)):
                continue
            if seen.get(one, NO_FLOOR - 1) >= floor:
                continue
            seen[one] = time
            if time > newest:
                newest = time
                if retention is not None:
                    floor = max(floor, newest - retention)
            chosen.append(at)
            floors.append(floor)
        site.floor = floor
        return chosen, np.array(floors, np.int64)


def _flag(batch: BySite, at: int) -> bool:
    return batch.hashed is not None and batch.hashed[at] != 0
