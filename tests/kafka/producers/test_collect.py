"""``streamgauge collect`` on a real broker, to the letter: what is sent, what is rejected, what is answered."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ops.samples import sample_of
from schemas.wire import partition_of
from tests.kafka.producers.collecting import Server
from tests.kafka.producers.conftest import Shell, event
from tests.waiting import until

SAMPLE = sample_of("sessions")
LINES = SAMPLE.paths[0].read_bytes().splitlines() if SAMPLE else []
NOTHING = {"accepted": 0, "rejected": 0, "errors": []}


@pytest.fixture(scope="module")
def shell(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    """One for all tests here, on a broker that was emptied once."""
    clean(broker)
    opened = Shell(broker, tmp_path_factory.mktemp("collect"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here: no request may spoil the next."""
    own = Shell(shell.kafka, tmp_path_factory.mktemp("server"))
    yield Server(own)
    own.close()


def letters(shell: Shell, stream: str, file: str) -> list[tuple[int, bytes, bytes]]:
    """Line, bytes and reason of the dead letters from ``file``."""
    return sorted(
        (int(record.headers["__dlq.errors.line"]), record.value, record.headers["__dlq.errors.message"])
        for record in shell.records(f"dlq.{stream}")
        if record.headers.get("__dlq.errors.file") == file.encode()
    )


def test_sessions_over_http_give_the_known_answer(shell: Shell, server: Server) -> None:
    """Original bytes, keys, partitions, origins are those of `replay`; a worker makes the report of them."""
    text = b"\n".join(LINES)
    answer = server.post("/sessions", text)
    assert (answer.status, answer.told) == (200, {"accepted": len(LINES), "rejected": 0, "errors": []})
    records = shell.records("sessions")
    keys = [json.loads(line)["sessionID"].encode() for line in LINES]
    places = sorted((partition_of(key, 8), key, line) for key, line in zip(keys, LINES, strict=True))
    assert sorted((record.partition, record.key, record.value) for record in records) == places
    origin = answer.headers["X-Request-Id"].encode()
    numbers = sorted(int(record.headers["origin"].removeprefix(origin + b":")) for record in records)
    assert numbers == list(range(1, len(LINES) + 1))
    shell.start("worker", "sessions", "--id", "w", "--epoch", "100ms")
    report = SAMPLE.answer() if SAMPLE else b""
    until(lambda: shell.run("report", "sessions").stdout == report, "the worker has counted them")


def test_however_a_body_comes_all_of_its_lines_are_taken(server: Server) -> None:
    """With its length, in chunks, packed, behind a byte-order mark, without a last line end, after `Expect`."""
    text = b"\xef\xbb\xbf" + b"\r\n\r\n".join(LINES)
    whole = {"accepted": len(LINES), "rejected": 0, "errors": []}
    parts = [text[at : at + 77] for at in range(0, len(text), 77)]
    assert server.post("/streams/sessions", text).told == whole
    assert server.post("/streams/sessions", iter(parts)).told == whole
    assert server.post("/streams/sessions", gzip.compress(text), Content_Encoding="gzip").told == whole
    packed = zstandard.compress(text)
    assert server.post("/sessions?a=b", iter([packed[:99], packed[99:]]), Content_Encoding="zstd").told == whole
    assert server.post("/sessions", text, Expect="100-continue").told == whole
    for nothing in (b"", b"\n \r\n", b"\xef\xbb\xbf"):
        assert server.post("/sessions", nothing) [::2] == (200, NOTHING)  # fmt: skip


def test_bad_lines_become_the_letters_that_replay_makes(shell: Shell, server: Server) -> None:
    """Bytes, line and reason; the file is the request, as its answer calls it. Good lines between them are taken."""
    text = b"\n".join([b"no", event(1), b"", b'{"id":"\xff"}', b"  ", event(2), b'{"id":1}', b"7391"])
    (shell.folder / "bad.jsonl").write_bytes(text)
    assert shell.run("replay", "sites", "bad.jsonl").returncode == 3
    answer = server.post("/streams/sites", text)
    expected = letters(shell, "sites", "bad.jsonl")
    assert (answer.status, answer.told["accepted"], answer.told["rejected"]) == (200, 2, 4)
    assert letters(shell, "sites", answer.headers["X-Request-Id"]) == expected
    assert [(error["line"], error["reason"].encode()) for error in answer.told["errors"]] == [
        (line, reason) for line, _, reason in expected
    ]
    only_bad = server.post("/streams/sites", b"x\n" * 1500)
    assert (only_bad.status, only_bad.told["accepted"], only_bad.told["rejected"]) == (400, 0, 1500)
    assert [error["line"] for error in only_bad.told["errors"]] == list(range(1, 1001))


def test_a_line_over_the_limit_is_413_with_what_was_taken_before_it(shell: Shell, server: Server) -> None:
    """It is a dead letter as `replay` makes one; what comes after it is not read."""
    huge = b'{"id":"' + b"x" * 1_500_000
    answer = server.post("/streams/sites", b"\n".join([event(1), huge, event(2)]))
    assert (answer.status, answer.told["accepted"], answer.told["rejected"]) == (413, 1, 1)
    assert [error["line"] for error in answer.told["errors"]] == [2]
    assert "lines from 3 on were not taken" in answer.told["error"]
    ((line, value, reason),) = letters(shell, "sites", answer.headers["X-Request-Id"])
    assert (line, value) == (2, huge[:64_000])
    assert reason.startswith(b"the record is 1500007 bytes")


