"""A catalogue and what happens to it: inserted, changed, partly taken out, inserted again, from files with bad rows.

>>> load = make(seed=1, rows=1000)
>>> [(step.words[3], step.records) for step in load.steps]
[('ingest', 1000), ('update', 500), ('delete', 500), ('ingest', 250)]
>>> len(load.answer) < len(load.rows) < 1500, len(load.bad_lines)
(True, 10)

A killed command is run again from the beginning of its file, which changes nothing: between its two runs there is no
other operation.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter

from schemas.products import PRODUCTS
from tests.faults.workload import Step, Workload, bad_values

Row = tuple[str, str, str]
"""Name, sku, description."""
BAD_ROWS = (b'"text"%d,after a quote,x', b"%d,two columns", b"%d,,no sku", b"\xff%d,not UTF-8,x")


def make(seed: int, rows: int, bad: float = 0.005) -> Workload:
    """Make a file of ``rows`` rows, and three smaller ones about some of the same pairs.

    Args:
        seed: the same one gives the same workload.
        rows: of the first file, pairs that stand there twice included.
        bad: the share, in rows of a file, of bad rows in it, and again, in rows, of bad values beside them.
    """
    rng = random.Random(seed)
    first = [_row(rng, rows) for _ in range(rows)]
    operations: list[tuple[str, list[Row]]] = [
        ("ingest", first),
        (
            "update",
            [(*rng.choice(first)[:2], _text(rng)) for _ in range(rows // 4)]
            + [_row(rng, rows) for _ in range(rows // 4)],
        ),
        ("delete", rng.sample(first, rows // 4) + [_row(rng, rows) for _ in range(rows // 4)]),
        ("ingest", first[: rows // 4]),
    ]
    files: dict[str, bytes] = {}
    bad_lines: dict[tuple[str, int], bytes] = {}
    for number, (op, of_file) in enumerate(operations):
        file = f"{number}-{op}.csv"
        files[file], bad_at = _file(rng, of_file, int(len(of_file) * bad))
        bad_lines |= {(file, line): row for line, row in bad_at.items()}
    pairs = catalogue(operations)
    return Workload(
        schema=PRODUCTS,
        steps=[
            Step(("replay", "products", "--op", op, file), len(of_file))
            for (op, of_file), file in zip(operations, list(files), strict=True)
        ],
        files=files,
        answer={name: {"name": name, "count": n} for name, n in Counter(name for _, name in pairs).items()},
        rows={f"{sku}\0{name}": {"sku": sku, "name": name, "description": text} for (sku, name), text in pairs.items()},
        bad=bad_values(seed, int(rows * bad)),
        bad_lines=bad_lines,
    )


def _row(rng: random.Random, rows: int) -> Row:
    return f"Name {int(rows / 3 * rng.random() ** 2)}", f"sku-{rng.randrange(rows)}", _text(rng)


def _text(rng: random.Random) -> str:
    return f'so "called"\n{rng.getrandbits(32):x}, or not' if rng.random() < 0.3 else f"plain {rng.getrandbits(32):x}"


def _file(rng: random.Random, rows: list[Row], bad: int) -> tuple[bytes, dict[int, bytes]]:
    """The file, and its bad rows by line."""
    bad_before = dict(zip(sorted(rng.sample(range(len(rows)), bad)), range(bad), strict=True))
    text, lines, bad_at = b"name,sku,description\n", 1, dict[int, bytes]()
    parts = [text]
    for place, row in enumerate(rows):
        if place in bad_before:
            number = bad_before[place]
            bad_at[lines + 1] = BAD_ROWS[number % len(BAD_ROWS)] % number
            parts.append(bad_at[lines + 1] + b"\n")
            lines += 1
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerow(row)
        parts.append(written.getvalue().encode())
        lines += parts[-1].count(b"\n")
    return b"".join(parts), bad_at


def catalogue(operations: list[tuple[str, list[Row]]]) -> dict[tuple[str, str], str]:
    """Description by sku and name, after all operations, row by row."""
    pairs: dict[tuple[str, str], str] = {}
    for op, rows in operations:
        for name, sku, text in rows:
            if op == "delete":
                pairs.pop((sku, name), None)
            elif op == "update" or (sku, name) not in pairs:
                pairs[sku, name] = text
    return pairs
