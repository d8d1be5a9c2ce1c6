"""The engine as a process on a real broker: what no worker may stumble over, and what must end it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.topics import ensure
from processors.epoch import STAMP_KEY
from processors.watchdog import EXIT_FINAL
from schemas.sites import SITES
from schemas.wire import partition_of, transactional_id
from tests.kafka.processors.hung import hang
from tests.waiting import until

TOPICS = SITES.topics
WAIT_S = 60.0


@dataclass
class EngineProcess:
    """An engine in a process of its own, and what it last said of itself."""

    process: subprocess.Popen[str]
    log: Path

    def wait_for(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that is as wanted."""
        deadline = time.monotonic() + WAIT_S
        assert self.process.stdout is not None
        for line in self.process.stdout:
            status = json.loads(line)
            if what(status):
                return status
            assert time.monotonic() < deadline, f"never: {status}"
        raise AssertionError(f"the engine ended: {self.log.read_text()}")

    def wait_until_counted(self, records: int) -> dict[str, Any]:
        """All of the input is durable."""
        return self.wait_for(lambda status: status["counters"].get("records", 0) >= records)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(15)

    def end(self) -> str:
        """It ends by itself: what it said last."""
        self.process.communicate(timeout=WAIT_S)
        return self.log.read_text()


StartEngine = Callable[..., EngineProcess]


@pytest.fixture
def start_engine(kafka: dict[str, Any], tmp_path: Path) -> Iterator[StartEngine]:
    """Starts engines on one partition; whatever happens they are gone after the test."""
    ensure(kafka, SITES, 1, 1)
    yield from engines(kafka, tmp_path)


def engines(kafka: dict[str, Any], tmp_path: Path) -> Iterator[StartEngine]:
    started: list[EngineProcess] = []

    def start(instance: str = "w-0", **settings: Any) -> EngineProcess:
        settings = {
            "kafka": kafka, "state_dir": str(tmp_path / instance), "worker": "w", "instance": instance,
            "partitions": 1, "epoch_s": 0.1, **settings,
        }  # fmt: skip
        log = tmp_path / f"{instance}-{len(started)}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.kafka.processors.engine_process", json.dumps(settings)],
                stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=Path(__file__).parents[3],
            )  # fmt: skip
        started.append(EngineProcess(process, log))
        return started[-1]

    yield start
    for engine in started:
        engine.process.kill()
        engine.process.communicate()


def message(number: int, site: str = "1") -> bytes:
    return b'{"id":"m%d","type":"message","from":"v","site_id":"%b","timestamp":0,"data":{}}' % (number, site.encode())


def send(kafka: dict[str, Any], *values: bytes | None, **settings: Any) -> None:
    producer = Producer({**kafka, "message.max.bytes": 2_000_000, **settings})
    for value in values:
        producer.produce(TOPICS.input, value, b"1", 0, headers=[("origin", b"in.jsonl:7")])
    assert producer.flush(20) == 0


def read(kafka: dict[str, Any], topic: str) -> list[Any]:
    consumer = Consumer(
        {
            **kafka, "group.id": "reader", "isolation.level": "read_committed",
            "enable.auto.commit": False, "enable.partition.eof": True, "fetch.message.max.bytes": 4_000_000,
        }
    )  # fmt: skip
    found: list[Any] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while True:
            message = consumer.poll(20)
            assert message is not None, "the broker did not answer"
            if message.error():
                return found
            found.append(message)
    finally:
        consumer.close()


def newest(kafka: dict[str, Any]) -> dict[str, Any]:
    return {m.key().decode(): json.loads(m.value()) for m in read(kafka, TOPICS.summaries)}


def reasons(kafka: dict[str, Any]) -> list[tuple[bytes, str]]:
    return [
        (m.value(), dict(m.headers())["__dlq.errors.message"].decode()) for m in read(kafka, TOPICS.dead_letters)
    ]  # fmt: skip


BIG = b'{"id":"big","type":"message","from":"v","site_id":"1","timestamp":0,"data":{"message":"%b"}}' % (b"x" * 900_000)
BAD: dict[str, bytes | None] = {
    "the value is null": None,
    "the value is blank": b" \r\n",
    "Input data was truncated": b'{"id":"a"',
    "not UTF-8: invalid start byte (byte 7)": message(1).replace(b"m1", b"\xff1"),
    "JSON is malformed: invalid character (byte 65)": message(1).replace(b":0,", b":NaN,"),
    "Expected `int` <= 9223372036854775807 - at `$.timestamp`": message(1).replace(b":0,", b":99999999999999999999,"),
    "JSON is nested too deeply": message(1).replace(b'{"id"', b'{"z":' + b"[" * 10_000 + b"]" * 10_000 + b',"id"'),
    "Expected `int`, got `float` - at `$.timestamp`": message(1).replace(b":0,", b":7391.0,"),
    "Invalid value 'chat' - at `$.type`": message(1).replace(b'"message"', b'"chat"'),
    "JSON is malformed: trailing characters (byte 78)": message(1) + message(2),
}


