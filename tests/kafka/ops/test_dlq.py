"""Dead letters: listed, shown, sent back once, ever."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from ops.cli import run
from ops.kafka import client_logger, connect
from ops.letters import Letters
from ops.resend import Resender
from schemas.errors import StreamgaugeError
from schemas.sites import SITES
from schemas.wire import (
    LETTER_FILE,
    LETTER_GROUP,
    LETTER_LINE,
    LETTER_MESSAGE,
    LETTER_OFFSET,
    LETTER_PARTITION,
    LETTER_TOPIC,
    ORIGIN,
    partition_of,
)
from sinks.committed import CommittedReader, committed_spans

from .conftest import PARTITIONS, Program

GOOD = b'{"id":"%s","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}'
Write = Callable[..., None]


@pytest.fixture
def write(sites: dict[str, Any]) -> Write:
    """Write a dead letter; its id is 0-N for the N-th."""

    def letter(value: bytes, reason: str, **headers: bytes) -> None:
        producer = Producer(sites)
        producer.produce("dlq.sites", value, b"k", 0, headers=[(LETTER_MESSAGE, reason.encode()), *headers.items()])
        producer.flush(20)

    return letter


def by_producer(line: int) -> dict[str, bytes]:
    return {LETTER_FILE: b"events.jsonl", LETTER_LINE: b"%d" % line}


def by_worker(offset: int) -> dict[str, bytes]:
    return {
        LETTER_TOPIC: b"sites",
        LETTER_PARTITION: b"0",
        LETTER_OFFSET: b"%d" % offset,
        LETTER_GROUP: b"streamgauge-sites",
    }


def sent(kafka: dict[str, Any]) -> list[Any]:
    """The committed records of the input topic."""
    admin = connect(kafka)
    spans = committed_spans(admin, {"sites": PARTITIONS})
    with CommittedReader(kafka, client_logger()) as reader:
        batches = reader.read({place: span.start for place, span in spans.items()}, spans)
        return [message for batch in batches for message in batch]


def test_letters_are_listed_by_reason_and_as_objects(write: Write, streamgauge: Program) -> None:
    """The table for people sorts by reason; the objects come in the order in which they were written."""
    write(b"{", "truncated", **by_producer(12))
    write(b"{}", "missing id", **by_producer(13))
    write(b"\xff", "truncated", **by_worker(5))
    ended = streamgauge("dlq", "list", "sites")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["ID", "0-1", "0-0", "0-2"]
    assert "3 dead letters of sites" in ended.err
    objects = streamgauge("dlq", "list", "sites", "--json").lines
    assert [letter["id"] for letter in objects] == ["0-0", "0-1", "0-2"]
    assert list(objects[0]) == [
        "id", "reason", "file", "line", "topic", "partition", "offset", "time", "bytes", "value",
    ]  # fmt: skip
    assert (objects[0]["file"], objects[0]["line"], objects[0]["topic"]) == ("events.jsonl", 12, None)
    assert (objects[2]["file"], objects[2]["topic"], objects[2]["offset"]) == (None, "sites", 5)
    assert base64.b64decode(objects[2]["value"]) == b"\xff"
    assert [o["id"] for o in streamgauge("dlq", "list", "sites", "--json", "--reason", "missing").lines] == ["0-1"]


def test_no_letters_and_no_topic_are_an_empty_list(streamgauge: Program) -> None:
    ended = streamgauge("dlq", "list", "sites")
    assert (ended.code, ended.out, ended.err) == (0, "", "0 dead letters of sites\n")


def test_a_letter_is_shown_byte_for_byte(
    write: Write, sites: dict[str, Any], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    r"""On stdout is the record alone, so `dlq show … > record` gives it back, \0, CR and all."""
    value = b"\xff\x00\r\n{"
    write(value, "not JSON", **by_producer(3))
    code = run(["dlq", "show", "sites", "0-0", "-b", sites["bootstrap.servers"]])
    out, err = capsysbinary.readouterr()
    assert (code, out) == (0, value)
    assert b"reason:    not JSON" in err
    assert b"file:      events.jsonl" in err


def test_a_letter_that_is_not_there_is_exit_1(write: Write, streamgauge: Program) -> None:
    write(b"{", "truncated")
    for letter in ("0-1", "7-0"):
        ended = streamgauge("dlq", "show", "sites", letter)
        assert (ended.code, ended.out) == (1, "")
        assert f"no dead letter {letter} in dlq.sites" in ended.err


def test_letters_are_sent_back_once_ever(write: Write, streamgauge: Program, sites: dict[str, Any]) -> None:
    """A good one goes where its own key belongs, with its origin; what is bad still is a new letter, and exit 3."""
    write(GOOD % b"a", "too late", **by_producer(4))
    write(GOOD % b"b", "wrong partition", **by_worker(9))
    write(b"{", "truncated", **by_producer(5))
    first = streamgauge("dlq", "replay", "sites")
    assert first.code == 3
    assert "accepted 2, rejected 1" in first.err
    again = streamgauge("dlq", "list", "sites", "--json").lines
    assert [(letter["id"], letter["line"]) for letter in again] == [("0-3", 5)]
    second = streamgauge("dlq", "replay", "sites", "--json")
    assert second.lines == [{"stream": "sites", "accepted": 0, "rejected": 1}]
    records = sent(sites)
    assert sorted(record.value() for record in records) == [GOOD % b"a", GOOD % b"b"]
    assert {record.partition() for record in records} == {partition_of(b"7", PARTITIONS)}
    assert {record.key() for record in records} == {b"7"}
    assert [(ORIGIN, b"events.jsonl:4")] in [record.headers() for record in records]


def test_a_workers_letter_that_is_rejected_again_keeps_its_place(write: Write, streamgauge: Program) -> None:
    """So that the next replay still knows that it is in the topic's form, not in that of a file."""
    write(b"[]", "no object", **by_worker(9))
    assert streamgauge("dlq", "replay", "sites").code == 3
    (again,) = streamgauge("dlq", "list", "sites", "--json").lines
    assert (again["id"], again["file"], again["topic"], again["offset"]) == ("0-1", None, "sites", 9)


