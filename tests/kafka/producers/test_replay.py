"""``streamgauge replay`` on a real broker: what is sent, what is rejected, and what an end midway leaves."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from ops.samples import sample_of
from schemas.wire import partition_of
from tests.kafka.producers.conftest import Shell, event, result
from tests.waiting import until

(SAMPLE,) = sample_of("sites").paths  # pyright: ignore[reportOptionalMemberAccess]


def test_every_line_travels_as_it_is(shell: Shell) -> None:
    """Plain, packed, and by stdin: original bytes, the site as key, its partition as Java has it, file and line."""
    text = SAMPLE.read_bytes()
    lines = text.splitlines()
    (shell.folder / "b.jsonl.gz").write_bytes(gzip.compress(text))
    (shell.folder / "c.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    done = shell.run("replay", "sites", str(SAMPLE), "b.jsonl.gz", "c.jsonl.zst", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(b"accepted 40, rejected 0, bytes %d, " % (4 * sum(map(len, lines))))
    assert done.stdout == b""
    records = shell.records("sites")
    assert sorted(record.value for record in records) == sorted(4 * lines)
    assert {record.key for record in records} == {b"1"}
    assert {record.partition for record in records} == {partition_of(b"1", 8)}
    names = [str(SAMPLE), "b.jsonl.gz", "c.jsonl.zst", "-"]
    origins = [f"{name}:{line}".encode() for name in names for line in range(1, 11)]
    assert [record.headers["origin"] for record in records] == origins


def test_every_key_lies_where_the_worker_expects_it(shell: Shell) -> None:
    """The client's partitioner and ours agree, for texts of all lengths and scripts."""
    sites = [*(str(number) for number in range(300)), "é", "漢字", "🙂", "a" * 1000, " ", "\u0000"]
    text = b"\n".join(event(number, site) for number, site in enumerate(sites))
    assert shell.run("replay", "sites", "-", stdin=text).returncode == 0
    records = shell.records("sites")
    assert sorted(record.key or b"" for record in records) == sorted(site.encode() for site in sites)
    assert all(record.partition == partition_of(record.key or b"", 8) for record in records)


def test_a_bad_line_is_a_dead_letter_and_the_rest_goes_on(shell: Shell) -> None:
    """Original bytes, file, line and reason; of a huge one the head, its length and digest. Exit code 3."""
    huge = b'{"id":"' + b"x" * 1_500_000
    bad = [b'{"id":"\xff"}', b"7391", huge]
    text = b"\xef\xbb\xbf" + event(1) + b"\r\n\r\n" + b"\n".join([*bad, b"   ", event(7)])
    (shell.folder / "mixed.jsonl").write_bytes(text)
    done = shell.run("replay", "sites", "mixed.jsonl", "--json")
    assert done.returncode == 3
    assert b"accepted 2, rejected 3" in done.stderr
    assert b"streamgauge dlq list sites" in done.stderr
    assert shell.values() == [event(1), event(7)]
    letters = shell.records("dlq.sites")
    by_line = {int(letter.headers["__dlq.errors.line"]): letter for letter in letters}
    assert sorted(by_line) == [3, 4, 5]
    assert [by_line[line].value for line in (3, 4)] == bad[:2]
    assert {letter.headers["__dlq.errors.file"] for letter in letters} == {b"mixed.jsonl"}
    assert b"not UTF-8" in by_line[3].headers["__dlq.errors.message"]
    assert by_line[5].value == huge[:64_000]
    assert by_line[5].headers["__dlq.errors.length"] == b"%d" % len(huge)
    assert by_line[5].headers["__dlq.errors.sha256"] == hashlib.sha256(huge).hexdigest().encode()
    told = result(done)
    shown = [(letter["id"], letter["file"], letter["line"]) for letter in told.pop("dead_letters")]
    assert sorted(shown) == sorted((f"{r.partition}-{r.offset}", "mixed.jsonl", n) for n, r in by_line.items())
    assert told.pop("seconds") > 0
    assert told == {"stream": "sites", "accepted": 2, "rejected": 3, "bytes": len(event(1)) + len(event(7))}


