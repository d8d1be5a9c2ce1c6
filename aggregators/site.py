"""One site: its totals, its events, its visitors, its operators and their timeline, in rows.

Counting goes in two steps, so that the entries of a whole batch are made at once between them:

1. `count` takes the new events in: names are numbered, statuses applied, messages classified;
2. `append` adds their entries to the pile. Then `row` is the head row: the totals and what lies in no other row yet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple, TypeVar, cast

import numpy as np

from aggregators.blocks import ENTRY_BYTES, HASHED, Longs, Numbers
from aggregators.blocks import Sizes as PileSizes
from aggregators.by_site import BySite
from aggregators.names import Names
from aggregators.names import Sizes as NamesSizes
from aggregators.pile import NO_FLOOR, Pile, numbered
from aggregators.rows import Rows
from aggregators.timeline import Sizes as TimelineSizes
from aggregators.timeline import Timeline
from schemas.sites import Status

HEADS, HEADS_END = b"s", b"t"
"""The head rows' keys: ``s`` and the site's id."""

STATUS = 1 << 31
"""Bit of an event's number: it is a status, ``operator << 1 | online``; without it, the number is the visitor's."""
_NUMBER = HASHED - 1

_HEAD = Struct("<QQQqqqIIIII")


T = TypeVar("T")


def _without(column: list[T], places: Sequence[int]) -> list[T]:
    """A column without what is at ``places``, which rise."""
    if not places:
        return column
    rest: list[T] = []
    start = 0
    for place in places:
        rest += column[start:place]
        start = place + 1
    return rest + column[start:]


def _with(column: list[T], places: Sequence[int], values: Sequence[T]) -> list[T]:
    """The reverse: a column where each of ``values`` is at its place."""
    if not places:
        return column
    whole: list[T] = []
    start = 0
    for before, (place, value) in enumerate(zip(places, values, strict=True)):
        whole += column[start : place - before]
        whole.append(value)
        start = place - before
    return whole + column[start:]


class Sizes(NamedTuple):
    """The sizes of all that a site consists of (tests make them small)."""

    events: PileSizes = PileSizes()
    names: NamesSizes = NamesSizes()
    timeline: TimelineSizes = TimelineSizes()


class Totals(NamedTuple):
    """What a head row begins with."""

    events: int = 0
    chats: int = 0
    emails: int = 0
    first: int = 2**63 - 1
    """The least timestamp."""
    newest: int = -(2**63)
    """The greatest timestamp."""
    floor: int = NO_FLOOR
    """What is before is folded."""
    visitors: int = 0
    operators: int = 0
    visitors_paged: int = 0
    operators_paged: int = 0
    visitors_bytes: int = 0
    """How many bytes of names follow the tail, the operators' after the visitors'."""


def totals(row: bytes) -> Totals:
    """The totals of a head row."""
    return Totals._make(_HEAD.unpack_from(row))


class Site:
    """All that is known of one site.

    Args:
        rows: of the partition.
        key: of the head row.
        sizes: of rows and pages.
        row: the head row; None for a new site.
    """

    __slots__ = (
        "_named",
        "_unit",
        "chats",
        "emails",
        "events",
        "first",
        "floor",
        "kept_bytes",
        "key",
        "newest",
        "operators",
        "timeline",
        "visitors",
    )

    def __init__(self, rows: Rows, key: bytes, sizes: Sizes, row: bytes | None) -> None:
        self.key = key
        self.kept_bytes = 0
        """What it said that it takes, when it was kept last."""
        site = key[len(HEADS) :]
        known = Totals() if row is None else totals(row)
        n = known.events
        self.chats, self.emails, self.first, self.newest, self.floor = known[1:6]
        self._unit = sizes.events.unit
        row = row or b""
        names = _HEAD.size + n % self._unit * ENTRY_BYTES
        middle = names + known.visitors_bytes
        self.events = Pile(rows, b"e" + site, sizes.events, uncounted=STATUS, n=n, tail=row[_HEAD.size : names])
        self.visitors = Names(
            rows, b"n" + site + b"v", sizes.names, known.visitors, row[names:middle], known.visitors_paged
        )
        self.operators = Names(
            rows, b"n" + site + b"o", sizes.names, known.operators, row[middle:], known.operators_paged
        )
        self._named = (known.visitors, known.operators)
        """How many visitors and operators there were when events were appended last."""
        stored = n >= self.events.old_span
        self.timeline = Timeline(rows, site, sizes.timeline, stored=stored)
        if n and not stored:
            self.timeline.load(self._statuses())

    def row(self) -> bytes:
        """The head row."""
        events, visitors, operators = self.events, self.visitors, self.operators
        fresh = visitors.packed()
        head = _HEAD.pack(
            events.n,
            self.chats,
            self.emails,
            self.first,
            self.newest,
            self.floor,
            visitors.count,
            operators.count,
            visitors.paged,
            operators.paged,
            len(fresh),
        )
        return head + events.tail + fresh + operators.packed()

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the pages and leaves, which are kept by themselves."""
        return 600 + self.events.nbytes + self.visitors.nbytes + self.operators.nbytes + self.timeline.nbytes

    def count(self, batch: BySite, chosen: Sequence[int], statuses: Sequence[int], lowest: int, greatest: int) -> None:
        """Count new events.

        Args:
            batch: where they are.
            chosen: their places in it, in order of arrival.
            statuses: those of ``chosen`` that are statuses.
            lowest: the least timestamp of them.
            greatest: the greatest timestamp of them.
        """
        if lowest < self.first:
            self.first = lowest
        if greatest > self.newest:
            self.newest = greatest
        timeline = self.timeline
        room = self.events.old_span - self.events.n
        last_young = chosen[room - 1] if 0 < room <= len(chosen) else None
        if isinstance(chosen, range):
            senders, times = batch.senders[chosen.start : chosen.stop], batch.times[chosen.start : chosen.stop]
            signed = [at - chosen.start for at in statuses]
        else:
            senders, times = [batch.senders[at] for at in chosen], [batch.times[at] for at in chosen]
            signed = [bisect_left(chosen, at) for at in statuses]
        # Statuses are few: to cut them out of the columns is cheaper than to look at each record.
        senders, times = _without(senders, signed), _without(times, signed)
        signs = self._sign(batch, statuses, last_young)
        self._note(batch, chosen, _with(self.visitors.numbers(senders), signed, signs))
        chats = timeline.chats(times)
        if statuses or last_young is not None or self.floor > NO_FLOOR:
            timeline.fold(self.floor)
            timeline.flush()
        self.chats += chats
        self.emails += len(times) - chats

    def _note(self, batch: BySite, chosen: Sequence[int], numbers: list[int]) -> None:
        """Tell the batch the numbers of the entries."""
        if batch.hashed is not None:
            numbers = [number | HASHED * batch.hashed[at] for number, at in zip(numbers, chosen, strict=True)]
        if isinstance(chosen, range):
            batch.numbers[chosen.start : chosen.stop] = numbers
        else:
            for at, number in zip(chosen, numbers, strict=True):
                batch.numbers[at] = number

    def _sign(self, batch: BySite, statuses: Sequence[int], last_young: int | None) -> list[int]:
        """Apply statuses; the numbers of their entries.

        ``last_young`` is the event that completes the first old block: the timeline has rows of its own from then on.
        """
        timeline = self.timeline
        signs: list[int] = []
        for at in statuses:
            if last_young is not None and at > last_young:
                timeline.store()
            record = cast("Status", batch.record(at))
            operator = self.operators.number(record.sender)
            online = record.data.status == "online"
            text = record.id if batch.is_hashed(at) else None
            timeline.sign(record.timestamp, operator, online, batch.ids[16 * at : 16 * at + 16], text)
            signs.append(STATUS | operator << 1 | online)
        if last_young is not None:
            timeline.store()
        if timeline.moved:
            self._correct()
        return signs

    def append(self, entries: bytes, numbers: Sequence[int], floors: Longs | None) -> bool:
        """Add the entries of what was counted.

        Args:
            entries: of the events.
            numbers: of the events.
            floors: the floor after each of them (None: there never was one).

        Returns:
            Whether a unit is full, so that the site takes another amount of memory now.
        """
        events = self.events
        before = events.n
        dropped = events.add(entries, floors)
        sealed = before // self._unit != events.n // self._unit
        if sealed:
            self._seal(numbers[: len(numbers) - events.n % self._unit])
            for part in dropped:
                self._fold(part)
        self._named = (self.visitors.count, self.operators.count)
        return sealed

    def _correct(self) -> None:
        """Move the messages counted before, where the timeline has changed."""
        steps = [step for left, right, change in self.timeline.moved for step in ((left, -change), (right, change))]
        self.timeline.moved.clear()
        chats = self.events.rank(steps)
        self.chats += chats
        self.emails -= chats

    def _seal(self, sealed: Sequence[int]) -> None:
        """Move the names of sealed events out of the head row.

        Names are numbered in order of arrival: those of the sealed events are all that there were before, and all up
        to the greatest number among the events that are ``sealed`` now.
        """
        visitors, operators = self._named
        if (visitors, operators) == (self.visitors.count, self.operators.count):
            sealed = ()  # nobody new among them
        for bits in sealed:
            if bits < STATUS:
                number = bits & _NUMBER
                if number >= visitors:
                    visitors = number + 1
            else:
                number = (bits & _NUMBER) >> 1
                if number >= operators:
                    operators = number + 1
        self.visitors.seal(visitors)
        self.operators.seal(operators)

    def _fold(self, dropped: Numbers) -> None:
        is_status = dropped >= STATUS
        dropped = dropped & np.uint32(_NUMBER)
        self.visitors.fold(dropped[~is_status])
        self.operators.fold(dropped[is_status] >> np.uint32(1))

    def _statuses(self) -> Iterator[tuple[int, int, bool, bytes, bool]]:
        for time, number, sixteen in numbered(b"".join(self.events.young()), STATUS):
            yield time, (number & _NUMBER) >> 1, bool(number & 1), sixteen, bool(number & HASHED)

    # -- for views

    def everything(self) -> tuple[Longs, Numbers, Longs, Numbers]:
        """All events that are kept (reads everything).

        Returns:
            Times and visitors of the messages, times and operators of the statuses, in no particular order.
        """
        parts = list(self.events.columns())
        times = np.concatenate([part.times for part in parts])
        numbers = np.concatenate([part.numbers for part in parts])
        is_status = numbers >= STATUS
        numbers &= np.uint32(_NUMBER)
        return times[~is_status], numbers[~is_status], times[is_status], numbers[is_status] >> np.uint32(1)