def test_nothing_in_the_input_stops_an_engine(kafka: dict[str, Any], start_engine: StartEngine) -> None:
    """Nulls, 900 kB, broken text, NaN, huge numbers, deep nesting, two objects in one: letters; the rest is counted."""
    send(kafka, message(1), *BAD.values(), BIG, message(2))
    engine = start_engine()
    status = engine.wait_until_counted(len(BAD) + 3)
    assert newest(kafka)["1"]["emails"] == 3
    letters = {reason: value for value, reason in reasons(kafka)}
    assert letters == {reason: value or b"" for reason, value in BAD.items()}
    assert status["counters"]["dead_letters:malformed"] == len(BAD)
    headers = dict(read(kafka, TOPICS.dead_letters)[0].headers())
    assert headers["__dlq.errors.offset"] == b"1"
    assert (headers["__dlq.errors.file"], headers["__dlq.errors.line"]) == (b"in.jsonl", b"7")
    assert engine.stop() == 0


def test_a_transaction_that_hangs_is_aborted_and_counted_again(
    kafka: dict[str, Any], start_engine: StartEngine
) -> None:
    """Its coordinator has forgotten it: without that, nobody reads on, and the next epoch commits it as well."""
    send(kafka, message(0), message(1))
    engine = start_engine()
    engine.wait_until_counted(2)
    assert engine.stop() == 0
    rows = {TOPICS.changelog: [(b"\x02row", b"{}"), (STAMP_KEY, b'{"offset":9,"version":1}')]}
    hang(
        kafka,
        transactional_id(TOPICS.app, 0),
        {**rows, TOPICS.summaries: [(b"9", b"{}")], TOPICS.dead_letters: [(b"", b"?")]},
    )
    send(kafka, message(2), b"bad", message(0))
    engine = start_engine("w-1")
    engine.wait_until_counted(3)
    assert engine.stop() == 0
    assert "a transaction hangs, and is aborted" in engine.log.read_text()
    assert set(newest(kafka)) == {"1"}
    assert newest(kafka)["1"].items() >= {"emails": 3, "revision": 5}.items()
    assert {one.key() for one in read(kafka, TOPICS.changelog)}.isdisjoint({b"\x02row"})
    assert [one.value() for one in read(kafka, TOPICS.dead_letters)] == [b"bad"]


def test_compressed_batches_and_aborted_transactions_are_read_rightly(
    kafka: dict[str, Any], start_engine: StartEngine
) -> None:
    """Every codec is opened; what was aborted is never counted; the markers are no gaps."""
    number = iter(range(1000))
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        send(kafka, *(message(next(number)) for _ in range(50)), **{"compression.type": codec, "linger.ms": 50})
    for wanted, codec in ((False, "none"), (True, "zstd"), (False, "lz4")):
        producer = Producer({**kafka, "transactional.id": "somebody", "compression.type": codec})
        producer.init_transactions(20)
        producer.begin_transaction()
        for _ in range(10):
            producer.produce(TOPICS.input, message(next(number)), b"1", 0)
        producer.flush(20)
        if wanted:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    engine = start_engine()
    engine.wait_until_counted(260)
    send(kafka, message(999))
    engine.wait_until_counted(261)
    assert newest(kafka)["1"]["emails"] == 261
    assert reasons(kafka) == []


def test_a_member_that_is_back_at_once_has_the_partitions_that_are_new_since(
    kafka: dict[str, Any], start_engine: StartEngine, tmp_path: Path
) -> None:
    """The group would give it what it had before its topics were made again, and the others to nobody."""
    send(kafka, message(1))
    first = start_engine()
    first.wait_until_counted(1)
    assert first.stop() == 0
    admin = AdminClient(kafka)
    topics = [TOPICS.input, TOPICS.summaries, TOPICS.changelog]
    for deleted in admin.delete_topics(topics, operation_timeout=WAIT_S).values():
        deleted.result()
    until(lambda: admin.list_topics(timeout=WAIT_S).topics.keys().isdisjoint(topics), "the end of the topics")
    ensure(kafka, SITES, 3, 1)
    producer = Producer(kafka)
    sites = {partition_of(site.encode(), 3): site for site in map(str, range(20))}
    for partition, site in sites.items():
        producer.produce(TOPICS.input, message(partition, site), site.encode(), partition)
    assert producer.flush(20) == 0
    start_engine(partitions=3, state_dir=str(tmp_path / "new")).wait_until_counted(3)


def test_state_outlives_a_stop_a_kill_and_the_loss_of_the_directory(
    kafka: dict[str, Any], start_engine: StartEngine
) -> None:
    """The same total each time: from the store, from RocksDB's log, from the changelog."""
    engine = start_engine()
    send(kafka, message(1))
    engine.wait_until_counted(1)
    assert engine.stop() == 0
    engine = start_engine()
    send(kafka, message(1), message(2))
    engine.wait_until_counted(2)
    engine.process.kill()
    engine.process.wait()
    engine = start_engine(state_dir=str(engine.log.parent / "elsewhere"))
    send(kafka, message(3))
    status = engine.wait_until_counted(1)
    assert newest(kafka)["1"]["emails"] == 3
    assert status["partitions"]["0"]["restored"] > 0
    revisions = [json.loads(m.value())["revision"] for m in read(kafka, TOPICS.summaries)]
    assert revisions == sorted(set(revisions))


