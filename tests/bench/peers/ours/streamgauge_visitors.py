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

    s SITE             messages, visitors, and the newest of their names (MessagePack)
    p SITE PAGE        64 names, in order of arrival; with the newest ones they are all, up to 4,096
    v SITE NUL NAME    beyond that, a row for each visitor instead

So a batch costs by what is new in it, and memory holds the names of small sites only: of a large one, those of a batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from struct import Struct
from typing import Any, Literal, NamedTuple, TypedDict

import msgspec

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.rows import Rows
from ops.registry import Stream
from schemas.schema import Schema

_HEADS, _HEADS_END = b"s", b"t"
_HEAD = Struct("<QQ")
_SUFFIX = Struct(">I")
_NAME_BYTES = 130
"""What a name takes in a dict, about."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


class Sizes(NamedTuple):
    """How many names a page has, and up to how many a site is small (tests make them small, too)."""

    page: int = 64
    small: int = 4096


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
    """A site in memory. Between two batches all that it knows is in the rows, too."""

    __slots__ = ("key", "messages", "names", "visitors")

    def __init__(self, key: bytes, row: bytes | None) -> None:
        self.key = key
        self.messages, self.visitors = _HEAD.unpack_from(row) if row else (0, 0)
        self.names: dict[str, None] = {}
        """Of a small site all, in order of arrival; of a large one those of the batch. `visitors` lags behind it."""


class Visitors(Aggregator[Event]):
    """Messages and distinct visitors of each site, exact for any number of either.

    Args:
        sizes: of pages, and of small sites.
    """

    def __init__(self, sizes: Sizes = Sizes()) -> None:  # noqa: B008 - a tuple of numbers
        self._page, self._small = sizes

    def update(self, rows: Rows, batch: Batch[Event]) -> Changes:
        """Count the messages, site by site: what a site costs is shared by all that it has in the batch."""
        senders: defaultdict[str, list[str]] = defaultdict(list)
        for event in batch.records:
            if event.type == "message":
                senders[event.site_id].append(event.sender)
        strangers = {site for site, names in senders.items() if not self._count(rows, site, names)}
        if not strangers:
            return Changes(senders)
        events = enumerate(batch.records)
        lost = [place for place, event in events if event.type == "message" and event.site_id in strangers]
        return Changes(senders.keys() - strangers, [(place, WRONG_PARTITION) for place in lost])

    def _count(self, rows: Rows, name: str, senders: list[str]) -> bool:
        """Count the messages of one site; False when it is new and belongs to another partition."""
        key = _HEADS + name.encode()
        site: _Site | None = rows.kept(key)
        if site is None:
            row = rows.get(key)
            if row is None and not rows.owns(key[len(_HEADS) :]):
                return False
            site = _Site(key, row)
            if row is not None and site.visitors <= self._small:
                site.names = dict.fromkeys(self._names(rows, site, row))
        site.messages += len(senders)
        site.names.update(dict.fromkeys(senders))
        self._put(rows, site)
        return True

    def _put(self, rows: Rows, site: _Site) -> None:
        """Put what changed of a site into its rows."""
        names, newest = site.names, list[str]()
        if site.visitors > self._small:
            self._add(rows, site)
        elif len(names) > self._small:
            for first in range(0, site.visitors - self._page + 1, self._page):
                rows.delete(_page_key(site.key, first // self._page))
            site.visitors = 0
            self._add(rows, site)
        else:
            first = site.visitors - site.visitors % self._page
            newest = list(islice(reversed(names), len(names) - first))[::-1]
            site.visitors = len(names)
            while len(newest) >= self._page:
                rows.put(_page_key(site.key, first // self._page), _encode(newest[: self._page]))
                first += self._page
                del newest[: self._page]
        rows.put(site.key, _HEAD.pack(site.messages, site.visitors) + _encode(newest))
        rows.keep(site.key, site, 300 + _NAME_BYTES * len(site.names))

    def _add(self, rows: Rows, site: _Site) -> None:
        """A row for each name that has none; they are not kept in memory."""
        prefix = _names_key(site.key)
        for name in site.names:
            key = prefix + name.encode()
            if rows.get(key) is None:
                rows.put(key, b"")
                site.visitors += 1
        site.names = {}

    def _names(self, rows: Rows, site: _Site, row: bytes) -> Iterator[str]:
        """The names of a site's visitors: in order of arrival while it is small, sorted when it is large."""
        if site.visitors > self._small:
            start = _names_key(site.key)
            for key, _ in rows.range(start, start[:-1] + b"\1"):
                yield key[len(start) :].decode()
            return
        for page in range(site.visitors // self._page):
            yield from _decode(rows.get(_page_key(site.key, page)) or b"")
        yield from _decode(row[_HEAD.size :])

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """A site's totals: the head row has them."""
        row = rows.get(_HEADS + entity.encode())
        if row is None:
            return None
        messages, visitors = _HEAD.unpack_from(row)
        return {"site_id": entity, "messages": messages, "visitors": visitors}

    def keys(self, rows: Rows) -> Iterator[str]:
        """The sites that have messages here."""
        for key, _ in rows.range(_HEADS, _HEADS_END):
            yield key[len(_HEADS) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """``state``: the totals, and who the visitors are."""
        if name != "state":
            raise LookupError(f"visitors have no view {name!r}; there is: state")
        row = rows.get(_HEADS + key.encode())
        if row is None:
            return None
        site = _Site(_HEADS + key.encode(), row)
        return {"site_id": key, "messages": site.messages, "visitors": list(self._names(rows, site, row))}


def _page_key(key: bytes, page: int) -> bytes:
    return b"p" + key[len(_HEADS) :] + _SUFFIX.pack(page)


def _names_key(key: bytes) -> bytes:
    """What the keys of a large site's visitors begin with: no other site's do, whatever its id."""
    return b"v" + _SUFFIX.pack(len(key)) + key[len(_HEADS) :] + b"\0"


VISITORS = Stream(SCHEMA, lambda _counting: Visitors(), report=None)
