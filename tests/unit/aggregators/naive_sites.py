"""`sites` as the specification words it: obvious, slow, one event at a time. What the real one is held against."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from schemas.sites import Message, SiteEvent, Status


class NaiveSites:
    """Counts events one by one."""

    def __init__(self, retention_s: int | None = None) -> None:
        self.retention_s = retention_s
        self.events: dict[str, list[SiteEvent]] = defaultdict(list)

    def known(self) -> list[str]:
        return [site for site in self.events if self.events[site]]

    def floor(self, site: str) -> int:
        if self.retention_s is None or not self.events[site]:
            return -(2**64)
        return max(event.timestamp for event in self.events[site]) - self.retention_s

    def count(self, event: SiteEvent) -> str | None:
        """Count one; the reason when it is refused."""
        events, floor = self.events[event.site_id], self.floor(event.site_id)
        if event.timestamp < floor:
            return "too late"
        if not any(other.id == event.id and other.timestamp >= floor for other in events):
            events.append(event)
        return None

    def online(self, events: list[SiteEvent], moment: int) -> set[str]:
        """Who is online at a moment."""
        online: set[str] = set()
        statuses = [event for event in events if isinstance(event, Status) and event.timestamp <= moment]
        for status in sorted(statuses, key=lambda status: (status.timestamp, status.id)):
            (online.add if status.data.status == "online" else online.discard)(status.sender)
        return online

    def totals(self, site: str, events: list[SiteEvent]) -> dict[str, int]:
        """The counts of some of a site's events."""
        messages = [event for event in events if isinstance(event, Message)]
        chats = sum(bool(self.online(self.events[site], message.timestamp)) for message in messages)
        return {
            "messages": chats,
            "emails": len(messages) - chats,
            "operators": len({event.sender for event in events if isinstance(event, Status)}),
            "visitors": len({message.sender for message in messages}),
        }

    def summary(self, site: str) -> dict[str, Any]:
        return {"site_id": site, **self.totals(site, self.events[site])}

    def at(self, site: str, moment: int) -> dict[str, Any] | None:
        events = [event for event in self.events[site] if event.timestamp <= moment]
        return {"site_id": site, **self.totals(site, events)} if events else None

    def by(self, site: str, seconds: int) -> list[dict[str, int]]:
        periods: dict[int, list[SiteEvent]] = defaultdict(list)
        for event in self.events[site]:
            periods[event.timestamp // seconds * seconds].append(event)
        whole = [start for start in sorted(periods) if start >= self.floor(site)]
        return [{"period_start": max(start, -(2**63)), **self.totals(site, periods[start])} for start in whole]

    def operators(self, site: str) -> list[dict[str, Any]]:
        intervals: list[tuple[str, int, int | None]] = []
        events, floor = self.events[site], self.floor(site)
        moments = sorted({event.timestamp for event in events if isinstance(event, Status)})
        for name in {event.sender for event in events if isinstance(event, Status)}:
            since = None
            for moment in moments:
                if name in self.online(events, moment):
                    since = moment if since is None else since
                elif since is not None:
                    intervals += [(name, max(since, floor), moment)] if moment > floor else []
                    since = None
            intervals += [(name, max(since, floor), None)] if since is not None else []
        return [{"operator": name, "from": a, "to": b} for name, a, b in sorted(intervals, key=lambda i: i[:2])]
