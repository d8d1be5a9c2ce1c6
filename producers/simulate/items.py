"""Synthetic food items: ids with gaps, few foods eaten often, many seldom; as lines, and as pages of the API.

>>> from producers.simulate import Scenario
>>> lines = b"".join(blocks(Scenario(events=3, keys=100))).splitlines()
>>> len(lines), lines[0]
(3, b'{"food__category_id":...,"food_id":...,"id":658330693}')
>>> items, next_offset = Synthetic(Scenario(events=1000, keys=100)).page(0, 3)
>>> items == lines, next_offset
(True, 658330696)

Whether an id exists and what it is are functions of the seed and the id, so any page can be made without those before.
Lines come in order of ids, as fast as the API gives them (`PER_SECOND`), but for what a scenario delays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from producers.simulate import Scenario
from producers.simulate.noise import Noise, below

Column = NDArray[np.int64]

FIRST = 658_330_693
"""The first id of the real API."""
PER_SECOND = 10_000
BLOCK = 1 << 16
RECENT = 4096
"""A duplicate repeats one of so many items before it."""
GAP_ONE_IN = 20
HOLE, HOLE_ONE_IN = 512, 64
"""Now and then so many ids are missing at a stretch."""
CATEGORIES = 146
SHORT_ONE_IN = 8
"""Stretches of ids whose items call the category ``category_id``."""
_FOODS = 15_731_639
"""Food ids are scattered below this prime."""

BAD = (
    b'{"food_id":%d,"id":%d}',
    b'{"food__category_id":8,"id":%d}',
    b'{"food__category_id":8,"food_id":%d}',
    b'{"food__category_id":null,"food_id":%d,"id":%d}',
    b'{"food__category_id":"8","food_id":%d,"id":%d}',
    b'{"food__category_id":8,"food_id":%d.5,"id":%d}',
    b'{"food__category_id":8,"food_id":%d,"id":%d.0}',
    b'{"food__category_id":8,"food_id":%d,"id":true}',
    b'{"food__category_id":8,"food_id":%d,"id":9223372036854775808}',
    b'{"food__category_id":8,"category_id":9,"food_id":%d,"id":%d}',
    b'{"food__category_id":8,"food_id":%d,"id":%d',
    b'[{"food__category_id":8,"food_id":%d,"id":%d}]',
    b"null",
    b"%d eaten",
)
"""Every kind of bad item."""


class Catalogue(Protocol):
    """What an API serves."""

    def page(self, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        """The first ``limit`` items at or after the id ``offset``, and the id of the one after them."""
        ...


class Synthetic:
    """The items of a scenario: as many as its ``events``, of as many foods as its ``keys``."""

    def __init__(self, scenario: Scenario) -> None:
        self._noise = Noise(scenario.seed)
        # Zipf, as sites have it: the r-th food has 1/r of the first one's share, in whole numbers.
        self._until = np.cumsum((1 << 27) // np.arange(1, scenario.keys + 1, dtype=np.int64))
        self._end = FIRST
        """After the last id."""
        left = scenario.events
        while left:
            found = self._existing(self._end, BLOCK)[:left]
            left -= len(found)
            self._end = int(found[-1]) + 1 if len(found) and not left else self._end + BLOCK

    def ids(self, offset: int, count: int) -> Column:
        """The first ``count`` ids at or after ``offset``."""
        found: list[Column] = []
        offset = max(offset, FIRST)
        while count > 0 and offset < self._end:
            width = min(max(2 * count, HOLE), self._end - offset)
            found.append(self._existing(offset, width)[:count])
            count -= len(found[-1])
            offset += width
        return np.concatenate([np.zeros(0, np.int64), *found])

    def page(self, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        """The first ``limit`` items at or after ``offset``, and the id of the one after them."""
        ids = self.ids(offset, limit + 1)
        return self.lines(ids[:limit]), int(ids[limit]) if len(ids) > limit else None

    def lines(self, ids: Column) -> list[bytes]:
        """The items with these ids, as JSON."""
        rank = np.searchsorted(self._until, self._draw("food", ids, int(self._until[-1])), "right").astype(np.int64)
        foods = rank * 7919 % _FOODS + 3
        categories = self._draw("category", foods, self._draw("kind", foods, CATEGORIES) + 1) + 1
        short = self._draw("name", ids // HOLE, SHORT_ONE_IN) == 0
        columns: list[list[int]] = [column.tolist() for column in (short, categories, foods, ids)]
        names = (b"food__category_id", b"category_id")
        return [
            b'{"%b":%d,"food_id":%d,"id":%d}' % (names[is_short], category, food, number)
            for is_short, category, food, number in zip(*columns, strict=True)
        ]

    def bad(self, slot: int) -> bytes:
        """A bad item."""
        shape = BAD[slot % len(BAD)]
        return shape % ((slot,) * shape.count(b"%d"))

    def kinds(self, slots: Column, scenario: Scenario) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which slots are bad lines, and which are duplicates."""
        scale = 1 << 32
        drawn = self._draw("kind of line", slots, scale)
        bad_below = int(scenario.bad * scale)
        return drawn < bad_below, (drawn >= bad_below) & (drawn < bad_below + int(scenario.duplicates * scale))

    def back(self, slots: Column) -> Column:
        """How far back each duplicate's original lies."""
        return self._draw("back", slots, RECENT) + 1

    def delay(self, slots: Column, scenario: Scenario) -> Column:
        """How many lines later each one comes."""
        limit = scenario.disorder_s * PER_SECOND
        return self._draw("late", slots, self._draw("later", slots, limit + 1) + 1)

    def _existing(self, first: int, width: int) -> Column:
        """The ids that exist among ``[first, first + width)``."""
        ids = np.arange(first, first + width, dtype=np.int64)
        hole = (ids - FIRST) // HOLE
        there = (self._draw("gap", ids, GAP_ONE_IN) != 0) & ((self._draw("hole", hole, HOLE_ONE_IN) != 0) | (hole == 0))
        return ids[there | (ids == FIRST)]

    def _draw(self, purpose: str, places: Column, limit: int | Column) -> Column:
        """Numbers in ``[0, limit)``, one for each place."""
        return below(self._noise.at(purpose, places.astype(np.uint64)), np.asarray(limit, np.uint64)).astype(np.int64)


