"""One site: its totals, its events, its visitors, its operators and their timeline, in rows.

A batch is counted for all of its sites at once (`aggregators.tally`). So a site in memory is little more than the parts
of its head row as bytes: the `Totals`, which are read and written as columns (`TOTALS`), the tail of its events, and
its newest names. Beside them it has what the next events must be held against: the statuses, and the times of the
messages that lie in no sorted block yet.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple

import numpy as np

from aggregators.blocks import ENTRY_BYTES, HASHED, Longs, Numbers
from aggregators.blocks import Sizes as PileSizes
from aggregators.leaf import Moves
from aggregators.names import Names, split
from aggregators.names import Sizes as NamesSizes
from aggregators.numbering import owner
from aggregators.pile import NO_FLOOR, Pile, columns, numbered
from aggregators.rows import Rows
from aggregators.timeline import Sizes as TimelineSizes
from aggregators.timeline import Timeline
from aggregators.young_timeline import YoungTimeline

HEADS, HEADS_END = b"s", b"t"
"""The head rows' keys: ``s`` and the site's id."""

STATUS = 1 << 31
"""Bit of an event's number: it is a status, ``operator << 1 | online``; without it, the number is the visitor's."""
_NUMBER = HASHED - 1

_TOTALS = Struct("<qqqqqqII")
TOTALS_BYTES = _TOTALS.size
_SALTS = Struct("<qq")
_BYTES = 1900
"""What a site takes in memory beside its times, statuses and names."""


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


TOTALS = np.dtype([*((name, "<i8") for name in Totals._fields[:6]), *((name, "<u4") for name in Totals._fields[6:])])
"""`Totals` of many sites as columns."""
_NONE_YET = _TOTALS.pack(*Totals())


_PUBLISHED = Struct("<8xqq24xII")


def published(row: bytes) -> tuple[int, int, int, int]:
    """Chats, e-mails, visitors and operators, out of a head row or its totals."""
    return _PUBLISHED.unpack_from(row)


Sign = tuple[int, int, int, bool, bytes, str | None]
"""A new status: its place in the batch, time, operator, whether online, id, and the id's text where that is a hash."""


