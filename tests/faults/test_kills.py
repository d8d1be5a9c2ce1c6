"""Whatever is killed, whenever: nothing is lost and nothing is counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.case import Case, run


@pytest.mark.timeout(240)
def test_three_worker_kills_and_a_broker_kill_leave_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """The short case; its sums are told in `tests.faults.case`."""
    verdict = run(Case(seed, events=30_000, rate=2_000, worker_kills=3, broker_kills=1), tmp_path)
    assert verdict.valid is True, f"--seed {seed}: {verdict}"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("repetition", [1, 2, 3])
def test_eight_worker_kills_and_a_broker_kill_leave_every_summary_exact(
    tmp_path: Path, seed: int, repetition: int
) -> None:
    """315,000 records at 5,000 a second: a minute of load, three times, each with other moments and victims."""
    chosen = seed + repetition - 1
    verdict = run(Case(chosen, events=300_000, rate=5_000, worker_kills=8, broker_kills=1), tmp_path)
    assert verdict.valid is True, f"--seed {chosen}: {verdict}"
