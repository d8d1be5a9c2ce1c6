"""One site: its totals, its events, its visitors, its operators and their timeline, in rows.

The head row holds the totals and what lies in no other row yet; everything that a `Site` knows can be read again
from rows after each `add`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np

from aggregators.by_site import BySite
from aggregators.names import Names
from aggregators.names import Sizes as NamesSizes
from aggregators.pile import ENTRY_BYTES, HASHED, NO_FLOOR, Longs, Numbers, Pile
from aggregators.pile import Sizes as PileSizes
from aggregators.rows import Rows
from aggregators.timeline import Sizes as TimelineSizes
from aggregators.timeline import Timeline
from schemas.sites import Status

HEADS, HEADS_END = b"s", b"t"
"""The head rows' keys: ``s`` and the site's id."""

STATUS = 1 << 31
"""Bit of an event's number: it is a status, ``operator << 1 | online``; without it, the number is the visitor's."""
_NUMBER = HASHED - 1

_HEAD = Struct("<QQQqqqII")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[tuple[str, ...], tuple[str, ...]])


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
    )  # fmt: skip

    def __init__(self, rows: Rows, key: bytes, sizes: Sizes, row: bytes | None) -> None:
        self.key = key
        self.kept_bytes = 0
        """What it said that it takes, when it was kept last."""
        site = key[len(HEADS) :]
        known = Totals() if row is None else totals(row)
        n, self.chats, self.emails, self.first, self.newest, self.floor, visitors, operators = known
        self._unit = sizes.events.unit
        tail, fresh = b"", ((), ())
        if row is not None:
            end = _HEAD.size + n % self._unit * ENTRY_BYTES
            tail = row[_HEAD.size : end]
            if end < len(row):
                fresh = _decoder.decode(row[end:])
        self.events = Pile(rows, b"e" + site, sizes.events, uncounted=STATUS, n=n, tail=tail)
        self.visitors = Names(rows, b"n" + site + b"v", sizes.names, visitors, fresh[0])
        self.operators = Names(rows, b"n" + site + b"o", sizes.names, operators, fresh[1])
        stored = n >= self.events.old_span
        self.timeline = Timeline(rows, site, sizes.timeline, stored=stored)
        if n and not stored:
            self.timeline.load(self._statuses())

    def row(self) -> bytes:
        """The head row."""
        events, visitors, operators = self.events, self.visitors, self.operators
        head = _HEAD.pack(
            events.n, self.chats, self.emails, self.first, self.newest, self.floor, visitors.count, operators.count
        )
        row = head + events.tail_ids + events.tail_times + events.tail_numbers
        if visitors.fresh or operators.fresh:
            row += _encoder.encode((visitors.fresh, operators.fresh))
        return row

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, without the pages and leaves, which are kept by themselves."""
        return 600 + self.events.nbytes + self.visitors.nbytes + self.operators.nbytes + self.timeline.nbytes

    def add(self, batch: BySite, chosen: Sequence[int], statuses: Sequence[int], floors: Longs | None) -> None:
        """Count new events of this site.

        Args:
            batch: where they are.
            chosen: their places in it, in order of arrival; at least one.
            statuses: those of ``chosen`` that are statuses.
            floors: the floor after each of them (None: there never was one).
        """
        # The first old block is where the timeline moves into rows of its own: up to there, and from there on.
        room = self.events.old_span - self.events.n
        if not 0 < room < len(chosen):
            self._add(batch, chosen, statuses, floors)
        else:
            before = [at for at in statuses if at < chosen[room]]
            self._add(batch, chosen[:room], before, None if floors is None else floors[:room])
            after = statuses[len(before) :]
            self._add(batch, chosen[room:], after, None if floors is None else floors[room:])
        self.timeline.fold(self.floor)
        self.timeline.flush()

    def _add(self, batch: BySite, chosen: Sequence[int], statuses: Sequence[int], floors: Longs | None) -> None:
        events, before = self.events, self.events.n
        visitors, operators = self.visitors.count, self.operators.count
        first, last = chosen[0], chosen[-1] + 1
        if len(chosen) == last - first:
            ids, times_bytes = batch.ids[16 * first : 16 * last], batch.times_bytes[8 * first : 8 * last]
            times = batch.times[first:last]
        else:
            ids = b"".join([batch.ids[16 * at : 16 * at + 16] for at in chosen])
            times_bytes = b"".join([batch.times_bytes[8 * at : 8 * at + 8] for at in chosen])
            times = [batch.times[at] for at in chosen]
        self.first = min(self.first, min(times))
        self.newest = max(self.newest, max(times))
        if statuses:
            numbers, times = self._numbers(batch, chosen, set(statuses))
            self._correct()
        else:
            numbers = [self.visitors.number(batch.senders[at]) for at in chosen]
        if batch.hashed is not None:
            numbers = [number | HASHED * batch.hashed[at] for number, at in zip(numbers, chosen, strict=True)]
        chats = self.timeline.chats(times)
        self.chats += chats
        self.emails += len(times) - chats
        for dropped in events.add(ids, times_bytes, np.array(numbers, np.uint32).tobytes(), floors):
            self._fold(dropped)
        if before // self._unit != events.n // self._unit:
            self._seal(np.array(numbers, np.uint32), visitors, operators)
        if before // events.old_span != events.n // events.old_span:
            self.timeline.store()

    def _numbers(self, batch: BySite, chosen: Sequence[int], statuses: set[int]) -> tuple[list[int], list[int]]:
        """Apply the statuses; the numbers of all ``chosen`` events, and the times of the messages."""
        numbers: list[int] = []
        times: list[int] = []
        for at in chosen:
            record = batch.records[at]
            if at in statuses:
                operator = self.operators.number(record.sender)
                online = isinstance(record, Status) and record.data.status == "online"
                text = batch.texts[at] if batch.hashed is not None and batch.hashed[at] else None
                self.timeline.sign(record.timestamp, operator, online, batch.ids[16 * at : 16 * at + 16], text)
                numbers.append(STATUS | operator << 1 | online)
            else:
                numbers.append(self.visitors.number(record.sender))
                times.append(record.timestamp)
        return numbers, times

    def _correct(self) -> None:
        """Move the messages counted before, where the timeline has changed."""
        moved = self.timeline.moved
        if moved:
            steps = [step for left, right, change in moved for step in ((left, -change), (right, change))]
            chats = self.events.rank(steps)
            self.chats += chats
            self.emails -= chats
            moved.clear()

    def _seal(self, numbers: Numbers, visitors: int, operators: int) -> None:
        """Move the names of sealed events out of the head row.

        Names are numbered in order of arrival, so those of the sealed events are all that there were before
        (``visitors``, ``operators``), and all up to the greatest number in the sealed part of ``numbers``.
        """
        sealed = numbers[: len(numbers) - self.events.n % self._unit]
        is_status = sealed >= STATUS
        sealed = sealed & np.uint32(_NUMBER)
        self.visitors.seal(max(visitors, 1 + int(sealed[~is_status].max(initial=0)) if (~is_status).any() else 0))
        self.operators.seal(max(operators, 1 + int(sealed[is_status].max(initial=0) >> 1) if is_status.any() else 0))

    def _fold(self, dropped: Numbers) -> None:
        is_status = dropped >= STATUS
        dropped = dropped & np.uint32(_NUMBER)
        self.visitors.fold(dropped[~is_status])
        self.operators.fold(dropped[is_status] >> np.uint32(1))

    def _statuses(self) -> Iterator[tuple[int, int, bool, bytes, bool]]:
        for ids, times, numbers in self.events.young_entries():
            number = np.frombuffer(numbers, np.uint32)
            for at in np.flatnonzero(number >= STATUS).tolist():
                code = int(number[at])
                time = int.from_bytes(times[8 * at : 8 * at + 8], "little", signed=True)
                sixteen = ids[16 * at : 16 * at + 16]
                yield time, (code & _NUMBER) >> 1, bool(code & 1), sixteen, bool(code & HASHED)

    # -- for views

    def everything(self) -> tuple[Longs, Numbers, Longs, Numbers]:
        """All events that are kept (reads everything).

        Returns:
            Times and visitors of the messages, times and operators of the statuses, in no particular order.
        """
        parts = list(self.events.entries())
        times = np.concatenate([part[0] for part in parts])
        numbers = np.concatenate([part[1] for part in parts])
        is_status = numbers >= STATUS
        numbers &= np.uint32(_NUMBER)
        return times[~is_status], numbers[~is_status], times[is_status], numbers[is_status] >> np.uint32(1)
