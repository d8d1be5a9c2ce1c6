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

So a batch costs by what is new in it. Which names a site has is known by 128 bits of each, for all sites of a partition
in one table, so that a batch asks for all of its messages at once. The engine may forget that table at any time: sites
are read again when they are touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from struct import Struct
from typing import Any, Literal, NamedTuple, TypedDict

import msgspec
import numpy as np

from aggregators.aggregator import WRONG_PARTITION, Aggregator, Batch, Changes
from aggregators.blocks import Mask
from aggregators.ids import Words
from aggregators.numbering import Numbering, Places, first_of_each, hashes, owner
from aggregators.rows import Rows
from ops.registry import Stream
from schemas.schema import Schema

_HEADS, _HEADS_END = b"s", b"t"
_HEAD = Struct("<QQ")
_SUFFIX = Struct(">I")
_KNOWN = b"k"
"""Of the object that is kept for a partition."""
_SITE_BYTES = 700
"""What a site takes in memory, about."""
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


class Messages:
    """What is kept of the events of a batch: the messages' sites and senders, as numbers.

    Args:
        events: the first of them.
    """

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.sites: defaultdict[str, int] = defaultdict(count().__next__)
        self.names: defaultdict[str, int] = defaultdict(count().__next__)
        self._codes: list[Places] = []
        self._senders: list[Places] = []
        self._which: list[bytes] = []
        self.extend(events)

    def extend(self, events: Sequence[Event]) -> None:
        """Take events in."""
        self._which.append(bytes([event.type == "message" for event in events]))
        messages = [event for event in events if event.type == "message"]
        sites, names = map(self.sites.__getitem__, [event.site_id for event in messages]), self.names.__getitem__
        self._codes.append(np.fromiter(sites, np.intp, len(messages)))
        self._senders.append(np.fromiter(map(names, [event.sender for event in messages]), np.intp, len(messages)))

    @property
    def columns(self) -> tuple[Places, Places, Places]:
        """Of each message: its site, its sender, and its place in the batch."""
        which = np.frombuffer(b"".join(self._which), np.bool_)
        return np.concatenate(self._codes), np.concatenate(self._senders), which.nonzero()[0]


class _Site:
    """A site in memory. Between two batches all that it knows is in the rows, too."""

    __slots__ = ("key", "messages", "newest", "visitors")

    def __init__(self, key: bytes, row: bytes | None) -> None:
        self.key = key
        self.messages, self.visitors = _HEAD.unpack_from(row) if row else (0, 0)
        self.newest = _decode(row[_HEAD.size :]) if row else []
        """The names that are in no page yet."""


class _Known:
    """What is in memory of a partition."""

    def __init__(self) -> None:
        self.sites: dict[str, _Site] = {}
        self.names = Numbering()
        """Which names these sites have: of a small one all, of a large one those met lately."""