def test_chosen_letters_are_sent_back(write: Write, streamgauge: Program, sites: dict[str, Any]) -> None:
    """By id or by reason; an id that was sent back, and one that is not there, say so."""
    for name in (b"a", b"b", b"c", b"d"):
        write(GOOD % name, "odd" if name in b"cd" else "even")
    assert streamgauge("dlq", "replay", "sites", "0-1", "0-1").code == 0
    again = streamgauge("dlq", "replay", "sites", "0-1")
    assert (again.code, again.err) == (0, "0-1 was sent back already\naccepted 0, rejected 0\n")
    assert streamgauge("dlq", "replay", "sites", "0-0", "0-99").code == 1
    assert streamgauge("dlq", "replay", "sites", "--reason", "odd").code == 0
    assert sorted(record.value() for record in sent(sites)) == [GOOD % b"b", GOOD % b"c", GOOD % b"d"]


def test_lost_input_is_nothing_to_send(write: Write, streamgauge: Program, sites: dict[str, Any]) -> None:
    write(b"", "lost input [3, 9)", **by_worker(3))
    ended = streamgauge("dlq", "replay", "sites")
    assert (ended.code, sent(sites)) == (0, [])
    assert "lost input" in ended.err


def test_of_two_replays_at_once_each_letter_goes_once(write: Write, sites: dict[str, Any]) -> None:
    """Sums: the former has sent all and not committed when the latter begins. 3 letters, 3 records, one error."""
    for name in (b"a", b"b", b"c"):
        write(GOOD % name, "too late")
    admin = connect(sites)
    former = Resender(sites, SITES, "jsonl", PARTITIONS)
    commit = former._commit  # pyright: ignore[reportPrivateUsage]
    latter: list[Resender] = []

    def late_commit() -> None:
        latter.append(Resender(sites, SITES, "jsonl", PARTITIONS))
        with Letters(sites, admin, SITES) as letters:
            latter[0].send(letter for letter in letters.all() if not letters.sent_back(letter))
        commit()

    former._commit = late_commit  # pyright: ignore[reportPrivateUsage]
    with Letters(sites, admin, SITES) as letters, pytest.raises(StreamgaugeError, match="another dlq replay of sites"):
        former.send(list(letters.all()))
    assert (former.accepted, latter[0].accepted) == (0, 3)
    assert sorted(record.value() for record in sent(sites)) == [GOOD % b"a", GOOD % b"b", GOOD % b"c"]


def test_a_replay_that_is_interrupted_has_sent_nothing_twice(write: Write, sites: dict[str, Any]) -> None:
    """Ctrl-C in the middle of a transaction: it is aborted, and the same command again sends all."""
    for name in (b"a", b"b"):
        write(GOOD % name, "too late")
    admin = connect(sites)
    resender = Resender(sites, SITES, "jsonl", PARTITIONS)

    def interrupted() -> None:
        raise KeyboardInterrupt

    resender._commit = interrupted  # pyright: ignore[reportPrivateUsage]
    with Letters(sites, admin, SITES) as letters, pytest.raises(KeyboardInterrupt):
        resender.send(letters.all())
    assert sent(sites) == []
    again = Resender(sites, SITES, "jsonl", PARTITIONS)
    with Letters(sites, admin, SITES) as letters:
        again.send(letter for letter in letters.all() if not letters.sent_back(letter))
    assert len(sent(sites)) == again.accepted == 2
