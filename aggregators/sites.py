"""`sites`: what the summary of a live chat's site means (first, plain version: one row holds a site's whole history).

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.sites import Message, MessageData, Status, StatusData
>>> rows, sites = Rows(MemoryStore()), Sites(Counting())
>>> on = Status("a", "operator1", "7", 10, StatusData("online"))
>>> chat = Message("b", "visitor1", "7", 10, MessageData())
>>> list(sites.update(rows, Batch([chat, on], [0, 0])).entities)
['7']
>>> sites.summary(rows, "7")
{'site_id': '7', 'messages': 1, 'emails': 0, 'operators': 1, 'visitors': 1}
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.rows import Rows
from schemas.sites import Message, SiteEvent

Event = tuple[bool, str, int, str, bool]
"""(is a message, id, timestamp, who, goes online)."""


class Sites(Aggregator[SiteEvent]):
    """Chats, e-mails, operators and visitors of each site."""

    version = 0

    def __init__(self, counting: Counting) -> None:
        self._counting = counting

    def update(self, rows: Rows, batch: Batch[SiteEvent]) -> Changes:
        changed: dict[str, dict[str, Event]] = {}
        refused: list[tuple[int, str]] = []
        ahead, retention = self._counting.max_ahead_ms, self._counting.retention_ms
        for index, record in enumerate(batch.records):
            site = record.site_id
            events = changed.get(site)
            if events is None:
                events = _events(rows, site)
            if not events and not rows.owns(site.encode()):
                refused.append((index, WRONG_PARTITION))
                continue
            if ahead is not None and record.timestamp * 1000 > batch.broker_ms[index] + ahead:
                refused.append((index, IN_THE_FUTURE))
                continue
            if retention is not None and events:
                greatest = max(event[2] for event in events.values())
                if (greatest - record.timestamp) * 1000 > retention:
                    refused.append((index, TOO_LATE))
                    continue
            if record.id not in events:
                message = isinstance(record, Message)
                online = not isinstance(record, Message) and record.data.status == "online"
                events[record.id] = (message, record.id, record.timestamp, record.sender, online)
                changed[site] = events
        for site, events in changed.items():
            rows.put(b"h" + site.encode(), orjson.dumps(list(events.values())))
        return Changes(entities=changed, refused=refused)

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        events = _events(rows, entity)
        return {"site_id": entity, **_totals(list(events.values()))} if events else None

    def keys(self, rows: Rows) -> Iterator[str]:
        for key, _ in rows.range(b"h", b"i"):
            yield key[1:].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        raise LookupError(f"no view {name!r} of a site")


def _events(rows: Rows, site: str) -> dict[str, Event]:
    value = rows.get(b"h" + site.encode())
    return {} if value is None else {event[1]: event for event in orjson.loads(value)}


def _totals(events: list[Event]) -> dict[str, int]:
    statuses = sorted((t, i, who, on) for message, i, t, who, on in events if not message)
    online: set[str] = set()
    times: list[int] = []
    open_: list[bool] = []
    for t, _, who, on in statuses:
        (online.add if on else online.discard)(who)
        times.append(t)
        open_.append(bool(online))
    messages = [event for event in events if event[0]]
    chats = sum((k := bisect_right(times, event[2])) > 0 and open_[k - 1] for event in messages)
    return {
        "messages": chats,
        "emails": len(messages) - chats,
        "operators": len({who for _, _, who, _ in statuses}),
        "visitors": len({event[3] for event in messages}),
    }
