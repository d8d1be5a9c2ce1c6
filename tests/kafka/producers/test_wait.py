"""``streamgauge replay --wait``: it returns when a worker has counted what was sent, and not before."""

from __future__ import annotations

import json
import logging
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient  # pyright: ignore[reportPrivateImportUsage]

from ops.topics import ensure
from processors.epoch import Stamp
from producers import processed as processed_module
from producers.processed import Processed
from schemas.items import ITEMS
from schemas.wire import merge_topics
from tests.kafka.producers.conftest import PATIENCE_S, Shell, event, result
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


def test_the_offset_of_a_former_life_ends_no_wait(kafka: dict[str, Any]) -> None:
    """A group's offset outlives the state that it was written for: what is counted anew is waited for."""
    counting, merging = ITEMS.topics, merge_topics("items")
    ensure(kafka, ITEMS, partitions=1)
    commit(kafka, counting.app, counting.input, 99)
    commit(kafka, merging.app, counting.partials, 99)
    processed = Processed(kafka, counting, logging.getLogger("test"))
    behind: list[int] = []

    def still() -> bool:
        return processed.wait({0: [[0, 2]]}, PATIENCE_S, lambda left: bool(behind.append(left)))

    assert not still()
    publish(kafka, counting.changelog, stamp(1))
    assert not still()
    publish(kafka, counting.changelog, stamp(2), counting.partials, b"a share")
    assert not still()
    assert behind == [2, 1, 0]
    publish(kafka, merging.changelog, stamp(1))
    assert processed.wait({0: [[0, 2]]}, PATIENCE_S, lambda _: True)


def test_a_leader_that_moves_before_the_first_record_or_behind_the_last_is_asked_again(
    kafka: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is sent, or nothing yet: no reason to fail."""
    asked: list[object] = []

    class Moving(AdminClient):
        def list_offsets(self, *words: Any, **options: Any) -> Any:
            answers: dict[Any, Any] = super().list_offsets(*words, **options)
            asked.append(answers)
            if len(asked) % 2 == 0:
                return answers
            moved: Future[Any] = Future()
            moved.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
            return dict.fromkeys(answers, moved)

    ensure(kafka, ITEMS, partitions=1)
    monkeypatch.setattr(processed_module, "AdminClient", Moving)
    assert Processed(kafka, ITEMS.topics, logging.getLogger("test")).rejected({}) == (0, [])
    assert len(asked) == 4


def test_a_refusal_is_told_at_once_before_the_first_record_and_behind_the_last(
    kafka: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is given a right by waiting."""
    refused: list[object] = []

    class Refusing(AdminClient):
        def list_offsets(self, *words: Any, **options: Any) -> Any:
            answers: dict[Any, Any] = super().list_offsets(*words, **options)
            refused.append(answers)
            refusal: Future[Any] = Future()
            refusal.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
            return dict.fromkeys(answers, refusal)

    ensure(kafka, ITEMS, partitions=1)
    commit(kafka, ITEMS.topics.app, ITEMS.topics.input, 9)
    waiting = Processed(kafka, ITEMS.topics, logging.getLogger("test"))
    waiting._admin = Refusing(kafka)  # pyright: ignore[reportPrivateUsage] - the right is lost meanwhile
    with pytest.raises(KafkaException, match="authorization"):
        waiting.wait({0: [[0, 2]]}, PATIENCE_S, lambda _: True)
    with pytest.raises(KafkaException, match="authorization"):
        waiting.rejected({})
    monkeypatch.setattr(processed_module, "AdminClient", Refusing)
    with pytest.raises(KafkaException, match="authorization"):
        Processed(kafka, ITEMS.topics, logging.getLogger("test"))
    assert len(refused) == 3


def test_a_topic_of_letters_that_there_is_not_is_said_by_its_error(kafka: dict[str, Any]) -> None:
    """A list without partitions would be asked about nothing."""
    ensure(kafka, ITEMS, partitions=1)
    lost = ITEMS.topics._replace(dead_letters="not a name")
    with pytest.raises(KafkaException, match=r"(?i)topic"):
        Processed(kafka, lost, logging.getLogger("test"))


def stamp(offset: int) -> bytes:
    """A stamp's row, as the engine writes it."""
    return Stamp(offset, 1).encode()


def commit(kafka: dict[str, Any], group: str, topic: str, offset: int) -> None:
    """Commit an offset for a group that nobody is in."""
    consumer = Consumer({**kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def publish(kafka: dict[str, Any], *records: str | bytes) -> None:
    """Send records, each a topic and a value, in one transaction; behind them, some that are aborted."""
    producer = Producer({**kafka, "transactional.id": "test"})
    producer.init_transactions()
    pairs = list(zip(records[::2], records[1::2], strict=True))
    for end, sent in (
        (producer.commit_transaction, pairs),
        (producer.abort_transaction, [(topic, stamp(99)) for topic, _ in pairs] * 9),
    ):
        producer.begin_transaction()
        for topic, value in sent:
            producer.produce(str(topic), value, b"key", partition=0)
        producer.flush()
        end()
