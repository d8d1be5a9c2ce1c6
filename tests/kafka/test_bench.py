"""The benchmark itself, on a backlog so small that its figures say nothing."""

from __future__ import annotations

from pathlib import Path

from tests.bench.cases import Bench, memory


def test_a_case_of_the_benchmark_runs_and_its_answer_is_the_batch_scripts(tmp_path: Path) -> None:
    """A case raises `WrongAnswer` unless readers see what the batch script says; its table has a row for each."""
    (table,) = memory(Bench(tmp_path, events=400))

    assert [what for what, *_ in table.rows] == ["worker, `--memory 1GiB` (the default)", "batch script"]
    assert all(float(figure) > 0 for _, *figures in table.rows for figure in figures)
