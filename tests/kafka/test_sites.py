"""`sites` from a file to the report, on a real broker: an input whose right answer is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.topics import ensure
from producers.simulate.answer import lines_of, read_answers
from schemas.sites import SITES
from tests.running import Running

ANSWER = Path(__file__).parents[1] / "data" / "sites" / "big_output.txt.zst"
EVERY = 100
"""Of the answer's sites so many are passed over for each that is taken."""


def test_the_report_is_the_known_answer_also_when_all_is_sent_again(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    """Shuffled over everything, some delivered twice: byte for byte the answer; a second replay changes no byte."""
    clean(broker)
    ensure(broker, SITES, partitions=3)
    answers = list(read_answers(str(ANSWER)))[::EVERY]
    events, expected = tmp_path / "events.jsonl", tmp_path / "expected.txt"
    events.write_bytes(b"".join(line + b"\n" for line in lines_of(answers, seed=7, duplicates=0.1)))
    expected.write_text(
        "".join(
            f"{one.site},messages={one.messages},emails={one.emails},operators={one.operators},visitors={one.visitors}\n"
            for one in sorted(answers)
        )
    )
    worker = Running(tmp_path, broker["bootstrap.servers"])
    try:
        for _ in range(2):
            sent = worker.run("replay", "sites", events, "--wait")
            assert sent.returncode == 0, sent.stderr
            assert worker.run("report", "sites").stdout == expected.read_text()
        assert worker.stop() == 0
    finally:
        worker.end()
