"""A paged API into a topic: the id range cut into subsets, which several readers read at the same time.

    async with PageApi(url, limit=100, gate=Gate(100)) as api:
        first, last = await ends(api, 0, ITEMS)
        poll = Poll(api, publisher, ITEMS, Ranges([(first, ANY)]), last=last, readers=8, stop=lambda: interrupt.asked)
        await poll.run(tick)
    poll.missing                                     # empty, or exactly what was not delivered

Readers keep nothing: what is still to be read is one set of ranges, from which each takes the next subset. An id leaves
the set when the broker has acknowledged everything up to it, so that whoever goes on with the set loses nothing.

A page tells more than its items: that there is nothing between them, and nothing between the last of them and the next
page. So gaps of any size, and the end, are passed at once. A page that is given up leaves the rest of its subset
unread, and its reader goes on in the middle of the widest stretch that nobody has read: a broken stretch of any width
is passed soon. Where every reader was given up `DOWN` times and nothing came in between, the API is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Protocol

import msgspec

from producers.ledger import Ledger
from producers.lines import Huge
from producers.pages import Page, PageGivenUp
from producers.publisher import Ticket
from producers.ranges import Ranges, Span
from producers.records import Parsed, Rejected, too_large
from schemas.items import BLOCK, Item
from schemas.schema import Schema
from schemas.wire import LETTER_BYTES, MAX_RECORD_BYTES

ANY = 2**63 - 1
"""The end of a range that reaches as far as the API has something."""
DOWN = 3
"""After so many pages given up of each reader no more is asked for: each takes half a minute and more."""
PULSE_S = 0.05
"""How often it is looked what the broker has acknowledged."""
MOST_UNDER_WAY = 50_000
"""Records that may wait for the broker; beyond that nobody reads on."""
STEP = 10_000
"""How far the first look for the end goes."""


class Api(Protocol):
    """What is read: a `producers.pages.PageApi`."""

    @property
    def limit(self) -> int:
        """Items of a page."""
        ...

    async def page(self, offset: int) -> Page:
        """The page at ``offset``."""
        ...


class Sink(Protocol):
    """What takes the records: a `producers.publisher.Publisher`."""

    def send(self, file: str, parsed: Parsed) -> Ticket:
        """Send them."""
        ...

    def rest(self, seconds: float) -> None:
        """Take reports on what was sent."""
        ...


class Poll:
    """One run.

    Args:
        api: is asked for pages.
        publisher: takes the items.
        schema: of the items.
        missing: the ids to read; those that were delivered leave it.
        last: the last id that the API has, where a range has no end; None: nobody knows.
        readers: how many read at the same time.
        stop: asked often; true ends the run.
    """

    def __init__(
        self,
        api: Api,
        publisher: Sink,
        schema: Schema[Item],
        missing: Ranges,
        *,
        last: int | None,
        readers: int,
        stop: Callable[[], bool],
    ) -> None:
        self.missing = missing
        self._endless = bool(missing) and missing.spans[-1][1] == ANY
        self.last = last
        """The last id that the API has, as far as is known by now."""
        self.ledger: Ledger[list[Span]] = Ledger()
        self.given_up: list[str] = []
        """Why pages were given up."""
        self._api = api
        self._publisher = publisher
        self._decoder = schema.decoder
        self._key = schema.key
        self._untaken = Ranges(missing.spans)
        self._readers = readers
        self._stop = stop
        self._sent = 0
        self._failed_in_a_row = 0
        self._room = asyncio.Event()
        self._subset = max(api.limit, min(BLOCK, ceil(self._known(missing).count / readers)))

    async def run(self, tick: Callable[[], None]) -> None:
        """Read what is missing, or as much as can be had.

        Args:
            tick: called often.

        Raises:
            StreamgaugeError: the broker refused a record.
        """
        self._room.set()
        left = {asyncio.create_task(self._reader()) for _ in range(self._readers)}
        try:
            while left and not self._stop() and self._failed_in_a_row < DOWN * self._readers:
                done, left = await asyncio.wait(left, timeout=PULSE_S)
                for reader in done:
                    reader.result()
                self._publisher.rest(0)
                self.settle()
                tick()
        finally:
            for reader in left:
                reader.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    @property
    def left(self) -> str:
        """What is missing, as people read it: `A-B, C-D`, and `A-` where nobody knows the end."""
        return str(self._known(self.missing)).removesuffix(f"{ANY}")

    @property
    def count_left(self) -> int | None:
        """How many ids that is; None: nobody knows."""
        unknown = self.last is None and bool(self.missing) and self.missing.spans[-1][1] == ANY
        return None if unknown else self._known(self.missing).count

    def _known(self, ranges: Ranges) -> Ranges:
        """``ranges`` without what lies beyond the last id."""
        if self.last is None or not ranges:
            return ranges
        return ranges.up_to(max(self.last, ranges.spans[-1][0]))

    def settle(self) -> None:
        """Take out of `missing` what the broker has."""
        for spans in self.ledger.settle():
            for span in spans:
                self.missing.remove(*span)
        if self._under_way <= MOST_UNDER_WAY:
            self._room.set()

    @property
    def _under_way(self) -> int:
        """Records and dead letters that the broker has not acknowledged."""
        return self._sent - self.ledger.accepted - self.ledger.rejected

    async def _reader(self) -> None:
        """Read subsets: one after the other, elsewhere when a page was given up."""
        at = 0
        while self._untaken and not self._stop():
            first, last = self._untaken.take(self._subset, self._elsewhere() if self._failed_in_a_row else at)
            try:
                await self._read(first, last)
                at = last + 1
            except PageGivenUp as error:
                self.given_up.append(str(error))
                self._failed_in_a_row += 1

    def _elsewhere(self) -> int:
        """The middle of the widest stretch that nobody has read; of two, the later: it failed in the earlier one."""
        first, last = max(self._known(self._untaken).spans, key=lambda span: (span[1] - span[0], span[0]))
        return first + (last - first + 1) // self._subset // 2 * self._subset

    async def _read(self, first: int, last: int) -> None:
        """Read ``[first, last]``."""
        offset = first
        while offset <= last and not self._stop():
            await self._room.wait()
            page = await self._api.page(offset)
            self._failed_in_a_row = 0
            self._send(page, offset, last)
            offset = ANY if page.next_offset is None else page.next_offset
            if page.next_offset is None:
                return

    def _learn(self, page: Page, offset: int, ids: list[int]) -> None:
        """See where the API ends, or that it does not end where it was thought to."""
        if page.next_offset is None:
            if ids:
                self.last = max(ids)
            elif not page.items and self.last is not None and offset <= self.last:
                self.last = None
        elif self._endless and self.last is not None and page.next_offset > self.last:
            self.last = None

    def _send(self, page: Page, offset: int, last: int) -> None:
        """Send those items of the page at ``offset`` that belong to the subset which ends at ``last``."""
        values = [_compact(item) for item in page.items]
        records, positions, bad = self._decoder.decode(values)
        self._learn(page, offset, [record.id for record in records])
        beyond = next((at for at, record in zip(positions, records, strict=True) if record.id > last), len(values))
        parsed = Parsed([], [], numbers := [])
        for at, record in zip(positions, records, strict=True):
            if not offset <= record.id <= last:
                continue
            if len(values[at]) > MAX_RECORD_BYTES:
                parsed.rejected.append(_too_large(at + 1, page.items[at]))
            else:
                parsed.keys.append(self._key(record).encode())
                parsed.values.append(values[at])
                numbers.append(at + 1)
        parsed.rejected += [_rejected(at + 1, page.items[at], reason) for at, reason in bad if at < beyond]
        ticket = self._publisher.send(page.name, parsed)
        self._sent += ticket.records + ticket.rejected
        if ticket.records < len(parsed.values):
            return  # a stop was asked for and the broker is away: some of the page is not sent
        end = ANY if page.next_offset is None else page.next_offset - 1
        others = [record.id for record in records if record.id > last]
        # Nothing is between the subset and the first item that is another's, nor between the last and the next page.
        empty = [(last + 1, min(others) - 1), (max(others) + 1, end)] if others else [(last + 1, end)]
        for span in empty:
            self._untaken.remove(*span)
        self.ledger.add(ticket, [(offset, min(end, last)), *empty])
        if self._under_way > MOST_UNDER_WAY:
            self._room.clear()


async def ends(api: Api, first: int, schema: Schema[Item]) -> tuple[int, int | None]:
    """Where to begin, and the last id at or after ``first``; where there is none, it lies before the beginning.

    There is nothing before the beginning: it is the id of the first item, or ``first`` where that item is bad. The last
    id is None where a page on the way was given up: whoever reads comes by it.

    Looks ahead in growing steps, then halves what is between: some 30 pages for 70 million items.
    """
    lowest = first
    try:
        page = await api.page(first)
        lowest = min(_ids(page._replace(items=page.items[:1]), schema), default=first)
        if page.next_offset is None:
            return lowest, max(_ids(page, schema), default=lowest - 1)
        known, past, step = page.next_offset, ANY, STEP
        while known + 1 < past:
            offset = min(known + step, ANY - 1) if past == ANY else (known + past) // 2
            step *= 8
            page = await api.page(offset)
            if page.next_offset is not None:
                known = page.next_offset
            elif page.items:
                return lowest, max(_ids(page, schema), default=known)
            else:
                past = offset
    except PageGivenUp:
        return lowest, None
    return lowest, known


def _ids(page: Page, schema: Schema[Item]) -> list[int]:
    """The ids of a page's good items."""
    return [record.id for record in schema.decoder.decode([_compact(item) for item in page.items]).records]


def _compact(item: bytes) -> bytes:
    """An item on one line, as JSON lines have it."""
    return msgspec.json.format(item, indent=-1) if b"\n" in item or b" " in item else item


def _rejected(line: int, value: bytes, reason: str) -> Rejected:
    return Rejected(line, value, reason) if len(value) <= MAX_RECORD_BYTES else _too_large(line, value)


def _too_large(line: int, value: bytes) -> Rejected:
    from hashlib import sha256

    return too_large(Huge(line, value[:LETTER_BYTES], len(value), sha256(value).hexdigest()))
