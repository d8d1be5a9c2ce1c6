"""`visitors`: a stream in a package of its own, as small as a first one is: messages and distinct visitors per site.

It is the job of the comparison with peers (`tests.bench.peers`), and an example of a plug-in: a schema, an aggregator,
an entry. What makes it exact through crashes, durable and transactional is the engine's, none of it is here.

>>> from processors.driver import Driver
>>> driver = Driver(SCHEMA, Visitors())
>>> line = b'{"id":"%d","type":"message","from":"anna","site_id":"7","timestamp":1767225600,"data":{}}'
>>> driver.send(line % 1, line % 2)
>>> driver.read(); driver.end_epoch()
>>> driver.newest["7"]["messages"], driver.newest["7"]["visitors"]
(2, 1)

Installed (`pip install tests/bench/peers/ours`), it is there as if built in: ``streamgauge worker visitors``.

Rows of a site:

    s SITE          messages, visitors, how many of their names are in pages, and the other names
    n SITE t PAGE   64 names, in order of their arrival (`aggregators.names`)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, Literal, TypedDict

import msgspec

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.names import Names, Sizes
from aggregators.rows import Rows
from ops.registry import Stream
from schemas.schema import Schema

SIZES = Sizes(page=64)
_HEADS, _HEADS_END = b"s", b"t"
_HEAD = Struct("<QII")


class Event(msgspec.Struct, gc=False, rename={"sender": "from"}):
    """What is read of an event; what else it holds is skipped."""

    type: Literal["message", "status"]
    sender: str
    site_id: str


class Summary(TypedDict):
    """A site's running totals."""

    site_id: str
    messages: int
    visitors: int
    revision: int


SCHEMA: Schema[Event] = Schema(
    name="visitors",
    record=Event,
    summary=Summary,
    key=lambda event: event.site_id,
    entity=lambda summary: summary["site_id"],
)


class _Site:
    """A site between two batches: all of it is in the rows, too."""

    __slots__ = ("messages", "visitors")

    def __init__(self, rows: Rows, key: bytes, sizes: Sizes, row: bytes | None) -> None:
        self.messages, visitors, paged = _HEAD.unpack_from(row) if row else (0, 0, 0)
        fresh = row[_HEAD.size :] if row else b""
        self.visitors = Names(rows, b"n" + key[len(_HEADS) :], sizes, visitors, fresh, paged)


class Visitors(Aggregator[Event]):
    """Messages and distinct visitors of each site, exact for any number of either.

    Args:
        sizes: of pages and memory (tests make them small).
    """

    def __init__(self, sizes: Sizes = SIZES) -> None:
        self._sizes = sizes

    def update(self, rows: Rows, batch: Batch[Event]) -> Changes:
        """Count the messages, site by site: what a site costs is shared by all of its messages in the batch."""
        senders: defaultdict[str, list[str]] = defaultdict(list)
        for event in batch.records:
            if event.type == "message":
                senders[event.site_id].append(event.sender)
        strangers = {site for site, names in senders.items() if not self._count(rows, site, names)}
        if not strangers:
            return Changes(senders)
        places = [place for place, event in enumerate(batch.records) if event.site_id in strangers]
        refused = [(place, WRONG_PARTITION) for place in places if batch.records[place].type == "message"]
        return Changes([site for site in senders if site not in strangers], refused)

    def _count(self, rows: Rows, name: str, senders: list[str]) -> bool:
        """Count one site's messages; False when the site is new and belongs to another partition."""
        key = _HEADS + name.encode()
        site: _Site | None = rows.kept(key)
        if site is None:
            row = rows.get(key)
            if row is None and not rows.owns(key[len(_HEADS) :]):
                return False
            site = _Site(rows, key, self._sizes, row)
        visitors = site.visitors
        known = visitors.known
        new = [sender for sender in dict.fromkeys(senders) if sender not in known]
        if new:
            visitors.numbers(new)
            visitors.seal(visitors.count - visitors.count % self._sizes.page)
        site.messages += len(senders)
        rows.put(key, _HEAD.pack(site.messages, visitors.count, visitors.paged) + visitors.packed())
        rows.keep(key, site, visitors.nbytes)
        return True

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """A site's totals: the head row has them."""
        row = rows.get(_HEADS + entity.encode())
        if row is None:
            return None
        messages, visitors, _ = _HEAD.unpack_from(row)
        return {"site_id": entity, "messages": messages, "visitors": visitors}

    def keys(self, rows: Rows) -> Iterator[str]:
        """The sites that have messages here."""
        for key, _ in rows.range(_HEADS, _HEADS_END):
            yield key[len(_HEADS) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """``state``: the totals, and who the visitors are, in order of their first message here."""
        if name != "state":
            raise LookupError(f"visitors have no view {name!r}; there is: state")
        row = rows.get(_HEADS + key.encode())
        if row is None:
            return None
        site = _Site(rows, _HEADS + key.encode(), self._sizes, row)
        return {"site_id": key, "messages": site.messages, "visitors": list(site.visitors.texts())}


VISITORS = Stream(SCHEMA, lambda _counting: Visitors(), report=None)
