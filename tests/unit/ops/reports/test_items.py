"""`report items` in its three forms, from summaries."""

from __future__ import annotations

import json
from typing import Any

from ops.reports.items import COLUMNS, array, bounds, sections, top


def counted(**counts: int) -> list[dict[str, Any]]:
    """Summaries by ``food_ID`` and ``category_ID``."""
    split = [(*name.split("_"), count) for name, count in counts.items()]
    return [{"kind": kind, "id": int(number), "count": count} for kind, number, count in split]


SUMMARIES = counted(food_10=2, food_9=2, food_7=1, category_3=1, food_100=5, category_20=4)


def test_the_greatest_count_comes_first_and_then_the_smallest_id() -> None:
    """Ids are numbers: 9 comes before 10."""
    assert list(top(SUMMARIES, "food", 3).text()) == ["100,5", "9,2", "10,2"]
    assert list(top(SUMMARIES, "category", 10).text()) == ["20,4", "3,1"]


def test_the_whole_report_has_two_tables_with_an_empty_line_between() -> None:
    """Each is headed as the API calls its ids."""
    tables = [top(SUMMARIES, kind, 2, column=column) for kind, column in COLUMNS.items()]
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
    tables = [top([], kind, 2, column=column) for kind, column in COLUMNS.items()]
    assert list(sections(tables)) == ["food_id,count", "", "food__category_id,count"]
    assert json.loads("\n".join(array(tables))) == []


def test_approximate_counts_say_by_how_much_they_may_be_off() -> None:
    """Exact ones say nothing."""
    whole = {"kind": "foods", "id": 0, "count": 1000, "error": 7, "distinct": 90}
    assert list(bounds(SUMMARIES)) == []
    (said,) = bounds([*SUMMARIES, whole])
    assert said.startswith("foods: approximate (--sketch), of 1,000 items; a count is too small by 7 at the most; ")
    assert said.endswith("about 90 different ones (± 5%)")
