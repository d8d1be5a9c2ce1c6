"""`sessions` from files to the report, on a real broker: what a reader sees is what the simulation hid."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops import console
from ops.cli import run
from ops.samples import sample_of
from ops.topics import ensure
from schemas.sessions import SESSIONS
from tests.waiting import until

PROGRAM = Path(sys.executable).with_name("streamgauge")
SAMPLE = sample_of("sessions")
FILE = SAMPLE.paths[0] if SAMPLE else Path()
PATIENCE_S = 60


class Client:
    """Runs the program's commands for one broker and one folder."""

    def __init__(self, folder: Path, brokers: str) -> None:
        self.folder = folder
        self._shared = ("--brokers", brokers, "--data", str(folder))

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker whose log is in the folder."""
        words = ["worker", "sessions", "--id", "w", "--dimensions", "os,file:length"]
        with (self.folder / "w.log").open("ab") as log:
            return subprocess.Popen([PROGRAM, *words, *self._shared], stdin=subprocess.DEVNULL, stderr=log)

    def run(self, *words: str | Path, code: int = 0) -> str:
        """What a command prints, run in this process; it must end with ``code``."""
        printed, said = TextIOWrapper(BytesIO(), "utf-8"), StringIO()
        with redirect_stdout(printed), redirect_stderr(said):
            ended = run([*map(str, words), *self._shared])
        console.configure(quiet=False, verbose=0, color="auto")
        assert ended == code, said.getvalue()
        printed.seek(0)
        return printed.read()

    def is_ready(self, times: int) -> bool:
        """Whether the worker's log says so often that it is ready."""
        return (self.folder / "w.log").read_text().count('"event":"ready"') >= times


@pytest.fixture(scope="module")
def client(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A worker that has counted the simulated sessions."""
    clean(broker)
    ensure(broker, SESSIONS, partitions=3)
    client = Client(tmp_path_factory.mktemp("sessions"), broker["bootstrap.servers"])
    worker = client.start_worker()
    try:
        until(lambda: client.is_ready(1), "the worker is ready")
        client.run("replay", "sessions", FILE, "--wait")
        yield client
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0
    finally:
        worker.kill()
        worker.wait()


def test_the_report_finds_version_700_at_login(client: Client) -> None:
    """The known answer, as text and as a tree."""
    assert client.run("report", "sessions").encode() == (SAMPLE.answer() if SAMPLE else b"")
    tree = json.loads(client.run("report", "sessions", "--json", "--histograms"))
    assert (tree["sessions"], tree["high"], tree["share"]) == (10, 5, 0.5)
    assert [(level["dimension"], level["chosen"]) for level in tree["levels"]][:2] == [
        ("version", "700"),
        ("state", "login"),
    ]
    assert len(tree["levels"]) == 3, "nobody has reported what was configured beside"
    assert len(tree["histograms"]) == 5


def test_the_same_file_again_changes_nothing_that_is_published(client: Client) -> None:
    """Each record counts once: no summary differs by a byte, but for a revision, and nothing is too late."""

    def published() -> dict[str, Any]:
        lines = client.run("tail", "sessions", "-o", "beginning", "-e", "--latest").splitlines()
        summaries = [json.loads(line) for line in lines]
        return {one.pop("sessionID"): {**one, "revision": 0} for one in summaries}

    before = published()
    assert len(before) == 10
    client.run("replay", "sessions", FILE, "--wait")
    assert published() == before
    assert client.run("dlq", "list", "sessions") == ""


def test_an_interval_counts_sessions_by_their_start(client: Client) -> None:
    """`--last` reaches back from the greatest timestamp of all partitions; a moment is ISO 8601 or epoch ms."""
    starts = sorted(
        json.loads(line)["start"]
        for line in client.run("tail", "sessions", "-o", "beginning", "-e", "--latest").splitlines()
    )
    newest = max(json.loads(line)["timestamp"] for line in FILE.read_text().splitlines())

    def sessions(*words: str) -> int:
        return json.loads(client.run("report", "sessions", "--json", *words))["sessions"]

    assert sessions("--from", str(starts[3]), "--to", str(starts[7])) == 4
    assert sessions("--from", "2021-11-03T19:33:18Z", "--to", "2021-11-03T20:33:18+01:00") == 0
    assert sessions("--last", f"{newest - starts[6]}ms") == 4
    assert client.run("report", "sessions", "--last", "12h").startswith("over the last 12 hours 50 %")
    assert json.loads(client.run("report", "sessions", "--json", "--threshold", "1"))["high"] == 0
    assert "no dimension 'versio'" not in client.run("report", "sessions", "--dimension", "version")
    client.run("report", "sessions", "--dimension", "versio", code=2)


def test_a_summary_has_the_contracts_keys_and_what_files_alone_give(client: Client) -> None:
    """`tail`, `state` and `verify` agree."""
    lines = client.run("tail", "sessions", "-o", "beginning", "-e", "--latest").splitlines()
    summaries = [json.loads(line) for line in lines]
    assert len(summaries) == 10
    keys = ["sessionID", "version", "user", "start", "end", "samples", "mean", "peak", "max", "above", "revision"]
    assert all(list(summary) == keys for summary in summaries)
    state = json.loads(client.run("state", "sessions", summaries[0]["sessionID"]))
    assert {key: state[key] for key in keys[:-1]} == {key: summaries[0][key] for key in keys[:-1]}
    client.run("verify", "sessions", FILE)


def test_further_dimensions_are_reported_and_other_types_dead_lettered(client: Client, tmp_path: Path) -> None:
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
    client.run("replay", "sessions", file, "--wait", code=3)
    assert "Expected `str`, got `int` - at `$.os`" in client.run("dlq", "list", "sessions")
    report = client.run("report", "sessions", "--from", "1635968500000", "--dimension", "file:length")
    assert "of those 100 % had a file longer than 35 characters (50 % of all sessions had)" in report


def test_a_killed_worker_goes_on_with_every_session(client: Client) -> None:
    """Its engine process is started again, from what was committed."""
    before = client.run("report", "sessions", "--json", "--histograms")
    children = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(client.folder) in " ".join(process.info["cmdline"] or [])
    ]
    (worker,) = [process for process in children if "worker" in (process.info["cmdline"] or [])]
    for engine in worker.children():
        engine.kill()
    until(lambda: client.is_ready(2), "the worker is ready again")
    assert until(lambda: client.run("report", "sessions", "--json", "--histograms")) == before
