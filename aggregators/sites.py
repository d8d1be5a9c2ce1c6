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
2. statuses are applied; each interval that opens or closes moves the messages counted before (`Pile.rank`), and each
   new message is looked up in the corrected timeline;
3. the events are added to the site's pile, and its head row is put.

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
from aggregators.blocks import ENTRY_BYTES, Longs
from aggregators.by_site import BySite
from aggregators.pile import NO_FLOOR
from aggregators.rows import Rows
from aggregators.site import HEADS, HEADS_END, Site, Sizes, totals
from schemas.sites import SiteEvent

_Counted = tuple[str, Site, Sequence[int], Longs | None]
"""A site, the places of its new records in a batch, and the floor after each of them (None: there never was one)."""


class Sites(Aggregator[SiteEvent]):
    """Chats, e-mails, operators and visitors of each site.

    Args:
        counting: ``retention_ms`` and ``max_ahead_ms`` are heeded (a site's timestamps are seconds).
        sizes: of rows and pages (tests make them small).
    """

    version = 1
    batch_records = 262_144  # what is paid per site and batch is half of the cost of smaller ones

    def __init__(self, counting: Counting, sizes: Sizes | None = None) -> None:
        self._sizes = sizes or Sizes()
        self._ahead_ms = counting.ahead_ms()
        self.needs_broker_time = self._ahead_ms is not None
        self._retention = None if counting.retention_ms is None else counting.retention_ms // 1000

    def update(self, rows: Rows, batch: Batch[SiteEvent]) -> Changes:
        """Count a batch."""
        changes = Changes()
        records, places = self._in_time(batch, changes)
        if not records:
            return changes
        by_site = BySite(records, places)
        counted = self._count(rows, by_site, changes)
        self._append(rows, by_site, counted)
        changes.entities = [entity for entity, _, _, _ in counted]
        changes.refused.sort()
        return changes

    def _count(self, rows: Rows, batch: BySite, changes: Changes) -> list[_Counted]:
        """Count the new ones of all records; which they are, by site."""
        counted: list[_Counted] = []
        kept, ids, marks, tags, hashed = rows.kept, batch.ids, batch.marks, batch.tags, batch.hashed
        for site_id, first, last, lowest, greatest, statuses, repeats in batch.groups():
            key = HEADS + site_id.encode()
            site: Site | None = kept(key) or self._open(rows, key)
            if site is None:
                changes.refused += [(place, WRONG_PARTITION) for place in batch.places[first:last]]
                continue
            known = site.events.find(ids, marks, tags, hashed, first, last, site.floor)
            if self._retention is not None or site.floor > NO_FLOOR:
                new, floors = self._in_order(site, batch, first, last, known, changes)
            elif known or repeats:
                new, floors = _first_of_each(batch, first, last, known), None
            else:
                new, floors = range(first, last), None
            if not new:
                continue
            if len(new) < last - first:
                among, times = set(new), [batch.times[at] for at in new]
                site.count(batch, new, [at for at in statuses if at in among], min(times), max(times))
            else:
                site.count(batch, new, statuses, lowest, greatest)
            counted.append((site_id, site, new, floors))
        return counted

    def _append(self, rows: Rows, batch: BySite, counted: list[_Counted]) -> None:
        """Put what was counted into rows."""
        entries, numbers = batch.entries(), batch.numbers
        for _, site, chosen, floors in counted:
            if isinstance(chosen, range):
                first, last = chosen.start, chosen.stop
                some, its = entries[first * ENTRY_BYTES : last * ENTRY_BYTES], numbers[first:last]
            else:
                some = b"".join([entries[at * ENTRY_BYTES : (at + 1) * ENTRY_BYTES] for at in chosen])
                its = [numbers[at] for at in chosen]
            sealed = site.append(some, its, floors)
            rows.put(site.key, site.row())
            if sealed or not site.kept_bytes:
                site.kept_bytes = site.nbytes
                rows.keep(site.key, site, site.kept_bytes)

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """A site's totals."""
        key = HEADS + entity.encode()
        site: Site | None = rows.kept(key)
        if site is not None:
            chats, emails = site.chats, site.emails
            visitors, operators = site.visitors.count, site.operators.count
        else:
            row = rows.get(key)
            if row is None:
                return None
            known = totals(row)
            chats, emails, visitors, operators = known.chats, known.emails, known.visitors, known.operators
        return {
            "site_id": entity,
            "messages": chats,
            "emails": emails,
            "operators": operators,
            "visitors": visitors,
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

    def _in_order(
        self, site: Site, batch: BySite, first: int, last: int, known: list[int], changes: Changes
    ) -> tuple[list[int], Longs]:
        """Which of the records ``[first, last)`` count where a floor moves with them, and the floor after each.

        Args:
            site: theirs.
            batch: where they are.
            first: the place of the first.
            last: the place after the last.
            known: the places of ids that are here before the floor moves.
            changes: is told what is too late.
        """
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
            identity = batch.identity(at)
            if at in here and (floor == site.floor or site.events.number_of(*identity, floor) is not None):
                continue
            if seen.get(identity, NO_FLOOR - 1) >= floor:
                continue
            seen[identity] = time
            if time > newest:
                newest = time
                if retention is not None:
                    floor = max(floor, newest - retention)
            chosen.append(at)
            floors.append(floor)
        site.floor = floor
        return chosen, np.array(floors, np.int64)


def _first_of_each(batch: BySite, first: int, last: int, known: list[int]) -> list[int]:
    """Of the records ``[first, last)``, the first of each id that is not at one of the ``known`` places."""
    seen = {batch.identity(at) for at in known}
    new: list[int] = []
    for at in range(first, last):
        identity = batch.identity(at)
        if identity not in seen:
            seen.add(identity)
            new.append(at)
    return new