def test_without_changelog_and_state_the_input_is_counted_from_its_start(
    kafka: dict[str, Any], start_engine: StartEngine
) -> None:
    """Whatever the group's offsets say: where they decided, partitions stayed idle or began in the middle."""
    engine = start_engine()
    send(kafka, message(1), message(2))
    engine.wait_until_counted(2)
    assert engine.stop() == 0
    admin = AdminClient(kafka)
    admin.delete_topics([TOPICS.changelog])[TOPICS.changelog].result(20)
    deadline = time.monotonic() + WAIT_S
    while TOPICS.changelog in admin.list_topics(timeout=20).topics:
        assert time.monotonic() < deadline
    ensure(kafka, SITES, 1, 1)
    ahead = start_engine()
    assert "ahead of its changelog" in ahead.end()
    assert ahead.process.returncode == EXIT_FINAL
    engine = start_engine(state_dir=str(engine.log.parent / "empty"))
    engine.wait_until_counted(2)
    assert newest(kafka)["1"]["emails"] == 2


def test_input_that_retention_removed_uncounted_ends_the_engine(
    kafka: dict[str, Any], start_engine: StartEngine
) -> None:
    """It says so and names --skip-lost, which goes on and leaves one letter for the gap."""
    engine = start_engine()
    send(kafka, message(1), message(2))
    engine.wait_until_counted(2)
    assert engine.stop() == 0
    send(kafka, message(3), message(4))
    admin = AdminClient(kafka)
    futures = admin.delete_records([TopicPartition(TOPICS.input, 0, 3)])
    futures[TopicPartition(TOPICS.input, 0)].result(20)
    stopped = start_engine()
    assert "retention removed [2, 3). Restart with --skip-lost" in stopped.end()
    assert stopped.process.returncode == EXIT_FINAL
    engine = start_engine(skip_lost=True)
    engine.wait_until_counted(1)
    assert newest(kafka)["1"]["emails"] == 3
    assert reasons(kafka) == [(b"", "lost input [2, 3)")]


def test_a_stop_while_the_broker_is_away_does_not_hang(fresh_broker: Callable[[], Any], tmp_path: Path) -> None:
    """The consumer raises out of its own stop then; the process must end in order all the same."""
    broker = fresh_broker()
    ensure(broker.kafka, SITES, 1, 1)
    for engine in engines(broker.kafka, tmp_path):
        running = engine()
        send(broker.kafka, message(1))
        running.wait_until_counted(1)
        broker.kill()
        assert running.stop() == 0


def test_a_state_larger_than_memory_gives_the_same_totals(kafka: dict[str, Any], start_engine: StartEngine) -> None:
    """Rows are read on first touch and forgotten again, many times over."""
    values = [message(number, str(number * 7919 % 2000)) for number in range(20_000)]
    send(kafka, *values, **{"linger.ms": 50})
    engine = start_engine(memory_bytes=512 << 10)
    status = engine.wait_until_counted(20_000)
    assert status["counters"]["evictions"] >= 1000  # of 2000 sites, at least once half
    totals = newest(kafka)
    assert len(totals) == 2000
    assert {total["emails"] for total in totals.values()} == {10}


def test_an_idle_engine_opens_no_transaction(kafka: dict[str, Any], start_engine: StartEngine) -> None:
    """The stamp is written once per epoch that counted something."""
    engine = start_engine()
    send(kafka, message(1))
    engine.wait_until_counted(1)
    statuses: list[Any] = []
    engine.wait_for(lambda status: (statuses.append(status), len(statuses) > 10)[1])  # ten times an epoch
    stamps = [m for m in read(kafka, TOPICS.changelog) if m.key() == STAMP_KEY]
    assert len(stamps) == statuses[-1]["counters"]["epochs"] == 1


def test_a_standby_takes_over_without_a_restore(kafka: dict[str, Any], start_engine: StartEngine) -> None:
    """It followed the changelog into its own store: what it has to read at the take-over is next to nothing."""
    first = start_engine("a-0", standbys=1, leave=True)
    send(kafka, *(message(number, str(number % 100)) for number in range(3000)), **{"linger.ms": 50})
    first.wait_until_counted(3000)
    second = start_engine("b-0", standbys=1)

    def follows(status: dict[str, Any]) -> bool:
        partition = status["partitions"].get("0", {})
        return partition.get("state") == "standby" and partition["stored"] >= 100

    second.wait_for(follows)
    assert first.stop() == 0
    status = second.wait_for(lambda status: status["partitions"].get("0", {}).get("state") == "active")
    assert status["partitions"]["0"]["restored"] < 10
    send(kafka, message(5000, "7"))
    second.wait_until_counted(1)
    assert newest(kafka)["7"]["emails"] == 31
