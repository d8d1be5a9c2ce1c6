"""The local broker as people use it, and as the world treats it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.broker import LocalBroker, running_bootstrap
from ops.broker.home import Home
from ops.broker.launch import free_port
from schemas.errors import StreamgaugeError
from tests.waiting import until


def program(data: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "ops.start", "--data", str(data), "broker", *words]


def run(data: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(program(data, *words), capture_output=True, text=True, check=False, env=env)


def ask_ps(column: str, pid: int) -> str:
    ps = shutil.which("ps") or "ps"
    return subprocess.run([ps, "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    state = ask_ps("stat", pid)
    return bool(state.strip()) and not state.startswith("Z")


def test_a_broker_is_started_found_and_stopped_by_its_data_directory_alone(tmp_path: Path) -> None:
    """No Java on the path, an odd directory name; two starts at once are one broker; topics outlive a stop."""
    data = tmp_path / "a directory, é = #1"
    port = str(free_port())
    try:
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda _: run(data, "start", "--port", port, PATH="/nowhere"), range(2)))
        for started in both:
            assert (started.returncode, started.stdout) == (0, f"127.0.0.1:{port}\n"), started.stderr
        assert running_bootstrap(data) == f"127.0.0.1:{port}"
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result()

        again = run(data, "start")
        assert (again.returncode, again.stdout) == (0, f"127.0.0.1:{port}\n")
        assert "runs already" in again.stderr

        elsewhere = run(data, "start", "--port", str(free_port()))
        assert elsewhere.returncode == 1
        assert f"runs on port {port} already" in elsewhere.stderr

        taken = run(tmp_path / "other", "start", "--port", port)
        assert taken.returncode == 1
        assert taken.stderr.startswith(f"streamgauge: port {port} on 127.0.0.1 is in use")
        assert taken.stderr.count("\n") == 1

        shown = json.loads(run(data, "status", "--json").stdout)
        assert (shown["state"], shown["bootstrap"]) == ("running", f"127.0.0.1:{port}")
        assert "[KafkaRaftServer nodeId=1] Kafka Server started" in run(data, "logs").stdout

        assert run(data, "stop").returncode == 0
        assert running_bootstrap(data) is None
        assert run(data, "status").stdout.startswith("not running")

        broker = LocalBroker(data)
        bootstrap = broker.start().bootstrap
        assert "kept" in AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
        assert broker.stop(wipe=True)
        assert list(data.iterdir()) == []
    finally:
        LocalBroker(data).stop(wipe=True)
    assert run(data, "stop").returncode == 0


@contextmanager
def begun(words: Sequence[str]) -> Generator[subprocess.Popen[str]]:
    """A command that goes on until the test ends it, and not beyond the test."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_interrupt_stops_a_foreground_broker(tmp_path: Path) -> None:
    """Ctrl-C is exit 130, and the broker is gone."""
    words = program(tmp_path, "start", "--foreground", "--port", str(free_port()))
    with begun(words) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert LocalBroker(tmp_path).status().state == "stopped"


def test_a_termination_in_the_middle_of_a_start_leaves_nothing_running(tmp_path: Path) -> None:
    """A supervisor may change its mind before the broker is ready; that is a clean end, too."""
    record = Home(tmp_path).record
    words = program(tmp_path, "start", "--foreground", "--port", str(free_port()))
    with begun(words) as process:
        until(record.exists, "the start of the JVM")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert LocalBroker(tmp_path).status().state == "stopped"


OWNER = """
import sys
from pathlib import Path
from ops.broker import LocalBroker, ephemeral_broker
data = Path(sys.argv[1])
with ephemeral_broker(data) as bootstrap:
    print(LocalBroker(data).pid, flush=True)
    sys.stdin.read()
"""


