"""`sites` from a file to the report, on a real broker: an input whose right answer is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from ops.topics import ensure
from producers.simulate.answer import lines_of, read_answers
from schemas.sites import SITES
from tests.running import PATIENCE_S, Running
from tests.waiting import until

ANSWER = Path(__file__).parents[1] / "data" / "sites" / "big_output.txt.zst"
EVERY = 100
"""Of the answer's sites so many are passed over for each that is taken."""


def test_a_site_whose_past_is_folded_does_not_keep_others_from_the_report_of_a_moment(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    """With a retention: who can be told is told, and a line names who cannot."""
    clean(broker)
    ensure(broker, SITES, partitions=3)
    events = tmp_path / "events.jsonl"
    line = '{"id":"%s","type":"message","from":"v%s","site_id":"%s","timestamp":%d,"data":{"message":"x"}}\n'
    told = [("a", "1", 100), ("b", "1", 200), ("c", "1", 900), *((f"d{n}", str(n), 100) for n in range(2, 9))]
    events.write_text("".join(line % (id_, id_, site, time) for id_, site, time in told))
    with Running(tmp_path, broker["bootstrap.servers"], "sites", "--retention", "10s").serving() as worker:
        worker.prints("replay", "sites", events, "--wait")
        printed, said = worker.prints_and_says("report", "sites", "--at", "150", code=1)
        assert printed.splitlines() == [f"{n},messages=0,emails=1,operators=0,visitors=1" for n in range(2, 9)]
        assert said == (
            "streamgauge: 1 of the sites cannot be told as of 150; site 1: what was before 890 is folded "
            "(--retention); ask for a later moment\n"
        )
        assert worker.prints("report", "sites", "--at", "900").count("\n") == 8


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


def test_an_input_topic_that_was_made_anew_is_refused_however_long_it_is(kafka: dict[str, Any], tmp_path: Path) -> None:
    """What the old one's offsets counted, the new one's first records would have passed for: lost in silence."""
    ensure(kafka, SITES, partitions=1)
    line = '{{"id":"{0}","type":"message","from":"v","site_id":"1","timestamp":1,"data":{{}}}}\n'
    events = tmp_path / "events.jsonl"
    events.write_text("".join(line.format(number) for number in range(20)))
    with Running(tmp_path, kafka["bootstrap.servers"]).serving() as worker:
        worker.prints("replay", "sites", events, "--wait")
    admin = AdminClient(kafka)
    for deleted in admin.delete_topics(["sites"], operation_timeout=20).values():
        deleted.result()
    until(lambda: "sites" not in admin.list_topics(timeout=10).topics)
    ensure(kafka, SITES, partitions=1)
    events.write_text("".join(line.format(number) for number in range(100, 160)))
    again = Running(tmp_path, kafka["bootstrap.servers"])
    try:
        again.prints("replay", "sites", events)
        assert again.process.wait(PATIENCE_S) == 1
    finally:
        again.end()
    said = again.log.read_text().splitlines()[-1]
    assert "counts 20 records of an earlier topic sites, which was deleted and made anew since" in said
