"""``streamgauge replay --wait``: it returns when a worker has counted what was sent, and not before."""

from __future__ import annotations

import json

from tests.kafka.producers.conftest import Shell, event, result
from tests.waiting import until


def test_waiting_without_a_worker_ends_with_the_time(shell: Shell) -> None:
    """Exit code 1 and a line that says what to look at; what was sent is kept. Nothing sent is nothing to wait for."""
    done = shell.run("replay", "sites", "-", "--wait", "--timeout", "500ms", stdin=event(1))
    assert done.returncode == 1
    assert b"1 of the records sent were not counted within 0.5 s" in done.stderr
    assert b"accepted 1, rejected 0" in done.stderr
    assert shell.values() == [event(1)]
    assert shell.run("replay", "sites", "-", "--wait", "--timeout", "500ms", stdin=b"\n").returncode == 0


def test_an_interrupt_ends_the_wait_and_keeps_what_was_sent(shell: Shell) -> None:
    """There is nothing to go on with: the message says so."""
    (shell.folder / "a.jsonl").write_bytes(event(1))
    running = shell.start("replay", "sites", "a.jsonl", "--wait")
    until(lambda: shell.values() == [event(1)])
    assert running.interrupt() == 130
    assert "everything was sent and is kept" in running.stderr
    assert "go on with" not in running.stderr


def test_what_was_sent_is_counted_and_readable_when_waiting_returns(shell: Shell) -> None:
    """What the worker dead-letters of it counts as rejected, with the place of the record; older letters do not."""
    worker = shell.start("worker", "sites", "--id", "w", "--retention", "10s", "--http", "off")
    for run in (1, 2):
        lines = [
            event(1000 * run),
            event(1000 * run + 1),
            event(run),
            b"bad",
            event(1000 * run + 2, site=f"other{run}"),
        ]
        done = shell.run("replay", "sites", "-", "--wait", "--json", stdin=b"\n".join(lines))
        assert done.returncode == 3, (done.stderr, worker.stderr)
        told = result(done)
        assert (told["accepted"], told["rejected"]) == (3, 2)
        ours, theirs = told["dead_letters"]
        assert (ours["line"], ours["topic"]) == (4, None)
        assert (theirs["reason"], theirs["file"], theirs["line"], theirs["topic"]) == ("too late", "-", 3, "sites")
        (late,) = [record for record in shell.records("sites") if record.value == event(run)]
        assert (theirs["partition"], theirs["offset"]) == (late.partition, late.offset)
        newest = {record.key: json.loads(record.value) for record in shell.records("sites.summaries")}
        assert newest[b"7"]["emails"] == 2 * run
        assert newest[b"other%d" % run]["emails"] == 1