def blocks(scenario: Scenario) -> Iterator[bytes]:
    """The lines of ``scenario``, in blocks."""
    items = Synthetic(scenario)
    before, offset = np.zeros(0, np.int64), FIRST
    arrival = slot = number = np.zeros(0, np.int64)  # of the lines that are not written yet; number -1: a bad one
    for first in range(0, scenario.events, BLOCK):
        slots = np.arange(first, min(first + BLOCK, scenario.events), dtype=np.int64)
        ids = items.ids(offset, len(slots))
        offset = int(ids[-1]) + 1
        known = np.concatenate([before, ids])
        bad, duplicate = items.kinds(slots, scenario)
        at = len(before) + np.arange(len(slots))
        source = known[np.where(duplicate, np.maximum(at - items.back(slots), 0), at)]
        before = known[-RECENT:]
        arrival = np.concatenate([arrival, slots + items.delay(slots, scenario)])
        slot = np.concatenate([slot, slots])
        number = np.concatenate([number, np.where(bad, -1, source)])
        border = slots[-1] + 1 if slots[-1] + 1 < scenario.events else np.iinfo(np.int64).max
        order = np.lexsort((slot, arrival))
        due, rest = order[arrival[order] < border], order[arrival[order] >= border]
        good = iter(items.lines(number[due][number[due] >= 0]))
        pairs = zip(slot[due].tolist(), number[due].tolist(), strict=True)
        yield b"".join((items.bad(place) if is_bad < 0 else next(good)) + b"\n" for place, is_bad in pairs)
        arrival, slot, number = arrival[rest], slot[rest], number[rest]