def test_a_killed_parent_leaves_neither_a_broker_nor_its_data(tmp_path: Path) -> None:
    """After a kill -9 nobody is there to clean up but the guard."""
    data = tmp_path / "ephemeral"
    words = [sys.executable, "-c", OWNER, str(data)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    until(lambda: not is_alive(pid), "the broker's end")
    until(lambda: not data.exists(), "the end of its data")


def test_a_killed_guard_takes_the_broker_with_it(tmp_path: Path) -> None:
    """Linux ends the broker at the guard's death."""
    broker = LocalBroker(tmp_path)
    pid = broker.start(foreground=True).pid
    guard = int(ask_ps("ppid", pid))
    assert guard != os.getpid()
    os.kill(guard, signal.SIGKILL)
    broker.wait()
    until(lambda: not is_alive(pid), "the broker's end")
    until(lambda: broker.status().state == "died", "the end of its last thread")
    assert not broker.stop(wipe=True)


def test_what_a_killed_start_left_is_cleared_away(tmp_path: Path) -> None:
    """Half-formatted storage never has the name of storage; a stale record is not believed."""
    root = tmp_path / "broker"
    (root / "formatting").mkdir(parents=True)
    (root / "formatting" / "meta.properties").write_text("version=")
    (root / "running.json").write_text('{"pid": 1, "port": 9092, "version": "4.3.1", "started": 0, "log_start": 0}')
    assert running_bootstrap(tmp_path) is None
    assert LocalBroker(tmp_path).status().state == "died"

    broker = LocalBroker(tmp_path)
    broker.start(foreground=True)
    assert broker.status().state == "running"
    assert not (root / "formatting").exists()
    broker.stop(wipe=True)


def test_a_wipe_says_what_it_leaves_of_workers(tmp_path: Path) -> None:
    """Their state may be that of another broker, too; nothing is said where there is none."""
    assert "is left" not in run(tmp_path, "stop", "--wipe").stderr
    state = tmp_path / "workers" / "w" / "w-0"
    state.mkdir(parents=True)
    assert "is left" not in run(tmp_path, "stop").stderr
    told = run(tmp_path, "stop", "--wipe").stderr.splitlines()
    assert told[-1].startswith(f"{tmp_path / 'workers'} is left: ")
    assert state.exists()


def test_damaged_storage_is_named_and_kept(tmp_path: Path) -> None:
    """Nothing is repaired by guessing: the line says how to start afresh."""
    kafka = tmp_path / "broker" / "kafka"
    kafka.mkdir(parents=True)
    (kafka / "meta.properties").touch()
    (kafka / "bootstrap.checkpoint").write_bytes(b"1")
    done = run(tmp_path, "start", "--port", str(free_port()))
    assert done.returncode == 1
    assert done.stderr == (
        f"streamgauge: {kafka} is half-written: meta.properties missing or empty; "
        f"to start afresh: streamgauge broker stop --wipe --data {tmp_path}\n"
    )
    assert kafka.exists()


def test_storage_that_only_kafka_finds_wrong_is_diagnosed_from_its_log(tmp_path: Path) -> None:
    """The start fails with a reason instead of waiting for its time-out."""
    kafka = tmp_path / "broker" / "kafka"
    kafka.mkdir(parents=True)
    (kafka / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n")
    (kafka / "bootstrap.checkpoint").write_bytes(b"1")
    with pytest.raises(StreamgaugeError, match="ended while it started: its directory is damaged") as caught:
        LocalBroker(tmp_path).start()
    assert "\n" not in str(caught.value)
    assert LocalBroker(tmp_path).status().state == "stopped"


def test_a_full_disk_is_refused_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka on a full disk dies in the middle of something."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("ops.broker.launch.disk_usage", lambda _: usage(100, 99, 1 << 20))
    with pytest.raises(StreamgaugeError, match=r"no disk for a broker: 1\.0 MiB free at .*broker"):
        LocalBroker(tmp_path).start()
    assert LocalBroker(tmp_path).status().state == "stopped"


def test_a_followed_log_goes_on_after_its_rotation(tmp_path: Path) -> None:
    """Kafka's log is renamed at 10 MB; who follows it misses nothing and sees nothing twice."""
    home = Home(tmp_path)
    home.logs.mkdir(parents=True)
    home.server_log.write_bytes(b"first\n")
    words = program(tmp_path, "logs", "--follow")
    with begun(words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        with home.server_log.open("ab") as log:
            log.write(b"second\n")
        assert process.stdout.readline() == "second\n"
        home.server_log.rename(home.logs / "server.log.1")
        home.server_log.write_bytes(b"third\n")
        assert process.stdout.readline() == "third\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """With what the operating system says of it."""
    (tmp_path / "file").touch()
    with pytest.raises(StreamgaugeError, match=r"cannot keep a broker in .*file/data/broker: Not a directory"):
        LocalBroker(tmp_path / "file" / "data").start()


def test_a_java_that_cannot_run_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the JVM says on its console is looked through for the reason."""
    false = shutil.which("false")
    monkeypatch.setattr("ops.broker.broker.find_java", lambda: false)
    with pytest.raises(StreamgaugeError, match=r"^the local broker cannot format its storage; see \S+server\.log"):
        LocalBroker(tmp_path).start()


def test_a_stranger_on_the_port_is_not_taken_for_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: dict[str, Any]
) -> None:
    """Somebody is quicker between the look at the port and Kafka's own: the answer of another cluster is no answer."""
    port = int(broker["bootstrap.servers"].partition(":")[2])
    monkeypatch.setattr("ops.broker.launch.check_port", lambda _: None)
    with pytest.raises(StreamgaugeError, match="is in use by another process"):
        LocalBroker(tmp_path / "late", port).start()
    assert AdminClient(broker).list_topics(timeout=10).topics is not None
