"""Synthetic live chat: few sites have most of the traffic, operators work shifts, visitors come by day.

>>> from producers.simulate import Scenario
>>> lines = b"".join(blocks(Scenario(events=1000, keys=3, seed=7))).splitlines()
>>> len(lines), lines[0]
(1000, b'{...}')

Line *i* is a function of the scenario and *i* (`producers.simulate.noise`): its event time rises with *i*, so blocks
can be made one after the other, and a duplicate is line *j* made again. Late lines wait in memory until they are due:
some 50 bytes a line for as many lines as `Scenario.disorder_s` spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.simulate import Scenario
from producers.simulate.bad import NAMES, bad_line
from producers.simulate.noise import Noise, Words, below

BLOCK = 1 << 16
"""Lines that are made at once."""
START_MS = 1_699_833_600_000
"""Monday, 2023-11-13, 00:00 UTC."""
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
EVENTS_PER_SITE_AND_DAY = 60
STATUS_ONE_IN = 8
RECENT = 4096
"""A duplicate repeats one of so many lines before it."""

# What arrives in each hour of a day, in thousandths: chats follow the shops' opening hours.
_HOURS = (6, 4, 3, 3, 4, 8, 18, 34, 52, 66, 74, 76, 70, 68, 70, 72, 70, 66, 62, 58, 46, 34, 22, 14)
_TEXT = (
    "hello where is my order please can you help the parcel has not come yet thank you do you ship abroad is this in "
    "stock what about the blue one my code does not work how long will it take I would like to send it back"
)
_PLACES_OF_TYPE = (1, 0, 3, 5)
"""Among the members of a record: their order varies in real files."""


def _templates(kind: bytes, sender: bytes, data: bytes) -> tuple[bytes, ...]:
    members = [b'"id":"%b"', b'"from":"' + sender + b'%d"', b'"site_id":"%d"', b'"timestamp":%d', b'"data":' + data]
    orders = [[*members[:at], b'"type":"' + kind + b'"', *members[at:]] for at in _PLACES_OF_TYPE]
    return tuple(b"{" + b",".join(order) + b"}" for order in orders)


_TEMPLATES = (
    *_templates(b"message", b"visitor", b'{"message":"%b"}'),
    *_templates(b"status", b"operator", b'{"status":"%b"}'),
)

Column = NDArray[np.int64]


class _Due(NamedTuple):
    """Lines that are not written yet, column by column."""

    arrival_ms: Column
    slot: Column
    source: Column
    """The slot whose event the line tells: an earlier one in a duplicate, -1 in a bad line."""

    def where(self, chosen: NDArray[np.bool_] | Column) -> _Due:
        return _Due(*(column[chosen] for column in self))


def blocks(scenario: Scenario) -> Iterator[bytes]:
    """The lines of ``scenario``, in blocks."""
    chat = _Chat(scenario)
    due = chat.made(0, 0)
    for first in range(0, scenario.events, BLOCK):
        last = min(first + BLOCK, scenario.events)
        due = _Due(*(np.concatenate(columns) for columns in zip(due, chat.made(first, last), strict=True)))
        due = due.where(np.lexsort((due.slot, due.arrival_ms)))
        # Whatever is made later arrives at its event time or after it.
        border = chat.time_ms(np.array([last]))[0] if last < scenario.events else np.iinfo(np.int64).max
        now = due.arrival_ms < border
        yield chat.rendered(due.where(now))
        due = due.where(~now)


class _Chat:
    """The event of each slot, as a function of its number."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._noise = Noise(scenario.seed)
        self._bad_made = 0
        # Zipf: the r-th site has 1/r of the first one's traffic. Integers, so that no rounding differs anywhere.
        self._sites_until = np.cumsum((1 << 28) // np.arange(1, scenario.keys + 1, dtype=np.int64))
        per_day = max(24, scenario.keys * EVENTS_PER_SITE_AND_DAY)
        hours: Column = np.cumsum(np.array([0, *_HOURS], np.int64))
        self._events_until: Column = hours * per_day // int(hours[-1])
        self._phrases = self._make_phrases(256)

    def time_ms(self, slots: Column) -> Column:
        """When the events of ``slots`` happen: never earlier than those before them."""
        per_day = int(self._events_until[-1])
        day, place = slots // per_day, slots % per_day
        hour: Column = np.searchsorted(self._events_until, place, "right").astype(np.int64) - 1
        began, until = self._events_until[hour], self._events_until[hour + 1]
        return START_MS + day * DAY_MS + hour * HOUR_MS + (place - began) * HOUR_MS // (until - began)

    def made(self, first: int, last: int) -> _Due:
        """The lines of slots ``[first, last)``."""
        before = max(0, first - RECENT)
        slots = np.arange(before, last, dtype=np.int64)
        bad, duplicate = self._kinds(slots)
        # A duplicate repeats the newest event at or before the line it points at; the very first lines are events.
        event_until = np.maximum.accumulate(np.where(~bad & ~duplicate, slots, -1))
        back = self._draw("back", slots, RECENT) + 1
        pointed = event_until[np.maximum(slots - before - back, 0)]
        source = np.where(bad, -1, np.where(duplicate & (pointed >= 0), pointed, slots))
        made = _Due(self.time_ms(slots) + self._delay_ms(slots), slots, source)
        return made.where(slots >= first)

    def rendered(self, lines: _Due) -> bytes:
        """The lines as bytes."""
        source = lines.source
        good = source >= 0
        places = source[good].astype(np.uint64)
        time_ms = self.time_ms(source[good])
        site = np.searchsorted(self._sites_until, self._draw("site", places, int(self._sites_until[-1])), "right") + 1
        status = self._draw("type", places, STATUS_ONE_IN) == 0
        operator = self._draw("who", places, self._operators(site)) + 1
        visitor = self._draw("who", places, self._draw("regular", places, 20 + 20_000 // site) + 1) + 1
        online = self._on_shift(site, operator, time_ms - self._draw("minutes", places, HOUR_MS // 2))
        phrase = self._draw("text", places, len(self._phrases))
        content = np.where(status, np.where(online, len(self._phrases), len(self._phrases) + 1), phrase)
        contents = [*self._phrases, b"online", b"offline"]
        template = status * len(_PLACES_OF_TYPE) + self._draw("order", places, len(_PLACES_OF_TYPE))
        who = np.where(status, operator, visitor)
        ids = self._noise.uuids("id", places)
        columns: list[list[int]] = [c.tolist() for c in (template, who, site, time_ms // 1000, content)]
        events: list[bytes] = [
            _TEMPLATES[shape] % (event_id, name, where, seconds, contents[what])
            for event_id, shape, name, where, seconds, what in zip(ids, *columns, strict=True)
        ]
        if not good.all():
            following = iter(events)
            choices = zip(good.tolist(), lines.slot.tolist(), strict=True)
            events = [next(following) if is_good else self._bad(slot) for is_good, slot in choices]
        events.append(b"")  # so that the last line has an end, too
        return b"\n".join(events)

    def _kinds(self, slots: Column) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which slots are bad lines, and which are duplicates."""
        scale = 1 << 32
        drawn = self._draw("kind", slots, scale)
        bad_below = int(self._scenario.bad * scale)
        bad = drawn < bad_below
        return bad, ~bad & (drawn < bad_below + int(self._scenario.duplicates * scale))

    def _delay_ms(self, slots: Column) -> Column:
        """How late each line is: most a little, few as much as the scenario allows."""
        limit = self._scenario.disorder_s * 1000
        return self._draw("late", slots, self._draw("later", slots, self._draw("latest", slots, limit + 1) + 1) + 1)

    def _operators(self, site: Column) -> Column:
        """How many operators each site has; the busiest tenth has more."""
        return 2 + self._draw("team", site, 3) + 4 * (site * 10 <= self._scenario.keys)

    def _on_shift(self, site: Column, operator: Column, time_ms: Column) -> NDArray[np.bool_]:
        """Whether an operator works at a time: eight hours a day, from a time of the operator's own."""
        began = (6 + self._draw("shift", site * 64 + operator, 9)) * HOUR_MS
        return (time_ms - began) % DAY_MS < 8 * HOUR_MS

    def _bad(self, slot: int) -> bytes:
        """The next kind of bad line."""
        name = NAMES[self._bad_made % len(NAMES)]
        self._bad_made += 1
        at = np.array([slot])
        (event_id,) = self._noise.uuids("id", at.astype(np.uint64))
        return bad_line(name, event_id, b"%d" % (slot % self._scenario.keys + 1), int(self.time_ms(at)[0]) // 1000)

    def _make_phrases(self, count: int) -> list[bytes]:
        vocabulary = _TEXT.split()
        words = self._draw("words", np.arange(count * 8), len(vocabulary)).reshape(count, 8).tolist()
        lengths = self._draw("length", np.arange(count), 6).tolist()
        return [
            " ".join(vocabulary[word] for word in row[: length + 3]).encode()
            for row, length in zip(words, lengths, strict=True)
        ]

    def _draw(self, purpose: str, places: Column | Words, limit: int | Column) -> Column:
        """Numbers in ``[0, limit)``, one for each place."""
        return below(self._noise.at(purpose, places.astype(np.uint64)), np.asarray(limit, np.uint64)).astype(np.int64)
