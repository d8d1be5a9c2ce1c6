"""Kafka's jars: fetched once, checked always, refused when they are not what the lock says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from ops.broker.jars import Jar, ensure
from schemas.errors import StreamgaugeError

CONTENT = {f"part-{number}": f"content of part {number}".encode() for number in range(5)}
JARS = [Jar("org.example", name, "1", len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items()]


class Registry:
    """Serves `CONTENT`, or what it is told to serve instead."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.content = dict(CONTENT)
        self.failures: list[Exception] = []

    def fetch(self, jar: Jar, directory: Path, received: Callable[[int], None]) -> Path:
        self.served.append(jar.artifact)
        if self.failures:
            raise self.failures.pop()
        directory.mkdir(parents=True)
        path = directory / "download"
        path.write_bytes(self.content[jar.artifact])
        received(path.stat().st_size)
        return path


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_jar_is_fetched_once_and_used_offline_from_then_on(registry: Registry, tmp_path: Path) -> None:
    """The second start asks nobody."""
    paths = ensure(tmp_path, JARS, registry.fetch)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())

    registry.failures = [AssertionError("asked again")]
    assert ensure(tmp_path, JARS, registry.fetch) == paths
    assert sorted(registry.served) == sorted(CONTENT)


def test_a_wrong_sum_is_refused_and_named(registry: Registry, tmp_path: Path) -> None:
    """What the registry or a proxy changed is never run, and never kept."""
    registry.content["part-3"] = b"something else"
    with pytest.raises(StreamgaugeError, match=r"part-3-1\.jar is refused: .*SHA-256 .* the lock says"):
        ensure(tmp_path, JARS, registry.fetch)
    assert not (tmp_path / "part-3-1.jar").exists()
    assert not (tmp_path / "fetching").exists()


def test_a_jar_that_was_changed_on_disk_is_fetched_again(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A half-written or damaged file is noticed at its next use, and said."""
    ensure(tmp_path, JARS, registry.fetch)
    (tmp_path / "part-2-1.jar").write_bytes(CONTENT["part-2"][:-1])
    registry.served.clear()

    assert ensure(tmp_path, JARS, registry.fetch)[2].read_bytes() == CONTENT["part-2"]
    assert registry.served == ["part-2"]
    assert "damaged, fetched again: part-2-1.jar" in capsys.readouterr().err


def test_a_broken_connection_is_tried_again(registry: Registry, tmp_path: Path) -> None:
    """One hiccup among fifty files is likely."""
    registry.failures = [requests.ConnectionError("reset"), requests.Timeout("slow")]
    ensure(tmp_path, JARS, registry.fetch)
    assert len(registry.served) == len(JARS) + 2


def test_a_full_disk_is_named_with_the_file(registry: Registry, tmp_path: Path) -> None:
    """The operating system's own words, in one line."""
    registry.failures = [OSError(28, "No space left on device")]
    with pytest.raises(StreamgaugeError, match=r"cannot fetch part-\d-1\.jar: No space left on device"):
        ensure(tmp_path, JARS, registry.fetch)


def test_two_who_need_the_jars_at_once_fetch_them_once(registry: Registry, tmp_path: Path) -> None:
    """The second waits for the first and finds all there."""
    threads = [threading.Thread(target=ensure, args=(tmp_path, JARS, registry.fetch)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(registry.served) == sorted(CONTENT)


def test_without_jars_and_network_the_command_says_what_is_needed(tmp_path: Path) -> None:
    """The real registry, behind a proxy that is not there."""
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "ops.start", "broker", "start", "--data", str(tmp_path / "data")],
        env={**os.environ, **nowhere, **home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    first, last = done.stderr.splitlines()
    assert first.startswith("fetching Apache Kafka ")
    assert "the registry of Java packages cannot be reached" in last
    assert last.startswith("streamgauge: cannot fetch ")
    assert "--brokers" in last
    assert not (tmp_path / "data").exists()
