"""`report items` in its three forms, from what was published."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.reports import items
from ops.reports.items import COLUMNS, Counts, array, sections

Published = tuple[bytes, bytes | None]


def published(kind: str, number: int, count: int, **more: int) -> Published:
    """A summary; a count of 0 is a removal."""
    summary = {"kind": kind, "id": number, "count": count, "revision": 1, **more}
    return f"{kind}:{number}".encode(), json.dumps(summary).encode() if count else None


def counted(pairs: Sequence[Published]) -> Counts:
    counts = Counts()
    counts.add(pairs)
    return counts


COUNTS = counted(
    [
        published("food", 10, 2), published("food", 9, 2), published("food", 7, 1), published("category", 3, 1),
        published("food", 100, 5), published("category", 20, 4),
    ]
)  # fmt: skip


def test_the_greatest_count_comes_first_and_then_the_smallest_id() -> None:
    """Ids are numbers: 9 comes before 10."""
    assert list(COUNTS.top("food", 3).text()) == ["100,5", "9,2", "10,2"]
    assert list(COUNTS.top("category", 10).text()) == ["20,4", "3,1"]


def test_the_whole_report_has_two_tables_with_an_empty_line_between() -> None:
    """Each is headed as the API calls its ids."""
    tables = [COUNTS.top(kind, 2, column=column) for kind, column in COLUMNS.items()]
    assert list(sections(tables)) == [
        "food_id,count", "100,5", "9,2", "", "food__category_id,count", "20,4", "3,1",
    ]  # fmt: skip
    assert json.loads("\n".join(array(tables))) == [
        {"food_id": 100, "count": 5},
        {"food_id": 9, "count": 2},
        {"food__category_id": 20, "count": 4},
        {"food__category_id": 3, "count": 1},
    ]


def test_nothing_counted_is_an_empty_report() -> None:
    """The headers stay."""
    tables = [Counts().top(kind, 2, column=column) for kind, column in COLUMNS.items()]
    assert list(sections(tables)) == ["food_id,count", "", "food__category_id,count"]
    assert json.loads("\n".join(array(tables))) == []


def test_approximate_counts_say_by_how_much_they_may_be_off() -> None:
    """Exact ones say nothing."""
    assert list(COUNTS.bounds()) == []
    (said,) = counted([published("food", 1, 3), published("foods", 0, 1000, error=7, distinct=90)]).bounds()
    assert said.startswith("foods: approximate (--sketch), of 1,000 items; a count is too small by 7 at the most; ")
    assert said.endswith("about 90 different ones (± 5%)")


@given(
    batches=st.lists(st.lists(st.tuples(st.integers(-3, 5), st.integers(0, 4)), max_size=8), max_size=8),
    k=st.integers(1, 6),
)
def test_of_each_id_the_newest_count_holds_and_a_removed_one_is_gone(
    batches: list[list[tuple[int, int]]], k: int
) -> None:
    """Whatever the batches, and also where outdated counts are let go of in between."""
    counts = Counts()
    newest: dict[int, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items, "PENDING", 5)
        for batch in batches:
            counts.add([published("food", number, count) for number, count in batch])
            newest |= dict(batch)
    expected = sorted(((number, count) for number, count in newest.items() if count), key=lambda it: (-it[1], it[0]))
    assert counts.top("food", k).rows == expected[:k]
