"""The worker with real engines on a real broker, as a process of its own: what people and programs see of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from ops.broker import LocalBroker
from ops.broker.launch import free_port
from ops.samples import sample_of
from ops.topics import ensure
from ops.worker import directory
from schemas.sites import SITES
from tests.running import PATIENCE_S, Running
from tests.waiting import until

PROGRAM = Path(sys.executable).with_name("streamgauge")
SAMPLE = sample_of("sites")


@pytest.fixture(scope="module")
def served(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A worker that has counted the sample."""
    clean(broker)
    ensure(broker, SITES, partitions=2)
    worker = Running(tmp_path_factory.mktemp("served"), broker["bootstrap.servers"])
    try:
        worker.wait_for("ready")
        done = worker.run("replay", "sites", *(SAMPLE.paths if SAMPLE else ()), "--wait")
        assert done.returncode == 0, done.stderr
        yield worker
    finally:
        worker.end()


def test_ready_means_live_and_ready(served: Running) -> None:
    """Both answer 200 with a word."""
    assert served.get("/live") == (200, "live\n")
    assert served.get("/ready") == (200, "ready\n")


def test_metrics_say_what_was_counted(served: Running) -> None:
    """Per stream and instance; lag per partition."""
    code, text = served.get("/metrics")
    assert code == 200
    assert 'streamgauge_records_total{stream="sites",instance="w-0"} 10\n' in text
    assert 'streamgauge_partition_lag_records{stream="sites",instance="w-0",partition="1"} 0\n' in text


def test_state_is_answered_over_http(served: Running) -> None:
    """A key that is known, one that is not, a stream that is not served here, a path that is none."""
    code, text = served.get("/state/sites/1")
    assert code == 200
    assert json.loads(text).items() >= {"site_id": "1", "messages": 4, "emails": 4}.items()
    assert served.get("/state/sites/..%2Fnobody")[0] == 404
    assert served.get("/state/nothing/1")[0] == 404
    assert served.get("/nothing")[0] == 404


def test_a_view_of_all_keys_names_the_partitions_it_covers(served: Running) -> None:
    """JSON lines, and in the header what they are whole for."""
    url = served.wait_for("worker started")["http"] + "/views/sites?name=state"
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - http
        assert answer.headers["X-Streamgauge-Partitions"] == "0,1"
        lines = [json.loads(line) for line in answer]
    assert [key for key, _ in lines] == ["1"]
    assert served.get("/views/sites")[0] == 400
    assert served.get("/views/sites?name=nothing")[0] == 404