def test_what_cannot_be_taken_is_refused_with_one_line(server: Server) -> None:
    """Each in the same shape; paths that lead elsewhere lead nowhere."""
    for path in ("/streams/session", "/streams/", "/streams/..%2f..%2fetc", "/streams/sites%00", "/", "/streams/a/b"):
        answer = server.post(path, b"x")
        assert (answer.status, {**answer.told, "error": ""}) == (404, {**NOTHING, "error": ""}), path
        assert "sessions" in answer.told["error"]
    refused = server.post("/sessions", b"", method="PUT")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert server.post("/sessions", b"x", Content_Encoding="br").status == 415
    damaged = server.post("/sessions", gzip.compress(b"\n".join(LINES))[:3000], Content_Encoding="gzip")
    assert (damaged.status, damaged.told["rejected"]) == (400, 0)
    assert damaged.told["accepted"] > 50
    assert server.post("/ready", b"", method="GET").status == 200
    assert server.post("/live", b"", method="GET").status == 200


def test_what_is_no_http_costs_a_connection_and_nothing_else(server: Server) -> None:
    """A chunk without a length, headers without an end, a line that is no request."""
    for noise in (
        b"POST /sessions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /sessions HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"hello\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(noise)
            assert b" 400 " in client.recv(100)
    gone = server.open("/sessions")
    gone.send(LINES[0] + b"\n" + LINES[1][:20])
    gone.connection.close()  # in the middle of a line: it is nobody's record
    assert server.post("/sessions", LINES[0]).told["accepted"] == 1
    assert "Traceback" not in server.running.stderr
    assert "internal error" not in server.running.stderr


def test_slow_clients_do_not_hold_up_fast_ones(server: Server) -> None:
    """Fifty that have sent half a line, and nothing since; each ends in its own time."""
    slow = [server.open("/sessions") for _ in range(50)]
    for client in slow:
        client.send(LINES[0][:10])
    for _ in range(5):
        assert server.post("/sessions", b"\n".join(LINES)).told["accepted"] == len(LINES)
    for client in slow:
        client.send(LINES[0][10:] + b"\n" + LINES[1])
        assert client.end().told["accepted"] == 2


def test_json_for_a_stream_of_csv_files_is_sent_back_as_json(shell: Shell, server: Server) -> None:
    """A rejected line would be a good row of CSV, of a product that nobody has."""
    good = b'{"op": "ingest", "name": "a", "sku": "b", "description": ""}'
    bad = b'{"op": "insert", "name": "a"}, x'
    answer = server.post("/streams/products", good + b"\n" + bad)
    assert (answer.told["accepted"], answer.told["rejected"]) == (1, 1)
    assert [record.value for record in shell.records("products")] == [good]
    again = shell.run("dlq", "replay", "products")
    assert again.returncode == 3, again.stderr
    assert [record.value for record in shell.records("products")] == [good]
    first, second = letters(shell, "products", answer.headers["X-Request-Id"])
    assert first == second, "it is the same letter again, with the same reason"


def test_tokens_and_the_size_of_bodies_are_kept_to(shell: Shell, tmp_path: Path) -> None:
    """From the command line and from a file; no token is shown, wherever one looks."""
    (tmp_path / "tokens").write_text("from-file\n")
    own = Shell(shell.kafka, tmp_path)
    words = ["--token", "t0ken-1", "--token", "t0ken-2", "--token-file", "tokens", "--max-body", "1000", "-v"]
    server = Server(own, *words)
    assert server.post("/sessions", LINES[0]).status == 401
    assert server.post("/sessions", LINES[0]).headers["WWW-Authenticate"] == "Bearer"
    assert server.post("/sessions", LINES[0], Authorization="Bearer t0ken").status == 403
    for token in ("t0ken-1", "t0ken-2", "from-file"):
        assert server.post("/sessions", LINES[0], Authorization=f"Bearer {token}").status == 200
    text = b"\n".join(LINES)
    whole = text[:1000].count(b"\n")
    for body, encoding in ((text, "identity"), (iter([text]), "identity"), (gzip.compress(text), "gzip")):
        answer = server.post("/sessions", body, Authorization="Bearer t0ken-1", Content_Encoding=encoding)
        assert (answer.status, answer.told["accepted"], answer.told["rejected"]) == (413, whole, 0)
    assert server.post("/sessions", text[:1000], Authorization="Bearer t0ken-1").status == 200
    assert server.running.interrupt() == 130
    assert "t0ken" not in server.running.stderr
    own.close()


def test_what_keeps_it_from_starting_is_one_line(shell: Shell, server: Server, tmp_path: Path) -> None:
    """A port in use, a token file that is not there or empty, words that do not fit."""
    (tmp_path / "empty").write_text("")
    for words, code, reason in (
        (["--listen", f"127.0.0.1:{server.port}"], 1, b"cannot listen on 127.0.0.1:"),
        (["--token-file", "nowhere"], 1, b"cannot read the token file nowhere: No such file"),
        (["--token-file", str(tmp_path / "empty")], 1, b"holds no token"),
        (["--token", "s3 cret"], 2, b"a token is made of"),
        (["--max-body", "0"], 2, b"less than 1"),
        (["--listen", "8080"], 2, b"not HOST:PORT"),
    ):
        done = shell.run("collect", *words)
        assert (done.returncode, done.stderr.count(b"\n")) == (code, 1), done.stderr
        assert reason in done.stderr
        assert b"s3" not in done.stderr
