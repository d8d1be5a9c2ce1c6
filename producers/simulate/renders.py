"""A synthetic night of a render farm: few applications with most of the renders, one in twelve fails.

>>> from producers.simulate import Scenario
>>> rows = b"".join(blocks(Scenario(events=1000, keys=1000, seed=7))).splitlines()
>>> len(rows), len({row.split(b",")[0] for row in rows}), rows[0].count(b",")
(1000, 1000, 7)

One file is one day, which its name tells: ``-o renders_2024-03-01.csv``. A key is a render, so with fewer keys than
events renders are repeated. Within a file there is no time, so disorder means nothing here.

Row *i* is a function of the scenario and *i* (`producers.simulate.noise`), in integers only: no rounding differs
anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from producers.simulate import Scenario
from producers.simulate.bad_renders import NAMES, bad_row
from producers.simulate.noise import Noise, below

BLOCK = 1 << 16
"""Rows that are made at once."""
RECENT = 4096
"""A duplicate repeats one of so many rows before it."""
FAILED_ONE_IN = 12

_PROGRAMS = (
    (b"maya", b"arnold"), (b"maya", b"renderman"), (b"maya", b"vray"), (b"houdini", b"karma"),
    (b"houdini", b"arnold"), (b"nuke", b"nuke"), (b"blender", b"cycles"), (b"blender", b"eevee"),
    (b"katana", b"renderman"), (b"cinema4d", b"redshift"),
)  # fmt: skip

Column = NDArray[np.int64]


def blocks(scenario: Scenario) -> Iterator[bytes]:
    """The rows of ``scenario``, in blocks."""
    night = _Night(scenario)
    for first in range(0, scenario.events, BLOCK):
        yield night.rows(np.arange(first, min(first + BLOCK, scenario.events), dtype=np.int64))


class _Night:
    """The render in each row, as a function of its number."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._noise = Noise(scenario.seed)
        self._bad_made = 0
        # Zipf: the r-th program has 1/r of the first one's renders.
        self._programs_until: Column = np.cumsum((1 << 20) // np.arange(1, len(_PROGRAMS) + 1, dtype=np.int64))

    def rows(self, slots: Column) -> bytes:
        """The rows of ``slots``."""
        scale = 1 << 32
        kind = self._draw("kind", slots, scale)
        bad_below = int(self._scenario.bad * scale)
        bad = kind < bad_below
        duplicate = ~bad & (kind < bad_below + int(self._scenario.duplicates * scale))
        back = self._draw("back", slots, RECENT) + 1
        number = np.where(duplicate, np.maximum(slots - back, 0), slots) % self._scenario.keys
        rows = self._renders(number)
        for at in np.flatnonzero(bad).tolist():
            rows[at] = self._bad(int(slots[at]))
        return b"\n".join([*rows, b""])

    def _renders(self, number: Column) -> list[bytes]:
        program = np.searchsorted(
            self._programs_until, self._draw("program", number, int(self._programs_until[-1])), "right"
        )
        failed = self._draw("failed", number, FAILED_ONE_IN) == 0
        empty = failed & (self._draw("empty", number, 2) == 0)
        frames = 1 + self._draw("frames", number, self._draw("shot", number, 240) + 1)
        elapsed_ms = 500 + frames * (200 + self._draw("slow", number, self._draw("slower", number, 60_000) + 1))
        ram = 2_000 + self._draw("ram", number, self._draw("heavy", number, 640_000) + 1)
        cpu = 100 + self._draw("cpu", number, 31_900)
        columns = (program, frames, failed, empty, elapsed_ms, ram // 10, ram % 10, cpu // 10, cpu % 10)
        uids = self._noise.uuids("uid", number.astype(np.uint64))
        return [
            b"%b,%b,%b,%d,%b,%b"
            % (
                uid,
                *_PROGRAMS[where],
                count,
                b"false" if is_failed else b"true",
                b",," if is_empty else b"%d,%d.%d,%d.%d" % tuple(figures),
            )
            for uid, where, count, is_failed, is_empty, *figures in zip(
                uids, *(column.tolist() for column in columns), strict=True
            )
        ]

    def _bad(self, slot: int) -> bytes:
        """The next kind of bad row."""
        name = NAMES[self._bad_made % len(NAMES)]
        self._bad_made += 1
        (uid,) = self._noise.uuids("bad", np.array([slot], np.uint64))
        return bad_row(name, uid)

    def _draw(self, purpose: str, places: Column, limit: int | Column) -> Column:
        """Numbers in ``[0, limit)``, one for each place."""
        return below(self._noise.at(purpose, places.astype(np.uint64)), np.asarray(limit, np.uint64)).astype(np.int64)