def test_the_state_command_asks_the_owner(served: Running) -> None:
    """Exit 0 with the state; exit 1 with a line for an unknown key."""
    found = served.run("state", "sites", "1", "--json")
    assert (found.returncode, json.loads(found.stdout)["visitors"]) == (0, 5)
    missing = served.run("state", "sites", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "streamgauge: sites has no key 'nobody'\n"


def test_status_names_owner_lag_and_dead_letters(served: Running) -> None:
    """As JSON: brokers, workers, each partition."""
    done = served.run("status", "--json")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["brokers"] == [served.brokers]
    assert [(worker["worker"], worker["running"], worker["ready"]) for worker in seen["workers"]] == [("w", True, True)]
    (stream,) = [stream for stream in seen["streams"] if stream["stream"] == "sites"]
    assert [(part["owner"], part["running"], part["state"], part["lag"]) for part in stream["partitions"]] == [
        ("w", True, "active", 0),
        ("w", True, "active", 0),
    ]
    assert stream["dead_letters"] == 0


def test_verify_compares_files_with_what_is_published(served: Running, tmp_path: Path) -> None:
    """Equal to the sample; other files differ, and the first differences are said."""
    assert SAMPLE is not None
    equal = served.run("verify", "sites", *SAMPLE.paths)
    assert (equal.returncode, equal.stdout) == (0, "equal: 1 summaries of sites\n")
    half = tmp_path / "half.jsonl"
    half.write_bytes(b"".join(SAMPLE.paths[0].read_bytes().splitlines(keepends=True)[:3]))
    other = served.run("verify", "sites", half)
    assert other.returncode == 1
    assert other.stdout.startswith("1: published messages=4, ")


def test_an_id_in_use_is_refused_with_its_pid(served: Running, tmp_path: Path) -> None:
    """With the same data directory at once; with another one as soon as the broker is asked."""
    pid = served.process.pid
    for folder in (served.folder, tmp_path):
        words = [PROGRAM, "worker", "sites", "--id", "w", "--data", folder, "--brokers", served.brokers]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 1
        assert f"worker id 'w' is in use by process {pid} on this machine" in done.stderr.splitlines()[-1]


def test_an_id_in_use_on_another_machine_is_refused(served: Running, tmp_path: Path) -> None:
    """Two members of one group instance would throw each other out for ever."""
    address = served.wait_for("worker started")["http"].removeprefix("http://")
    kafka = {"bootstrap.servers": served.brokers}
    entry = directory.Entry("far", "far-0", "sites", http=address, pid=served.process.pid, host="elsewhere")
    directory.publish(kafka, entry)
    words = [PROGRAM, "worker", "sites", "--id", "far", "--data", tmp_path, "--brokers", served.brokers]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    directory.remove(kafka, entry)
    assert done.returncode == 1
    assert f"worker id 'far' is in use on elsewhere (process {entry.pid})" in done.stderr.splitlines()[-1]


def test_a_killed_engine_is_started_again_with_its_state(served: Running) -> None:
    """``kill -9`` of the engine: not ready, then ready again, and what was counted is there."""
    readies = len(served.events("ready"))
    served.engine().kill()
    assert served.wait_for("engine starts again")["reason"] == "was killed by SIGKILL"
    code, reason = served.get("/ready")
    assert (code, "was killed by SIGKILL" in reason) == (503, True)
    served.wait_for("ready", readies + 1)
    assert json.loads(served.get("/state/sites/1")[1])["messages"] == 4


def test_sigterm_ends_a_worker_within_ten_seconds_and_clears_its_entry(served: Running, broker: dict[str, Any]) -> None:
    """Exit 0; its entry is gone; whoever asks for the state is told that nobody serves it."""
    assert [entry.worker for entry in directory.read(broker)] == ["w"]
    engine = served.engine()
    assert served.stop() == 0
    assert not engine.is_running()
    assert directory.read(broker) == []
    asked = served.run("state", "sites", "1")
    assert asked.returncode == 1
    assert "is served by no worker; start one: streamgauge worker sites" in asked.stderr


def test_the_owner_that_was_killed_is_shown_and_asked_in_vain(kafka: dict[str, Any], tmp_path: Path) -> None:
    """``kill -9`` of worker and engine at once: `status` shows the owner as gone, `state` exits 1."""
    ensure(kafka, SITES, partitions=2)
    worker = Running(tmp_path, kafka["bootstrap.servers"])
    try:
        worker.wait_for("ready")
        until(lambda: directory.read(kafka))
        engine = worker.engine()
        os.kill(worker.process.pid, signal.SIGSTOP)  # so that it does not see its engine die
        engine.kill()
        worker.end()
        (stream,) = json.loads(worker.run("status", "--json").stdout)["streams"][:1]
        assert {(part["owner"], part["running"]) for part in stream["partitions"]} == {("w", False)}
        asked = worker.run("state", "sites", "1")
        assert asked.returncode == 1
        assert "worker w" in asked.stderr
    finally:
        worker.end()


def test_a_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """At the start and later: live but not ready, and no failure; a stop meanwhile has nothing to commit."""
    port = free_port()
    local = LocalBroker(tmp_path / "broker", port)
    worker = Running(tmp_path, f"127.0.0.1:{port}")
    try:
        until(lambda: f"broker at 127.0.0.1:{port}" in worker.get("/ready")[1])
        assert worker.get("/ready")[0] == 503
        assert worker.get("/live")[0] == 200
        local.start(foreground=True)
        worker.wait_for("ready")
        os.kill(local.pid, signal.SIGKILL)
        until(lambda: worker.get("/ready")[0] == 503)
        assert worker.get("/ready")[1] == f"sites engine w-0: no broker answers at 127.0.0.1:{port}\n"
        assert worker.stop() == 0
        assert worker.events("engine starts again") == []
    finally:
        worker.end()
        local.stop(wipe=True)


def test_sigterm_ends_a_worker_that_waits_for_a_broker(tmp_path: Path) -> None:
    """Nothing to finish, so exit 0 at once."""
    worker = Running(tmp_path, "127.0.0.1:1")
    try:
        until(lambda: "broker at 127.0.0.1:1" in worker.get("/ready")[1])
        assert worker.stop() == 0
    finally:
        worker.end()


def test_what_only_a_person_can_mend_ends_the_worker_at_once(kafka: dict[str, Any], tmp_path: Path) -> None:
    """Topics that do not fit, a Kafka property that does not exist: one line, no restarts."""
    words = [PROGRAM, "worker", "sites", "--data", tmp_path, "--brokers", kafka["bootstrap.servers"], "-X", "no.such=1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert "no.such" in done.stderr.splitlines()[-1]
    assert "engine starts again" not in done.stderr


def test_the_state_of_topics_that_were_deleted_is_not_taken_for_that_of_new_ones(
    kafka: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    """As after `broker stop --wipe`: the worker counts from nothing, and leaves what it had."""
    lines = (SAMPLE.paths[0] if SAMPLE else tmp_path).read_text().splitlines(keepends=True)
    for count, folder in ((10, "all"), (4, "some")):
        clean(kafka)
        ensure(kafka, SITES, partitions=1)
        events = tmp_path / f"{folder}.jsonl"
        events.write_text("".join(lines[:count]))
        worker = Running(tmp_path, kafka["bootstrap.servers"])
        try:
            worker.wait_for("ready")
            done = worker.run("replay", "sites", events, "--wait")
            assert done.returncode == 0, done.stderr
            assert worker.run("verify", "sites", events).stdout == "equal: 1 summaries of sites\n"
            left = worker.events("local state of deleted topics or another cluster is left alone")
            assert len(left) == (count == 4)
            assert worker.stop() == 0
        finally:
            worker.end()
