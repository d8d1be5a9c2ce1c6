"""The comparison with peers: what can be tried of it without Kafka, and without any peer."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ops.registry import GROUP
from tests.bench.peers import install, pace
from tests.bench.peers.answer import Answer
from tests.bench.peers.engines import ENGINES, Job
from tests.bench.peers.ours import streamgauge_visitors
from tests.bench.peers.picture import Bar, bars

LOCKS = sorted(install.HERE.glob("*/requirements.lock"))
EVENT = b'{"type":"%s","from":"%s","site_id":"7"}'


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_every_package_of_a_peer_is_named_by_its_hashes(lock: Path) -> None:
    """And by no index; what was asked for is among them, in the version that was asked for."""
    text = lock.read_text()
    assert not re.search(r"^\s*-(?!-hash=sha256:)", text, re.MULTILINE)
    assert "://" not in text
    for entry in re.split(r"\n(?=[a-z0-9])", text):
        assert "--hash=sha256:" in entry, entry[:60]
    for wanted in lock.with_suffix(".in").read_text().split():
        assert re.search(rf"^{re.escape(wanted)}(==|\s)", text, re.MULTILINE), wanted


def test_every_engine_has_a_program_and_a_lock() -> None:
    """Ours has the project's own."""
    for engine in ENGINES:
        files = {path.name for path in (install.HERE / engine.name).iterdir()}
        assert files & {"requirements.lock", "jars.lock", "pyproject.toml"}, engine.name
    assert {path.parent.name for path in LOCKS} <= {engine.name for engine in ENGINES}


def test_what_is_half_installed_is_not_taken_for_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run begins anew, and says why the last one did not get there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(install, "HERE", tmp_path / "peers")
    (tmp_path / "peers" / "quix").mkdir(parents=True)
    (tmp_path / "peers" / "quix" / "requirements.lock").write_text("no-such-file-anywhere @ file:///nowhere\n")
    with pytest.raises(install.Unavailable, match=r"python.* failed: "):
        install.venv("quix")
    assert list(install.cache().iterdir()) == []


def test_without_a_java_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The others go on; the table says who is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(install.Unavailable, match="there is no java and no javac and no mvn on the path"):
        install.kafka_streams()


def test_our_entry_point_names_the_stream_that_is_there() -> None:
    """What `ops.registry` loads from the installed plug-in."""
    text = (Path(streamgauge_visitors.__file__).parent / "pyproject.toml").read_text()
    (entry,) = tomllib.loads(text)["project"]["entry-points"][GROUP].items()
    assert entry == (streamgauge_visitors.VISITORS.name, "streamgauge_visitors:VISITORS")


def test_the_answer_counts_messages_and_each_visitor_once() -> None:
    answer = Answer()
    for kind, sender in ((b"message", b"anna"), (b"message", b"anna"), (b"status", b"otto"), (b"message", b"bert")):
        answer.count(EVENT % (kind, sender))
    assert (answer.of("7"), answer.of("8"), answer.messages) == ((3, 2), (0, 0), 3)


def test_every_engine_is_told_its_commit_interval_in_seconds_and_their_fractions(tmp_path: Path) -> None:
    assert Job("", "", "", "", tmp_path, commit_s=0.1).environment["COMMIT_S"] == "0.1"
    assert Job("", "", "", "", tmp_path).environment["COMMIT_S"] == "1"


def test_a_message_of_the_loop_is_due_with_its_record_and_a_status_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay there before the loop has its place among a site's messages, so that these are counted right."""
    kinds = [b"message", b"status", b"message", b"status", b"message", b"message"]
    path = tmp_path / "events"
    path.write_bytes(b"".join(EVENT % (kind, b"anna") + b"\n" for kind in kinds))
    monkeypatch.setattr(pace, "BACKLOG_S", 2)
    monkeypatch.setattr(pace, "WARM_S", 1)
    monkeypatch.setattr(pace, "MEASURED_S", 2)
    feed = pace.Feed(path, rate=1)
    assert [record.value for record in feed.records] == [EVENT % (kind, b"anna") for kind in kinds[2:5]]
    assert feed.due([10.0, 11.0, 12.0]) == {"7": [pace.BEFORE, 10.0, 12.0]}
    assert feed.answer.of("7") == (3, 1)


def test_the_picture_escapes_what_it_is_told_and_draws_the_longest_bar_in_full() -> None:
    picture = bars("A & B", [Bar("<ours>", 100.0, ours=True), Bar("none", 0.0)])
    assert "A &amp; B" in picture
    assert "&lt;ours&gt;" in picture
    assert 'width="450.0"' in picture
    assert 'width="1.0"' in picture
