"""The input is not what it was: retention removed some that nobody had counted, or its partition count was changed.

Neither is gone over in silence: a worker ends and says what happened and what to do, and that works.
"""

# confluent_kafka exports names that its stubs call private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from ops.kafka import answered
from ops.topics import ensure
from processors.epoch import STAMP_KEY, Stamp
from schemas.sites import SITES
from schemas.wire import LETTER_MESSAGE
from tests.cluster import Cluster
from tests.faults.case import PARTITIONS, THRICE
from tests.faults.checker import Place, Right, judge, observe, read
from tests.faults.loads import sites
from tests.waiting import until

TOPICS = SITES.topics
COUNTED_S = 120.0
OPTIONS = ("--epoch", "100ms")


@pytest.mark.long
@pytest.mark.timeout(300)
@THRICE
def test_input_that_retention_removed_uncounted_is_named_and_skipped_when_asked(tmp_path: Path, seed: int) -> None:
    """The worker refuses to go on without it; with `--skip-lost` all the rest is exact, and a letter names each gap."""
    rng = random.Random(seed)
    first, second = sites.make(seed, 20_000), sites.make(seed + 1_000, 20_000)
    with Cluster(tmp_path) as cluster:
        ensure(cluster.kafka, SITES, partitions=PARTITIONS)
        cluster.start_worker("w0", *OPTIONS)
        send(cluster, tmp_path, "first.jsonl", first.files["events.jsonl"])
        counted = ends(cluster)
        observe(cluster.kafka, TOPICS, COUNTED_S)
        assert cluster.stop_worker("w0").endswith("(exit code 0)")

        send(cluster, tmp_path, "second.jsonl", second.files["events.jsonl"])
        values = [(m.partition() or 0, m.offset() or 0, m.value() or b"") for m in read(cluster.kafka, TOPICS.input)]
        chosen = rng.sample(range(PARTITIONS), 2)
        gaps = {p: (counted[p], rng.randrange(counted[p] + 1, ends(cluster)[p])) for p in chosen}
        delete_records(cluster, {p: until_ for p, (_, until_) in gaps.items()})

        code, last = ended(cluster, "w0", *OPTIONS)
        assert code == 1, last
        assert any(f"retention removed [{a}, {b}). Restart with --skip-lost" in last for a, b in gaps.values()), last

        cluster.start_worker("w0", *OPTIONS, "--skip-lost")
        seen = observe(cluster.kafka, TOPICS, COUNTED_S)
        left = [
            value
            for partition, offset, value in values
            if partition not in gaps or not gaps[partition][0] <= offset < gaps[partition][1]
        ]
        answer = sites.answer_of([orjson.loads(value) for value in left])
        letters: dict[Place, bytes] = {(p, a): b"" for p, (a, _) in gaps.items()}
        verdict = judge(seen, Right(answer, letters))
        assert verdict.valid, f"--seed {seed}: {verdict}"
        told = {dict(message.headers() or [])[LETTER_MESSAGE] for message in read(cluster.kafka, TOPICS.dead_letters)}
        assert told == {f"lost input [{a}, {b})".encode() for a, b in gaps.values()}


@pytest.mark.long
@pytest.mark.timeout(300)
@THRICE
def test_a_changed_partition_count_is_refused_and_the_way_that_is_named_works(tmp_path: Path, seed: int) -> None:
    """Somebody adds partitions to the input of a stream with state: keys would move to where their state is not."""
    rng = random.Random(seed)
    load = sites.make(seed, 20_000)
    lines = load.files["events.jsonl"].splitlines(keepends=True)
    cut, more = rng.randrange(len(lines)), rng.choice([5, 8])
    with Cluster(tmp_path) as cluster:
        ensure(cluster.kafka, SITES, partitions=PARTITIONS)
        cluster.start_worker("w0", *OPTIONS)
        send(cluster, tmp_path, "first.jsonl", b"".join(lines[:cut]))
        observe(cluster.kafka, TOPICS, COUNTED_S)
        assert cluster.stop_worker("w0").endswith("(exit code 0)")
        admin = AdminClient({**cluster.kafka})
        admin.create_partitions([NewPartitions(TOPICS.input, more)])[TOPICS.input].result(20)
        until(lambda: len(ends(cluster)) == more, "the new partitions")

        code, last = ended(cluster, "w0", *OPTIONS)
        assert code == 1, last
        assert f"{TOPICS.input} has {more}" in last, last
        assert "streamgauge topics create sites --partitions N" in last, last
        assert "replay" in last, last

        # The way: the topics and the state go, the topics are made with the new count, and the files are replayed.
        delete(cluster, of_the_stream(cluster))
        shutil.rmtree(cluster.state_of("w0") / "w0-0" / "sites")
        made = subprocess.run(
            cluster.command("topics", "create", "sites", "--partitions", str(more)), check=True, capture_output=True
        )
        assert made.returncode == 0
        cluster.start_worker("w0", *OPTIONS)
        send(cluster, tmp_path, "all.jsonl", b"".join(lines))
        verdict = judge(observe(cluster.kafka, TOPICS, COUNTED_S), Right(load.answer))
        assert verdict.valid, f"--seed {seed}: {verdict}"
        assert len(ends(cluster)) == more


