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

A batch is counted for all of its sites at once, in columns sorted by site (`aggregators.by_site`); what is left to
do for each site is to put its rows:

1. what is too late is refused, what is known already is dropped (`aggregators.new_events`);
2. senders are numbered (`aggregators.naming`);
3. statuses are applied, one by one; each interval that opens or closes moves the messages counted before
   (`Site.sign`), and each new message is looked up in the corrected timeline;
4. totals are brought up to date, the events are added to their site's pile, and its head row is put.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from aggregators import site_views
from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.arrivals import Arrivals
from aggregators.by_site import BySite
from aggregators.naming import number
from aggregators.new_events import NewEvents
from aggregators.residents import Residents
from aggregators.rows import Rows
from aggregators.site import HEADS, HEADS_END, Site, Sizes, published
from aggregators.tally import Tally
from aggregators.visit import Visit
from schemas.sites import SiteEvent


class Sites(Aggregator[SiteEvent]):
    """Chats, e-mails, operators and visitors of each site.

    Args:
        counting: ``retention_ms`` and ``max_ahead_ms`` are heeded (a site's timestamps are seconds).
        sizes: of rows and pages (tests make them small).
    """

    version = 2
    batch_records = 262_144  # what is paid per site and batch is half of the cost of smaller ones

    def __init__(self, counting: Counting, sizes: Sizes | None = None) -> None:
        self._sizes = sizes or Sizes()
        self._ahead_ms = counting.ahead_ms()
        self.needs_broker_time = self._ahead_ms is not None
        self._retention = None if counting.retention_ms is None else counting.retention_ms // 1000

    def update(self, rows: Rows, batch: Batch[SiteEvent]) -> Changes:
        """Count a batch."""
        changes = Changes()
        arrivals = Arrivals(batch.records) if batch.columns is None else batch.columns
        if len(arrivals):
            residents = Residents.of(rows)
            by_site = BySite(arrivals)
            self._refuse_future(by_site, batch.broker_ms, changes)
            self._count(rows, self._visit(rows, by_site, residents, changes), residents, changes)
            residents.settle(rows)
        changes.refused.sort()
        return changes

    def columns(self) -> Arrivals:
        """What is kept of the records of a batch."""
        return Arrivals()

    def _visit(self, rows: Rows, batch: BySite, residents: Residents, changes: Changes) -> Visit:
        """The sites of a batch; records of others are refused and left out."""
        found = residents.open(rows, self._sizes, batch.site_ids)
        sites = [site for site in found if site is not None]
        if len(sites) < len(found):
            ours = np.array([site is not None for site in found], np.bool_)[batch.codes]
            changes.refused += [(place, WRONG_PARTITION) for place in batch.places[~ours].tolist()]
            batch.only(ours)
        return Visit(batch, sites)

    def _count(self, rows: Rows, visit: Visit, residents: Residents, changes: Changes) -> None:
        """Count what is new of a batch."""
        new = NewEvents(visit, residents.seen, self._retention)
        changes.refused += [(place, TOO_LATE) for place in new.too_late]
        floors = new.floors
        if not new.keep.all():
            visit.only(new.keep)
            floors = None if floors is None else floors[new.keep]
        if not visit.sites:
            return
        tally = Tally(visit, number(visit, residents), self._sizes)
        tally.sign()
        tally.count_messages()
        tally.add(floors)
        tally.put(rows, floors)
        changes.entities = visit.batch.site_ids

    def summaries(self, rows: Rows, entities: Sequence[str]) -> list[dict[str, Any] | None]:
        """The totals of each site."""
        heads = rows.get_many([HEADS + entity.encode() for entity in entities])
        return [None if head is None else _summary(entity, head) for entity, head in zip(entities, heads, strict=True)]

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

    def _refuse_future(self, batch: BySite, broker_ms: Sequence[int], changes: Changes) -> None:
        """Refuse the records that are too far ahead of when the broker took them in."""
        if self._ahead_ms is not None:
            late_s = (np.array(broker_ms, np.int64) + self._ahead_ms) // 1000
            ahead = batch.times > late_s[batch.places]
            if ahead.any():
                changes.refused += [(place, IN_THE_FUTURE) for place in batch.places[ahead].tolist()]
                batch.only(~ahead)


def _summary(entity: str, head: bytes) -> dict[str, Any]:
    chats, emails, visitors, operators = published(head)
    return {"site_id": entity, "messages": chats, "emails": emails, "operators": operators, "visitors": visitors}
