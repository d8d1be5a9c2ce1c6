"""`renders` from nightly files to the report, on a real broker, against a reading of the same files by hand."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from ops.topics import ensure
from producers.simulate import Scenario, simulate
from schemas.renders import RENDERS
from tests.running import PROGRAM, Running

PATIENCE_S = 90
LATER = 'x1,maya,arnold,24,true,2000,10.5,50\nx2,maya,arnold,24,true,3000,0.1,99.5\n"x,3","na""me",karma,1,false,,,\n'
EARLIER = "x2,nuke,nuke,24,true,1000,0.2,50.0\r\nx4,maya,arnold,24,true,5,,\r\nx5,maya,arnold,1,true,7000,0.3,99.5"
FIRST, SECOND, THIRD = "2024-02-28", "2024-02-29", "2024-03-01"


class Row(NamedTuple):
    """A good row, as read by hand."""

    day: str
    line: int
    uid: str
    app: str
    renderer: str
    success: bool
    ms: int | None
    ram: float | None
    cpu: float | None


def rows_of(day: str, text: str) -> Iterator[Row]:
    """The good rows of a file without rows that span lines."""
    for line, row in enumerate(text.splitlines(), 1):
        try:
            uid, app, renderer, frames, success, ms, ram, cpu = next(csv.reader([row], strict=True))
            if not uid or int(frames) >= 2**63 or success not in {"true", "false"}:
                continue
            if "\ufffd" in row or {*"+- enx"} & {*frames, *ms, *ram, *cpu}:
                continue
            figures = (int(ms) if ms else None, float(ram) if ram else None, float(cpu) if cpu else None)
        except (ValueError, csv.Error):
            continue
        if success == "false" or None not in figures:
            yield Row(day, line, uid, app, renderer, success == "true", *figures)


def counted(rows: Iterable[Row]) -> list[Row]:
    """Each uid once: the earliest day's, then the earliest line's."""
    return list({row.uid: row for row in sorted(rows, reverse=True)}.values())


def summary(rows: list[Row]) -> list[str]:
    """The five lines."""
    good = [row for row in rows if row.success]
    means = [
        Fraction(sum(row.ms or 0 for row in good), 1000),
        sum((Fraction(row.cpu or 0) for row in good), Fraction()),
        sum((Fraction(row.ram or 0) for row in good), Fraction()),
    ]
    peaks = [max(row.ram or 0 for row in good), max(row.cpu or 0 for row in good)]
    return [str(float(total / len(good))) for total in means] + [str(peak) for peak in peaks]


class Farm(Running):
    """A folder of nightly files, a broker, and a worker that counts them."""

    def __init__(self, folder: Path, brokers: str) -> None:
        super().__init__(folder, brokers, "renders")
        self.night = folder / "night"
        self.night.mkdir()

    def report(self, *words: str) -> list[str]:
        """The lines of the report."""
        return self.prints("report", "renders", *words).splitlines()


@pytest.fixture(scope="module")
def farm(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farm]:
    """A worker that counts renders, in two partitions."""
    clean(broker)
    ensure(broker, RENDERS, partitions=2)
    with Farm(tmp_path_factory.mktemp("renders"), broker["bootstrap.servers"]).serving() as farm:
        yield farm


def test_nothing_is_there_before_the_first_night(farm: Farm) -> None:
    """Counts and means are 0, a maximum is an empty line; a table has its header."""
    assert farm.report() == ["0"]
    assert farm.report("--summary") == ["0", "0", "0", "", ""]
    assert farm.report("--maxcpu", "--uid") == [""]
    assert json.loads("".join(farm.report("--maxram", "--json"))) == [{"maxram": None}]
    assert [line.split(",")[:3] for line in farm.report("--by", "day,app", "--csv")] == [["day", "app", "count"]]


def test_nights_are_counted_whatever_their_order_and_packing(farm: Farm) -> None:
    """A later night comes first; other files are ignored with a notice; a bad row is a dead letter as it was."""
    (farm.night / f"renders_{SECOND}.csv.gz").write_bytes(gzip.compress(LATER.encode()))
    for name in ("renders_2023-02-29.csv", "notes.txt", f"Renders_{FIRST}.csv"):
        (farm.night / name).write_text("x9,maya,arnold,24,true,2000,10.5,50\n")
    out, err = farm.prints_and_says("replay", "renders", farm.night, "--wait")
    assert out == ""
    assert "ignored 3 files in " in err
    assert farm.report() == ["2"]
    assert farm.report("--maxcpu", "--uid") == ["x2"]
    (farm.night / f"renders_{FIRST}.csv.zst").write_bytes(zstandard.compress(EARLIER.encode()))
    told = json.loads(farm.prints("replay", "renders", farm.night, "--wait", "--json", code=3))
    assert (told["accepted"], told["rejected"]) == (5, 1)
    letter = told["dead_letters"][0]
    assert letter["reason"] == "maxram is missing, though the render succeeded"
    assert (Path(letter["file"]).name, letter["line"]) == (f"renders_{FIRST}.csv.zst", 2)
    assert farm.prints("dlq", "show", "renders", letter["id"]) == "x4,maya,arnold,24,true,5,,"
    check(farm, counted([*rows_of(FIRST, EARLIER), *rows_of(SECOND, LATER)]))
    assert farm.report("--summary") == ["3.3333333333333335", "66.5", "3.6666666666666665", "10.5", "99.5"]
    assert farm.report("--failed") == ["4"]
    assert farm.report("--app", "maya", "--from", SECOND) == ["1"]
    assert farm.report("--by", "app,renderer", "--csv")[1:] == [
        "maya,arnold,2,0,4.5,74.75,5.4,10.5,99.5,2.008,7.0,7.0,50.25,99.5,99.5,0.3,10.5,10.5",
        '"na""me",karma,0,1,0,0,0,,,,,,,,,,,',
        "nuke,nuke,1,0,1.0,50.0,0.2,0.2,50.0,1.0,1.0,1.0,50.0,50.0,50.0,0.2,0.2,0.2",
    ]
    assert "quantiles are within 1% of the exact ones" in farm.prints_and_says("report", "renders", "--by", "day")[1]
    lines = farm.prints("tail", "renders", "-o", "beginning", "-e", "--latest").splitlines()
    newest = [json.loads(line) for line in lines]
    assert {(cell["day"], cell["app"], cell["renderer"], cell["success"]): cell["count"] for cell in newest} == {
        (FIRST, "nuke", "nuke", True): 1,
        (FIRST, "maya", "arnold", True): 1,
        (SECOND, "maya", "arnold", True): 1,
        (SECOND, 'na"me', "karma", False): 1,
    }
    assert json.loads(farm.prints("state", "renders", "x2"))["day"] == FIRST


def test_kills_amid_nights_that_take_each_other_over_leave_the_report_exact(farm: Farm) -> None:
    """The same renders in three nights, the last first; then all of it again. `verify` finds it equal, too."""
    rows = [*rows_of(FIRST, EARLIER), *rows_of(SECOND, LATER)]
    made: list[Path] = []
    for day, events in ((THIRD, 15_000), (SECOND, 12_000), (FIRST, 9_000)):
        night = b"".join(simulate("renders", Scenario(events, 20_000, seed=7, duplicates=0.1, bad=0.01)))
        made.append(farm.night / f"renders_{day}.csv")
        made[-1].write_bytes(night)
        rows += rows_of(day, night.decode(errors="replace"))
    rows = counted(rows)
    replay = farm.begin("replay", "renders", *made, "--wait", "--rate", "9000")
    for starts in (1, 2):
        farm.wait_for("ready", starts)
        farm.engine().kill()
    _, err = replay.communicate(timeout=PATIENCE_S)
    assert replay.returncode == 3, err
    check(farm, rows)
    farm.prints("replay", "renders", farm.night, "--wait", code=3)
    check(farm, rows)
    assert "equal: " in farm.prints("verify", "renders", farm.night)


def check(farm: Farm, rows: list[Row]) -> None:
    """The reports are those of ``rows``."""
    good = [row for row in rows if row.success]
    assert farm.report() == [str(len(good))]
    assert farm.report("--summary") == summary(rows)
    for name, place in (("ram", 7), ("cpu", 8)):
        peak = max(row[place] or 0 for row in good)
        first = min(row for row in good if row[place] == peak)
        assert farm.report(f"--max{name}", "--uid") == [first.uid]
    days = sorted({row.day for row in rows})
    table = [line.split(",")[:3] for line in farm.report("--by", "day", "--csv")[1:]]
    assert table == [
        [day, str(sum(row.day == day for row in good)), str(sum(row.day == day and not row.success for row in rows))]
        for day in days
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("report", "renders", "--from", "2024-03-01", "--to", "2024-02-29"), "--from 2024-03-01 is after --to"),
        (("report", "renders", "--avgtime", "--summary"), "--avgtime and --summary exclude each other"),
        (("report", "renders", "--uid"), "--uid goes with --maxcpu or --maxram"),
        (("report", "renders", "--by", "aps"), "did you mean 'app'?"),
        (("report", "renders", "--from", "2023-02-29"), "is no date; write YYYY-MM-DD"),
        (("replay", "renders", "-"), "stdin has no date in its name"),
        (("replay", "renders", __file__), "has no date in its name"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_before_anything_is_tried(words: tuple[str, ...], line: str) -> None:
    """Exit 2, no broker needed."""
    done = subprocess.run(
        [PROGRAM, *words, "--brokers", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr
