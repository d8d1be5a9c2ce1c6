"""Nights of `renders` that take each other over: the later days come first, and many a uid stands in two places.

>>> load = make(seed=1, renders=600)
>>> load.steps[0].words[:3], load.records > 600, len(load.bad_lines) > 2
(('replay', 'renders', 'renders_2024-03-02.csv'), True, True)
>>> sorted(load.answer)[0]
'2024-02-27,blender,arnold,false'
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from fractions import Fraction
from math import frexp
from typing import Any, NamedTuple

from schemas.renders import RENDERS
from tests.faults.workload import Step, Workload, bad_values

DAYS = ("2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02")
APPS = ("maya", "nuke", "blender")
RENDERERS = ("arnold", "karma")
MEASURES = ("elapsed_time", "maxram", "maxcpu")
BAD_ROWS = (
    b"u%d,maya,arnold,24,true,,1.5,2.5",
    b",maya,arnold,24,false,%d,,",
    b"u%d,maya",
    b"u%d,maya,arnold,24,True,1,1,1",
)
"""A number that is missing, no uid, columns that are missing, a truth in upper case."""


class Row(NamedTuple):
    """A row as it stands in its file, which knows its day and line; the smaller one counts of two with one uid."""

    day: str
    line: int
    uid: str
    app: str
    renderer: str
    frames: int
    success: bool
    elapsed_time: int | None
    maxram: float | None
    maxcpu: float | None


def make(seed: int, renders: int, again: float = 0.15, bad: float = 0.005) -> Workload:
    """Make ``renders`` different renders in nightly files, sent as one command, the last night first.

    Args:
        seed: the same one gives the same workload.
        renders: different uids.
        again: the share of uids that stand in a second place, with other figures.
        bad: the share, in renders, of bad rows in the files, and again of bad values beside them.
    """
    rng = random.Random(seed)
    uids = [f"r{rng.getrandbits(40):010x}-{number}" for number in range(renders)]
    nights: dict[str, list[str | bytes]] = {day: [] for day in DAYS}
    for uid in uids + rng.sample(uids, int(renders * again)):
        nights[rng.choice(DAYS)].append(uid)
    for number in range(int(renders * bad)):
        nights[rng.choice(DAYS)].append(BAD_ROWS[number % len(BAD_ROWS)] % number)
    files: dict[str, bytes] = {}
    bad_lines: dict[tuple[str, int], bytes] = {}
    rows: list[Row] = []
    for day, night in nights.items():
        rng.shuffle(night)
        file, text = f"renders_{day}.csv", list[bytes]()
        for line, what in enumerate(night, 1):
            if isinstance(what, bytes):
                bad_lines[file, line] = what
                text.append(what)
            else:
                row = _row(rng, day, line, what)
                rows.append(row)
                text.append(_text(row))
        files[file] = b"\n".join(text) + b"\n"
    # The first night once more, in a folder of its own, so that its bad rows are other lines.
    twice = f"renders_{DAYS[0]}.csv"
    files[f"again/{twice}"] = files[twice]
    bad_lines |= {(f"again/{twice}", line): row for (file, line), row in bad_lines.items() if file == twice}
    sent = len(rows) + sum(row.day == DAYS[0] for row in rows)
    return Workload(
        schema=RENDERS,
        steps=[Step(("replay", "renders", *sorted(files, reverse=True)), sent)],
        files=files,
        answer=answer_of(rows),
        bad=bad_values(seed, int(renders * bad)),
        bad_lines=bad_lines,
    )


def _row(rng: random.Random, day: str, line: int, uid: str) -> Row:
    success = rng.random() < 0.9
    figures = (rng.randrange(1_000_000), rng.randrange(500_000) / 10, rng.randrange(1_000) / 10)
    ms, ram, cpu = figures if success or rng.random() < 0.5 else (None, None, None)
    return Row(day, line, uid, rng.choice(APPS), rng.choice(RENDERERS), rng.randrange(100), success, ms, ram, cpu)


def _text(row: Row) -> bytes:
    figures = ("" if value is None else str(value) for value in row[-3:])
    return ",".join([row.uid, row.app, row.renderer, str(row.frames), str(row.success).lower(), *figures]).encode()


def answer_of(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """The right summary of each cell, by the rules read literally."""
    counted = {row.uid: row for row in sorted(rows, key=lambda row: (row.day, row.line), reverse=True)}
    cells: dict[tuple[str, str, str, bool], list[Row]] = defaultdict(list)
    for row in counted.values():
        cells[row.day, row.app, row.renderer, row.success].append(row)
    return {
        f"{day},{app},{renderer},{str(success).lower()}": {
            "day": day,
            "app": app,
            "renderer": renderer,
            "success": success,
            "count": len(of_cell),
            **{name: _measure(of_cell, name) for name in MEASURES},
        }
        for (day, app, renderer, success), of_cell in cells.items()
    }


def _measure(rows: list[Row], name: str) -> dict[str, Any]:
    having = sorted((-getattr(row, name), row.line, row.uid) for row in rows if getattr(row, name) is not None)
    if not having:
        return {"n": 0, "sum": "0x0p+0", "mean": None, "min": None, "max": None, "line": None, "uid": None, "bins": []}
    values = [-value for value, _, _ in having]
    total = sum(map(Fraction, values), Fraction())
    return {
        "n": len(values),
        "sum": _hexadecimal(total),
        "mean": float(total / len(values)),
        "min": min(values),
        "max": max(values),
        "line": having[0][1],
        "uid": having[0][2],
        "bins": [number for pair in sorted(Counter(map(_bin, values)).items()) for number in pair],
    }


def _bin(value: float) -> int:
    """64 equal parts of each power of two, numbered as the exponent and the first six bits of a double are."""
    part, exponent = frexp(value)
    return 0 if value < 2**-20 else (exponent + 1022) * 64 + int((2 * part - 1) * 64)


def _hexadecimal(total: Fraction) -> str:
    """An odd number and a power of two."""
    odd, power = total.numerator, 1 - total.denominator.bit_length()
    while odd and odd % 2 == 0:
        odd, power = odd // 2, power + 1
    return f"{odd:#x}p{power:+d}"
