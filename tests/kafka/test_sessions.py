"""`sessions` from files to the report, on a real broker: what a reader sees is what the simulation hid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.samples import sample_of
from ops.topics import ensure
from schemas.sessions import SESSIONS
from tests.running import Running
from tests.waiting import until

SAMPLE = sample_of("sessions")
FILE = SAMPLE.paths[0] if SAMPLE else Path()


@pytest.fixture(scope="module")
def client(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A worker that has counted the simulated sessions."""
    clean(broker)
    ensure(broker, SESSIONS, partitions=3)
    folder = tmp_path_factory.mktemp("sessions")
    worker = Running(folder, broker["bootstrap.servers"], "sessions", "--dimensions", "os,file:length")
    with worker.serving() as client:
        client.prints("replay", "sessions", FILE, "--wait")
        yield client


def test_the_report_finds_version_700_at_login(client: Running) -> None:
    """The known answer, as text and as a tree."""
    assert client.prints("report", "sessions").encode() == (SAMPLE.answer() if SAMPLE else b"")
    tree = json.loads(client.prints("report", "sessions", "--json", "--histograms"))
    assert (tree["sessions"], tree["high"], tree["share"]) == (10, 5, 0.5)
    assert [(level["dimension"], level["chosen"]) for level in tree["levels"]][:2] == [
        ("version", "700"),
        ("state", "login"),
    ]
    assert len(tree["levels"]) == 3, "nobody has reported what was configured beside"
    assert len(tree["histograms"]) == 5


def test_the_same_file_again_changes_nothing_that_is_published(client: Running) -> None:
    """Each record counts once: no summary differs by a byte, but for a revision, and nothing is too late."""

    def published() -> dict[str, Any]:
        lines = client.prints("tail", "sessions", "-o", "beginning", "-e", "--latest").splitlines()
        summaries = [json.loads(line) for line in lines]
        return {one.pop("sessionID"): {**one, "revision": 0} for one in summaries}

    before = published()
    assert len(before) == 10
    client.prints("replay", "sessions", FILE, "--wait")
    assert published() == before
    assert client.prints("dlq", "list", "sessions") == ""


def test_an_interval_counts_sessions_by_their_start(client: Running) -> None:
    """`--last` reaches back from the greatest timestamp of all partitions; a moment is ISO 8601 or epoch ms."""
    starts = sorted(
        json.loads(line)["start"]
        for line in client.prints("tail", "sessions", "-o", "beginning", "-e", "--latest").splitlines()
    )
    newest = max(json.loads(line)["timestamp"] for line in FILE.read_text().splitlines())

    def sessions(*words: str) -> int:
        return json.loads(client.prints("report", "sessions", "--json", *words))["sessions"]

    assert sessions("--from", str(starts[3]), "--to", str(starts[7])) == 4
    assert sessions("--from", "2021-11-03T19:33:18Z", "--to", "2021-11-03T20:33:18+01:00") == 0
    assert sessions("--last", f"{newest - starts[6]}ms") == 4
    assert client.prints("report", "sessions", "--last", "12h").startswith("over the last 12 hours 50 %")
    assert json.loads(client.prints("report", "sessions", "--json", "--threshold", "1"))["high"] == 0
    assert "no dimension 'versio'" not in client.prints("report", "sessions", "--dimension", "version")
    client.prints("report", "sessions", "--dimension", "versio", code=2)


def test_a_summary_has_the_contracts_keys_and_what_files_alone_give(client: Running) -> None:
    """`tail`, `state` and `verify` agree."""
    lines = client.prints("tail", "sessions", "-o", "beginning", "-e", "--latest").splitlines()
    summaries = [json.loads(line) for line in lines]
    assert len(summaries) == 10
    keys = ["sessionID", "version", "user", "start", "end", "samples", "mean", "peak", "max", "above", "revision"]
    assert all(list(summary) == keys for summary in summaries)
    state = json.loads(client.prints("state", "sessions", summaries[0]["sessionID"]))
    assert {key: state[key] for key in keys[:-1]} == {key: summaries[0][key] for key in keys[:-1]}
    client.prints("verify", "sessions", FILE)


def test_further_dimensions_are_reported_and_other_types_dead_lettered(client: Running, tmp_path: Path) -> None:
    """Only the worker knows which fields are configured; numbers are split, lengths are told in characters."""
    base = {"timestamp": 1_635_968_500_000, "state": "running"}
    good = [
        {
            **base,
            "sessionID": f"more-{number}",
            "cpu": 0.9 if number < 3 else 0.1,
            "os": "os",
            "file": "x" * (50 - number * 5),
        }
        for number in range(6)
    ]
    bad = {**base, "sessionID": "more-bad", "os": 7}
    file = tmp_path / "more.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in [*good, bad]))
    client.prints("replay", "sessions", file, "--wait", code=3)
    assert "Expected `str`, got `int` - at `$.os`" in client.prints("dlq", "list", "sessions")
    report = client.prints("report", "sessions", "--from", "1635968500000", "--dimension", "file:length")
    assert "of those 100 % had a file longer than 35 characters (50 % of all sessions had)" in report


def test_a_killed_worker_goes_on_with_every_session(client: Running) -> None:
    """Its engine process is started again, from what was committed."""
    before = client.prints("report", "sessions", "--json", "--histograms")
    client.engine().kill()
    client.wait_for("ready", 2)
    assert until(lambda: client.prints("report", "sessions", "--json", "--histograms")) == before
