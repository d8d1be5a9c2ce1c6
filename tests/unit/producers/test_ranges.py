"""Ranges of ids against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.ranges import Ranges

spans = st.tuples(st.integers(0, 60), st.integers(-2, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def ids(ranges: Ranges) -> set[int]:
    return {number for first, last in ranges.spans for number in range(first, last + 1)}


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "take"]), spans)))
def test_ranges_are_the_sets_that_they_stand_for(steps: list[tuple[str, tuple[int, int]]]) -> None:
    """And no two of their spans touch, so that what is missing is told in as few as there are."""
    ranges, plain = Ranges(), set[int]()
    for what, (first, last) in steps:
        if what == "add":
            ranges.add(first, last)
            plain |= set(range(first, last + 1))
        elif what == "remove":
            ranges.remove(first, last)
            plain -= set(range(first, last + 1))
        elif ranges:
            low, high = ranges.take(max(1, last - first + 1))
            assert low == min(plain)
            assert set(range(low, high + 1)) <= plain
            plain -= set(range(low, high + 1))
        assert ids(ranges) == plain
        assert ranges.count == len(plain)
        borders = [border for span in ranges.spans for border in span]
        assert borders == sorted(borders)
        assert all(low - high > 1 for high, low in zip(borders[1::2], borders[2::2], strict=False))
