"""Whatever is killed, stopped or lost, whenever: nothing is lost and nothing is counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.case import THRICE, Case, must_be_exact, say
from tests.faults.loads import sites
from tests.faults.nemesis import Strikes

FENCED = "another worker owns this partition now"


@pytest.mark.timeout(240)
def test_three_worker_kills_and_a_broker_kill_leave_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """The short case; its sums are told in `tests.faults.case`."""
    must_be_exact(Case(seed, sites.make(seed, 30_000), rate=2_000, strikes=Strikes(kills=3, broker_kills=1)), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_eight_worker_kills_and_a_broker_kill_leave_every_summary_exact(tmp_path: Path, seed: int) -> None:
    """315,000 records at 5,000 a second: a minute of load."""
    must_be_exact(Case(seed, sites.make(seed, 300_000), rate=5_000, strikes=Strikes(kills=8, broker_kills=1)), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@THRICE
def test_workers_that_were_stopped_and_resumed_publish_nothing_old(tmp_path: Path, seed: int) -> None:
    """SIGSTOP until another owns the partitions, then SIGCONT: the zombie has an epoch in hand, and is fenced."""
    must_be_exact(Case(seed, sites.make(seed, 120_000), rate=1_000, strikes=Strikes(kills=3, pauses=4)), tmp_path)
    logs = [path.read_text() for path in tmp_path.glob("w*.log")]
    fenced = sum(log.count(FENCED) for log in logs)
    say(f"fenced: {fenced}")
    assert fenced, f"--seed {seed}: no zombie had anything in hand"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("standbys", [0, 1])
@THRICE
def test_workers_whose_state_was_lost_restore_it_exactly(tmp_path: Path, seed: int, standbys: int) -> None:
    """A kill -9 and the loss of the state directory, the broker killed too; with standbys, they take over."""
    strikes = Strikes(kills=2, wipes=4, broker_kills=1)
    must_be_exact(
        Case(seed, sites.make(seed, 120_000), rate=2_000, strikes=strikes, workers=2 + standbys, standbys=standbys),
        tmp_path,
    )
