"""Each stream, killed again and again: what is published in the end is the independent answer, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.case import THRICE, Case, must_be_exact
from tests.faults.loads import items, products, renders, sessions
from tests.faults.nemesis import Strikes
from tests.faults.workload import Workload

KILLS = Strikes(kills=8)
LOADS: dict[str, tuple[Callable[[int], Workload], Strikes]] = {
    "renders": (lambda seed: renders.make(seed, 100_000), KILLS),
    "sessions": (lambda seed: sessions.make(seed, 450), KILLS),
    # Whoever sends these is killed, too: a poll goes on where it was, a file is sent again from its beginning.
    "products": (lambda seed: products.make(seed, 50_000), KILLS._replace(sender_kills=2)),
    "items": (lambda seed: items.make(seed, 60_000), KILLS._replace(sender_kills=3)),
}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stream", LOADS)
@THRICE
def test_eight_kills_leave_every_summary_of_every_stream_exact(tmp_path: Path, seed: int, stream: str) -> None:
    """Some 120,000 records at 3,000 a second, a kill -9 of an engine, its parent or both every five seconds."""
    make, strikes = LOADS[stream]
    must_be_exact(Case(seed, make(seed), rate=3_000, strikes=strikes), tmp_path)