class Visitors(Aggregator[Event]):
    """Messages and distinct visitors of each site, exact for any number of either.

    Args:
        sizes: of pages, and of small sites.
    """

    batch_records = 262_144

    def __init__(self, sizes: Sizes = Sizes()) -> None:  # noqa: B008 - a tuple of numbers
        self._page, self._small = sizes

    def columns(self) -> Messages:
        """What is kept of the events of a batch."""
        return Messages()

    def update(self, rows: Rows, batch: Batch[Event]) -> Changes:
        """Count the messages, of all sites at once."""
        messages: Messages = Messages(batch.records) if batch.columns is None else batch.columns
        known: _Known = rows.kept(_KNOWN) or _Known()
        sites = [self._site(rows, known, site) for site in messages.sites]
        codes, senders, places = messages.columns
        changes = Changes([name for name, site in zip(messages.sites, sites, strict=True) if site is not None])
        if None in sites:
            ours: Mask = np.array([site is not None for site in sites], np.bool_)[codes]
            changes.refused = [(place, WRONG_PARTITION) for place in places[~ours].tolist()]
            codes, senders = codes[ours], senders[ours]
        if len(codes):
            self._count(rows, known, sites, codes, senders, messages)
            rows.keep(_KNOWN, known, known.names.nbytes + _SITE_BYTES * len(known.sites))
        return changes

    def _count(
        self, rows: Rows, known: _Known, sites: Sequence[_Site | None], codes: Places, senders: Places, what: Messages
    ) -> None:
        keys = hashes([*what.names]).take(senders, axis=0) + _owners([*what.sites]).take(codes, axis=0)
        numbers, slots = known.names.find(keys)
        missing: Places = (numbers == 0).nonzero()[0]
        first = missing[first_of_each(codes[missing], senders[missing])]
        known.names.enter(keys.take(first, axis=0), np.zeros(len(first), np.uint32), slots.take(first))
        names = [*what.names]
        texts = [names[sender] for sender in senders[first].tolist()]
        ends = np.bincount(codes[first], minlength=len(sites)).cumsum().tolist()
        begin = 0
        for site, more, end in zip(sites, np.bincount(codes, minlength=len(sites)).tolist(), ends, strict=True):
            if site is not None:
                site.messages += more
                self._put(rows, site, texts[begin:end])
            begin = end

    def _site(self, rows: Rows, known: _Known, name: str) -> _Site | None:
        """A site, out of memory or its rows; None when it is new and belongs to another partition."""
        site = known.sites.get(name)
        if site is None:
            key = _HEADS + name.encode()
            row = rows.get(key)
            if row is None and not rows.owns(key[len(_HEADS) :]):
                return None
            site = known.sites[name] = _Site(key, row)
            if row is not None and site.visitors <= self._small:
                names = list(self._names(rows, site))
                known.names.enter(hashes(names) + _owners([name]), np.zeros(len(names), np.uint32))
        return site

    def _put(self, rows: Rows, site: _Site, names: list[str]) -> None:
        """Put what changed of a site into its rows: its messages, and visitors who are new to memory."""
        newest, page = site.newest, self._page
        if site.visitors > self._small:
            self._add(rows, site, names)
        elif site.visitors + len(names) > self._small:
            known = list(self._names(rows, site))
            for number in range(site.visitors // page):
                rows.delete(_page_key(site.key, number))
            site.visitors, site.newest = 0, []
            self._add(rows, site, known + names)
        else:
            first = site.visitors - len(newest)
            newest += names
            site.visitors += len(names)
            while len(newest) >= page:
                rows.put(_page_key(site.key, first // page), _encode(newest[:page]))
                first += page
                del newest[:page]
        rows.put(site.key, _HEAD.pack(site.messages, site.visitors) + _encode(site.newest))

    @staticmethod
    def _add(rows: Rows, site: _Site, names: Sequence[str]) -> None:
        """A row for each name that has none."""
        prefix = _names_key(site.key)
        for name in names:
            key = prefix + name.encode()
            if rows.get(key) is None:
                rows.put(key, b"")
                site.visitors += 1

    def _names(self, rows: Rows, site: _Site) -> Iterator[str]:
        """The names of a site's visitors: in order of arrival while it is small, sorted when it is large."""
        if site.visitors > self._small:
            start = _names_key(site.key)
            for key, _ in rows.range(start, start[:-1] + b"\1"):
                yield key[len(start) :].decode()
            return
        for page in range(site.visitors // self._page):
            yield from _decode(rows.get(_page_key(site.key, page)) or b"")
        yield from site.newest

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
        return {"site_id": key, "messages": site.messages, "visitors": list(self._names(rows, site))}


def _page_key(key: bytes, page: int) -> bytes:
    return b"p" + key[len(_HEADS) :] + _SUFFIX.pack(page)


def _owners(sites: Sequence[str]) -> Words:
    return np.array([owner(site) for site in sites], np.int64).reshape(-1, 2).view(np.uint64)


def _names_key(key: bytes) -> bytes:
    """What the keys of a large site's visitors begin with: no other site's do, whatever its id."""
    return b"v" + _SUFFIX.pack(len(key)) + key[len(_HEADS) :] + b"\0"


VISITORS = Stream(SCHEMA, lambda _counting: Visitors(), report=None)
