"""`report renders`: bare figures and tables, to the letter."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from aggregators.cell import Cell, fill, merged
from aggregators.measures import Columns
from ops.reports.renders import SUMMARY, Filter, PlainCell, answer, breakdown


def cell(day: str, app: str, renderer: str, success: bool, *renders: tuple[Any, ...]) -> dict[str, Any]:
    """A published cell of ``(uid, line, ms, ram, cpu)``."""
    made = Cell(day, app, renderer, success)
    fill([made], Columns.of(renders), np.zeros(len(renders), np.int64))
    return merged([made.share()])


CELLS = [
    cell("2024-01-02", "maya", "arnold", True, ("b", 1, 2000, 10.5, 50.0), ("c", 2, 1000, 0.1, 99.5)),
    cell("2024-01-01", "maya", "arnold", True, ("d", 9, 4000, 0.2, 99.5)),
    cell("2024-01-01", "maya", "arnold", False, ("e", 3, 60_000, None, 800.0), ("f", 4, None, None, None)),
    cell("2024-01-01", "nuke", "nuke", False, ("g", 5, None, None, None)),
]


def lines(*figures: str, failed: bool = False, cells: list[dict[str, Any]] | None = None) -> list[str]:
    return list(answer(CELLS if cells is None else cells, figures, failed=failed).values())


def test_only_successful_renders_count_unless_the_failed_are_included() -> None:
    """A mean divides by the records that have the field."""
    assert lines("count") == ["3"]
    assert lines("count", failed=True) == ["6"]
    assert lines("avgtime") == ["2.3333333333333335"]
    assert lines("avgtime", failed=True) == ["16.75"]
    assert lines("avgram", failed=True) == lines("avgram") == ["3.6"]
    assert lines("maxcpu", failed=True) == ["800.0"]


def test_the_first_seen_wins_a_tie_by_day_before_line() -> None:
    """Line 9 of the first day is before line 2 of the second."""
    assert lines("maxcpu") == ["99.5"]
    assert lines("uid_maxcpu") == ["d"]
    assert lines("uid_maxram") == ["b"]


def test_nothing_is_zero_and_an_empty_line() -> None:
    """Also where a mean is zero."""
    assert lines("count", cells=[]) == ["0"]
    assert lines(*SUMMARY, cells=[]) == ["0", "0", "0", "", ""]
    assert lines(*SUMMARY, cells=[cell("2024-01-01", "a", "b", True, ("x", 1, 0, 0.0, 0.0))]) == [
        "0",
        "0",
        "0",
        "0.0",
        "0.0",
    ]
    table = answer([], ("avgtime", "maxram"))
    assert json.loads("".join(table.json())) == [{"avgtime": 0, "maxram": None}]
    assert list(table.csv()) == ["avgtime,maxram", "0,"]


def test_figures_need_no_sketches() -> None:
    """They are the same of what is decoded without them."""
    plain = msgspec.json.decode(msgspec.json.encode(CELLS), type=list[PlainCell])
    assert "bins" not in plain[0]["maxram"]
    assert answer(plain, SUMMARY, failed=True) == answer(CELLS, SUMMARY, failed=True)


def test_a_filter_is_exact_and_its_days_are_inclusive() -> None:
    def count(**wanted: str) -> list[str]:
        return lines("count", cells=[one for one in CELLS if Filter(**wanted).takes(one)])

    assert count(app="maya") == ["3"]
    assert count(app="Maya") == ["0"]
    assert count(renderer="nuke") == ["0"]
    assert count(first_day="2024-01-02") == ["2"]
    assert count(last_day="2024-01-01") == ["1"]
    assert count(first_day="2024-01-01", last_day="2024-01-02") == ["3"]


def test_a_breakdown_lists_groups_of_failures_only_too() -> None:
    """Dimensions in the order asked for; the failed are always counted, and in the figures only when asked for."""
    table = breakdown(CELLS, ("app", "day"))
    header, *rows = table.csv()
    assert header == (
        "app,day,count,failed,avgtime,avgcpu,avgram,maxram,maxcpu,"
        "time_p50,time_p95,time_p99,cpu_p50,cpu_p95,cpu_p99,ram_p50,ram_p95,ram_p99"
    )
    assert rows == [
        "maya,2024-01-01,1,2,4.0,99.5,0.2,0.2,99.5,4.0,4.0,4.0,99.5,99.5,99.5,0.2,0.2,0.2",
        "maya,2024-01-02,2,0,1.5,74.75,5.3,10.5,99.5,1.004,2.0,2.0,50.25,99.5,99.5,0.10009765625,10.5,10.5",
        "nuke,2024-01-01,0,1,0,0,0,,,,,,,,,,,",
    ]
    with_failed = list(breakdown(CELLS, ("app",), failed=True).csv())[1:]
    assert [row.split(",")[:4] for row in with_failed] == [["maya", "5", "2", "16.75"], ["nuke", "1", "1", "0"]]
    assert list(breakdown([], ("day",)).csv()) == [header.removeprefix("app,")]
