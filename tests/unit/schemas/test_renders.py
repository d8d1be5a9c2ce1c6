"""`renders`: what a row may say, and what a file may be called."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from producers.formats import format_of
from producers.lines import Lines
from producers.records import Parsed
from producers.simulate.bad_renders import KINDS, bad_row
from schemas.errors import BadRecord, UsageError
from schemas.renders import RENDERS, Render, cell_of, row_text

GOOD = b"a1b2,maya,renderman,24,true,183204,2048.5,97.3"
READ = format_of(RENDERS, "csv")


def parse(*rows: bytes, name: str = "n/renders_2024-02-29.csv") -> Parsed:
    return READ(name).parse(Lines(list(rows), range(1, len(rows) + 1), [], len(rows) + 1))


def record(**changes: Any) -> bytes:
    plain = {
        "uid": "a", "app": "x", "renderer": "y", "frames": 1, "success": True, "elapsed_time": 5, "maxram": 1.5,
        "maxcpu": 2, "day": "2024-02-29", "line": 1,
    }  # fmt: skip
    return orjson.dumps(plain | changes)


def test_a_row_travels_as_an_object_with_its_columns_names() -> None:
    """Plus its day and its line; its key is the uid."""
    parsed = parse(GOOD, b"c3d4,nuke,arnold,10,false,,,", b'"e,""5",,,007,true,0,.5,5.')
    assert parsed.keys == [b"a1b2", b"c3d4", b'e,"5']
    assert list(parsed.lines) == [1, 2, 3]
    assert orjson.loads(parsed.values[0]) == {
        "uid": "a1b2", "app": "maya", "renderer": "renderman", "frames": 24, "success": True, "elapsed_time": 183204,
        "maxram": 2048.5, "maxcpu": 97.3, "day": "2024-02-29", "line": 1,
    }  # fmt: skip
    assert orjson.loads(parsed.values[1])["elapsed_time"] is None
    last = orjson.loads(parsed.values[2])
    assert (last["frames"], last["maxram"], last["maxcpu"], last["line"]) == (7, 0.5, 5.0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bad_row_is_rejected_with_its_bytes(kind: str) -> None:
    """And the rows beside it are not."""
    bad = bad_row(kind, b"u")
    parsed = parse(GOOD, bad, GOOD)
    assert [(rejected.line, rejected.value) for rejected in parsed.rejected] == [(2, bad)]
    assert list(parsed.lines) == [1, 3]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"u,a,b,1,true,,1,1", "elapsed_time is missing, though the render succeeded"),
        (b"u,a,b,-1,true,1,1,1", "frames: expected a whole number, digits only, got '-1'"),
        (b"u,a,b,1_0,true,1,1,1", "frames: expected a whole number, digits only, got '1_0'"),
        (b"u,a,b,\xd9\xa1,true,1,1,1", "frames: expected a whole number, digits only, got '\u0661'"),
        (b"u,a,b,1,true,1,nan,1", "maxram: expected a number, digits with or without a point, got 'nan'"),
        (b"u,a,b,1,true,1,%b,1" % (b"9" * 400), f"maxram: expected a number that fits a double, got '{'9' * 60}'…"),
        (b"u,a,b,1,yes,1,1,1", "success: expected true or false, got 'yes'"),
        (b"u,a,b,1,true,1,1", "expected 8 columns, got 7"),
    ],
)
def test_a_reason_says_what_was_expected_and_what_was_there(row: bytes, reason: str) -> None:
    assert [rejected.reason for rejected in parse(row).rejected] == [reason]


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": ""}, {"uid": "u" * 10_001}, {"maxram": -0.5}, {"maxcpu": -0.0}, {"maxram": None}, {"elapsed_time": 5.0},
        {"frames": True}, {"success": 1}, {"day": "2023-02-29"}, {"day": "20240229"}, {"line": 0}, {"frames": 2**63},
    ],
)  # fmt: skip
def test_a_worker_refuses_what_others_wrote(changes: dict[str, Any]) -> None:
    """The topic takes JSON from anybody."""
    with pytest.raises(BadRecord):
        RENDERS.decoder.decode_one(record(**changes))


def test_a_failed_render_may_leave_its_figures_out() -> None:
    row = b'{"uid":"a","app":"","renderer":"","frames":0,"success":false,"day":"2024-02-29","line":1}'
    render = RENDERS.decoder.decode_one(row)
    assert (render.elapsed_time, render.maxram, render.maxcpu) == (None, None, None)
    assert row_text(render) == b"a,,,0,false,,,"
    assert (
        row_text(Render('a"', "x,y", "z", 1, True, "2024-02-29", 1, 5, 1.5, 2.0)) == b'"a""","x,y",z,1,true,5,1.5,2.0'
    )


@pytest.mark.parametrize(
    "name",
    [
        "-", "renders.csv", "renders_2023-02-29.csv", "renders_2024-2-29.csv", "Renders_2024-02-29.csv",
        "renders_2024-02-29.CSV", "xrenders_2024-02-29.csv", "renders_2024-02-29.csv.bz2", "renders_2024-02-29.csv.1",
        "renders_0000-01-01.csv",
    ],
)  # fmt: skip
def test_a_file_without_a_date_of_the_calendar_is_wrong_usage(name: str) -> None:
    """Exit 2 when it is named; in a directory it is passed over."""
    with pytest.raises(UsageError, match="has no date in its name"):
        READ(name)


@pytest.mark.parametrize("end", ["", ".gz", ".zst"])
def test_a_file_name_tells_the_day(end: str) -> None:
    assert orjson.loads(parse(GOOD, name=f"a/renders_2024-02-29.csv{end}").values[0])["day"] == "2024-02-29"


def test_a_cell_is_called_by_its_dimensions_and_tells_them_again() -> None:
    """Quoted where they need it, so no two cells share a name; a removed one is shown with its fields."""
    assert cell_of("2024-02-29", "a,b", "c", False) == '2024-02-29,"a,b",c,false'
    assert RENDERS.removed('2024-02-29,"a,b",c,false') == {
        "day": "2024-02-29", "app": "a,b", "renderer": "c", "success": False,
    }  # fmt: skip
    summary = {"day": "2024-02-29", "app": "a", "renderer": "b", "success": True}
    assert RENDERS.entity(summary) == "2024-02-29,a,b,true"
