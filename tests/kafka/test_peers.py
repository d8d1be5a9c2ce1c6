"""The comparison with peers on our own engine alone, on so few events that its figures say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.inputs import Inputs
from tests.bench.peers.case import Comparison
from tests.bench.peers.engines import ENGINES
from tests.bench.peers.jobs import jobs


def test_a_plug_in_package_counts_the_job_of_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed by pip, found by its entry point, run by `worker`; `count` raises unless every summary is right."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with jobs(tmp_path / "jobs") as broker:
        comparison = Comparison(broker, Inputs(tmp_path).many_sites(events=500, sites=20))
        comparison.load_up_to(400)
        cost, records = comparison.count(ENGINES[0])
    assert (cost.events, records > 0, cost.cpu_s > 0) == (400, True, True)