class Site:
    """All that is known of one site.

    Args:
        rows: of the partition.
        key: of the head row.
        sizes: of rows and pages.
        row: the head row; None for a new site.
    """

    __slots__ = (
        "__weakref__",
        "_rows",
        "_sizes",
        "events",
        "head",
        "key",
        "known_by",
        "nbytes",
        "operators",
        "salts",
        "timeline",
        "times",
        "visitors",
    )

    def __init__(self, rows: Rows, key: bytes, sizes: Sizes, row: bytes | None) -> None:
        self._rows = rows
        self._sizes = sizes
        salts = owner(key)
        self.key = key
        site = key[len(HEADS) :]
        self.head = _NONE_YET if row is None else row[:TOTALS_BYTES]
        """`Totals`, packed."""
        known = self.totals
        tail = fresh = operators = b""
        if row is not None:
            names = TOTALS_BYTES + known.events % sizes.events.unit * ENTRY_BYTES
            tail, fresh = row[TOTALS_BYTES:names], row[names:]
            if fresh:
                few = sizes.names.fresh
                fresh, operators = split(fresh, (known.visitors % few, known.operators % few))
        self.events = Pile(rows, b"e" + site, sizes.events, salt=salts[0], uncounted=STATUS, n=known.events, tail=tail)
        self.visitors = Names(rows, b"n" + site + b"v", sizes.names, known.visitors, fresh)
        self.operators = Names(rows, b"n" + site + b"o", sizes.names, known.operators, operators)
        self.salts = _SALTS.pack(*salts)
        """What keeps its ids and names apart from those of other sites."""
        self.known_by = 0
        """The generation of the `aggregators.residents.Residents` that were told its ids and names."""
        self.times = array("q")
        """Of the messages that lie in no old block, in any order."""
        young = b"".join(self.events.young()) if known.events else b""
        self.timeline: Timeline | YoungTimeline
        if known.events >= sizes.events.old_span or known.operators > sizes.timeline.operators:
            self.timeline = Timeline(rows, site, sizes.timeline)
        else:
            self.timeline = YoungTimeline(rows, site)
            if young:
                self.timeline.load(_statuses(young))
        if young:
            table = columns(young)
            self.times.frombytes(table.times[table.numbers < STATUS].tobytes())
        self.nbytes = 0
        """The memory that it said that it takes."""

    @property
    def totals(self) -> Totals:
        """What is published of it, and more."""
        return Totals._make(_TOTALS.unpack(self.head))

    def row(self) -> bytes:
        """The head row."""
        return self.head + self.events.tail + self.visitors.fresh + self.operators.fresh

    def sign(self, signs: Sequence[Sign], last_young: int | None) -> int:
        """Apply new statuses.

        Args:
            signs: in order of arrival.
            last_young: the place of the event that completes the first old block: the timeline has rows of its own
                from then on. None: no event of this batch does.

        Returns:
            How many messages of those counted before have become chats (below 0: e-mails).
        """
        moved: Moves = []
        sign, most = self.timeline.sign, self._sizes.timeline.operators
        for at, time, operator, online, sixteen, text in signs:
            if operator >= most or (last_young is not None and at > last_young):
                sign = self._stored().sign
            sign(time, operator, online, sixteen, text, moved)
        if last_young is not None:
            self._stored()
        if not moved:
            return 0
        steps = [step for left, right, change in moved for step in ((left, -change), (right, change))]
        return self.events.rank(np.frombuffer(self.times, np.int64), steps)

    def grow(self, head: bytes, entries: bytes, messages: bytes) -> bytes:
        """Add events that fill no unit of the pile.

        Args:
            head: the totals with them.
            entries: of the events.
            messages: the times of those that are messages, 8 bytes each.

        Returns:
            The head row.
        """
        self.head = head
        self.times.frombytes(messages)
        tail = self.events.grow(entries)
        return head + tail + self.visitors.fresh + self.operators.fresh

    def append(self, head: bytes, entries: bytes, messages: bytes, floors: Longs | None) -> bytes:
        """Add events.

        Args:
            head: the totals with them.
            entries: of the events.
            messages: the times of those that are messages, 8 bytes each.
            floors: the floor after each event (None: there never was one).

        Returns:
            The head row.
        """
        events, span = self.events, self._sizes.events.old_span
        blocks = events.n // span
        dropped = events.add(entries, floors)
        if events.n // span == blocks:
            self.times.frombytes(messages)
        else:
            young = columns(entries[len(entries) - events.n % span * ENTRY_BYTES :])
            self.times = array("q", young.times[young.numbers < STATUS].tobytes())
        for part in dropped:
            self._fold(part)
        self.head = head
        return self.row()

    def _stored(self) -> Timeline:
        """The timeline, with rows of its own from now on."""
        young = self.timeline
        if isinstance(young, YoungTimeline):
            self.timeline = Timeline(self._rows, self.key[len(HEADS) :], self._sizes.timeline, young.statuses())
            young.forget_texts()
            return self.timeline
        return young

    def _fold(self, dropped: Numbers) -> None:
        is_status = dropped >= STATUS
        dropped = dropped & np.uint32(_NUMBER)
        self.visitors.fold(dropped[~is_status])
        self.operators.fold(dropped[is_status] >> np.uint32(1))

    def measure(self) -> int:
        """Note how much memory it takes now, in bytes, without pages and leaves, which are kept by themselves."""
        self.nbytes = _BYTES + 9 * len(self.times) + self.timeline.nbytes + self.visitors.nbytes + self.operators.nbytes
        return self.nbytes

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


def _statuses(young: bytes) -> Iterator[tuple[int, int, bool, bytes, bool]]:
    for time, number, sixteen in numbered(young, STATUS):
        yield time, (number & _NUMBER) >> 1, bool(number & 1), sixteen, bool(number & HASHED)