@pytest.mark.long
@pytest.mark.timeout(300)
@THRICE
def test_state_of_another_release_is_refused_and_the_way_that_is_named_works(tmp_path: Path, seed: int) -> None:
    """The rows' format has another version: they are not guessed at, but counted anew from the input."""
    load = sites.make(seed, 20_000)
    with Cluster(tmp_path) as cluster:
        ensure(cluster.kafka, SITES, partitions=PARTITIONS)
        cluster.start_worker("w0", *OPTIONS)
        send(cluster, tmp_path, "events.jsonl", load.files["events.jsonl"])
        observe(cluster.kafka, TOPICS, COUNTED_S)
        assert cluster.stop_worker("w0").endswith("(exit code 0)")
        counted = ends(cluster)[0]
        producer = Producer({**cluster.kafka})
        producer.produce(TOPICS.changelog, Stamp(counted, version=99).encode(), STAMP_KEY, partition=0)
        producer.flush()

        code, last = ended(cluster, "w0", *OPTIONS)
        assert code == 1, last
        assert "has format 99" in last, last
        assert "delete all of its topics but sites itself, and the directories sites below" in last, last

        delete(cluster, [topic for topic in of_the_stream(cluster) if topic != TOPICS.input])
        shutil.rmtree(cluster.state_of("w0") / "w0-0" / "sites")
        cluster.start_worker("w0", *OPTIONS)
        until(lambda: TOPICS.summaries in of_the_stream(cluster), "the worker makes its topics")
        # The group's offset, which `observe` asks, is that of the former life until the first epoch is sent.
        until(
            lambda: judge(observe(cluster.kafka, TOPICS, COUNTED_S), Right(load.answer)).valid,
            f"all is counted anew (--seed {seed})",
            COUNTED_S,
        )


def of_the_stream(cluster: Cluster) -> list[str]:
    """The topics of the stream."""
    return [topic for topic in AdminClient({**cluster.kafka}).list_topics(timeout=10).topics if "sites" in topic]


def delete(cluster: Cluster, topics: list[str]) -> None:
    """As `kafka-topics --delete` does."""
    admin = AdminClient({**cluster.kafka})
    for deleted in admin.delete_topics(topics).values():
        deleted.result(20)
    until(lambda: not {*topics} & {*of_the_stream(cluster)}, "the topics are gone")


def send(cluster: Cluster, folder: Path, name: str, lines: bytes) -> None:
    """Replay lines as a file."""
    (folder / name).write_bytes(lines)
    sent = cluster.send(["replay", "sites", name], folder)
    assert sent.code == 0, sent.told


def ended(cluster: Cluster, name: str, *options: str) -> tuple[int, str]:
    """Start a worker that ends by itself: its exit code and the last line of its log."""
    cluster.start_worker(name, *options)
    code = cluster.workers.pop(name).wait(60)
    return code, cluster.log_of(name).strip().splitlines()[-1]


def ends(cluster: Cluster) -> list[int]:
    """The end of each partition of the input."""
    consumer = Consumer({**cluster.kafka, "group.id": "ends"})
    try:
        partitions = sorted(consumer.list_topics(TOPICS.input, timeout=20).topics[TOPICS.input].partitions)
        places = [TopicPartition(TOPICS.input, partition) for partition in partitions]
        # The leader of a partition that was added just now may not know yet that it is.
        return [answered(lambda at=at: consumer.get_watermark_offsets(at, timeout=20))[1] for at in places]
    finally:
        consumer.close()


def delete_records(cluster: Cluster, before: dict[int, int]) -> None:
    """As retention does: nothing before these offsets is there any more."""
    admin = AdminClient({**cluster.kafka})
    wanted = [TopicPartition(TOPICS.input, partition, offset) for partition, offset in before.items()]
    for deleted in admin.delete_records(wanted).values():
        deleted.result(20)