def test_the_largest_record_and_the_longest_key_are_taken(shell: Shell) -> None:
    """1,000,000 bytes that do not compress pass the broker's own limit; a key that would not fit is named."""
    noise = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(20_000))
    largest = event(1, data={"message": noise[: 1_000_000 - len(event(1, data={"message": ""}))]})
    assert len(largest) == 1_000_000
    too_long = event(2, site=noise[:600_000])
    done = shell.run("replay", "sites", "-", "--json", stdin=b"\n".join([largest, too_long, event(3)]))
    assert shell.values() == sorted([largest, event(3)])
    assert ["with its key" in letter["reason"] for letter in result(done)["dead_letters"]] == [True]


def test_the_command_that_an_interrupt_prints_sends_exactly_the_rest(shell: Shell) -> None:
    """In the second file of a directory, at a rate, with a blank and a bad line: nothing twice, nothing lost."""
    logs = shell.folder / "logs $1"
    logs.mkdir()
    lines = [event(number) for number in range(9000)]  # fifteen seconds at that rate: it will be interrupted
    (logs / "a").write_bytes(b"\n".join(lines[:300]) + b"\n")
    (logs / "b").write_bytes(b"\nbad\n" + b"\n".join(lines[300:]))
    running = shell.start("replay", "sites", "--rate", "600", "logs $1", "-X", "linger.ms=1")
    until(lambda: len(shell.records("dlq.sites")) == 1 and len(shell.records("sites")) > 350)
    assert running.interrupt() == 130
    first = len(shell.records("sites"))
    assert 350 < first < 9000
    assert f"accepted {first}, rejected 1" in running.stderr
    again = shell.again(running.stderr.replace("--rate 600 ", ""))
    assert again.returncode == 0, again.stderr
    assert f"accepted {9000 - first}, rejected 0".encode() in again.stderr
    assert shell.values() == sorted(lines)


def test_an_interrupt_ends_the_wait_for_input(shell: Shell) -> None:
    """What came through the pipe before is acknowledged; SIGTERM does the same."""
    running = shell.start("replay", "sites", "-")
    assert running.process.stdin is not None
    running.process.stdin.write(event(1) + b"\n")
    running.process.stdin.flush()
    until(lambda: shell.values() == [event(1)])
    running.process.terminate()
    assert running.process.wait(20) == 130
    assert "--from-line 2 -" in running.stderr


def test_a_damaged_file_ends_with_what_could_be_read_of_it(shell: Shell) -> None:
    """Exit code 1, not 3; repaired, the printed command sends the rest."""
    text = b"bad\n" + b"".join(event(number, site=f"{number * 7919}") + b"\n" for number in range(5000))
    packed = gzip.compress(text)
    path = shell.folder / "torn.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    done = shell.run("replay", "sites", "torn.jsonl.gz")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1].startswith("streamgauge: torn.jsonl.gz is damaged: it ends too early")
    assert 1000 < len(shell.values()) < 5000
    path.write_bytes(packed)
    assert shell.again(done.stderr.decode()).returncode == 0
    assert shell.values() == sorted(text.splitlines()[1:])


def test_an_outage_of_the_broker_is_ridden_out(fresh_broker: Callable[[], Any], tmp_path: Path) -> None:
    """Killed and started again midway: everything is accepted, and is there once."""
    broker = fresh_broker()
    shell = Shell(broker.kafka, tmp_path)
    lines = [event(number, site=str(number)) for number in range(3000)]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    running = shell.start("replay", "sites", "--rate", "1000", "events.jsonl")
    until(lambda: len(shell.records("sites")) > 200)
    broker.kill()
    broker.restart()
    assert running.process.wait(60) == 0, running.stderr
    assert "accepted 3000, rejected 0" in running.stderr
    assert shell.values() == sorted(lines)
    shell.close()
