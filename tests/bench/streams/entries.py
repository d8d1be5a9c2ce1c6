"""The computed floor of a stream: the durable entries that its records make, times what each costs by itself.

    python -m tests.bench.streams.entries BOOTSTRAP products     # {"costs": [["products", "fetch", 1.2], …]}: µs

Run where a worker has just counted. Entries of each topic are read, and each step that an entry cannot do without is
done to them alone, in one thread, in large batches: fetched, decoded, encoded, produced in a transaction, put into
RocksDB. What a worker does between these steps is not in it: that is what the floor is compared with.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # pyright: ignore[reportPrivateImportUsage]

from ops.registry import stream as stream_named
from processors.store import RocksStore, StoreMemory
from schemas.decode import RunDecoder
from schemas.partial import DECODER
from schemas.schema import Schema
from schemas.wire import merge_topics
from tests.bench.figures import Cell, Table
from tests.bench.measure import Cost, module

MOST = 50_000
"""Entries of each topic that are tried."""
BATCH = 8_192
"""Of a transaction, and of a write to the store."""
ANSWER_S = 30.0
SCRATCH = "bench.entries"

Entry = tuple[bytes, bytes]
T = TypeVar("T")


def steps_of(schema: Schema[Any]) -> dict[str, tuple[str, ...]]:
    """What must be done to each entry of each topic of a stream, by topic."""
    counting = schema.topics
    steps: dict[str, tuple[str, ...]] = {
        counting.input: ("fetch", "decode"),
        counting.changelog: ("produce", "store"),
        counting.summaries: ("encode", "produce"),
    }
    if counting.rows:
        steps[counting.rows] = ("encode", "produce")
    if schema.merges:
        steps[counting.partials] = ("encode", "produce", "fetch", "decode")
        steps[merge_topics(schema.name).changelog] = ("produce", "store")
    return steps


def floor_of(schema: Schema[Any], bootstrap: str, entries: Mapping[str, int], counted: Cost) -> Table:
    """The floor beside what a worker took, its start left out.

    Args:
        schema: of the stream.
        bootstrap: of the broker that has the entries.
        entries: how many of each topic there are.
        counted: what the worker took.
    """
    costs: list[tuple[str, str, float]] = module("tests.bench.streams.entries", bootstrap, schema.name)["costs"]
    rows: list[tuple[Cell, ...]] = []
    floor_us = 0.0
    for topic in steps_of(schema):
        us = {step: cost for of, step, cost in costs if of == topic}
        each = entries[topic] / counted.events
        floor_us += each * sum(us.values())
        steps = ", ".join(f"{step} {cost:.2f}" for step, cost in us.items())
        rows.append((topic, each, steps, each * sum(us.values())))
    rows.append(("floor", "", "", floor_us))
    rows.append(("worker, without its start", "", "", counted.us_per_event))
    return Table(
        f"The computed floor of {schema.name}",
        ("entries of", "entries a record", "CPU µs an entry", "CPU µs a record"),
        rows,
        [f"The worker reaches {floor_us / counted.us_per_event:.2f} of the floor's rate."],
    )


def measured(bootstrap: str, schema: Schema[Any]) -> Iterator[tuple[str, str, float]]:
    """Topic, step and CPU µs an entry."""
    for topic, steps in steps_of(schema).items():
        entries, fetch_us = _fetched(bootstrap, topic)
        values = [value for _, value in entries if value]
        decoder: RunDecoder[Any] = DECODER if topic == schema.topics.partials else schema.decoder
        for step in steps:
            match step:
                case "fetch":
                    yield topic, step, fetch_us
                case "decode":
                    yield topic, step, _us(lambda values=values, decoder=decoder: decoder.decode(values), len(values))
                case "encode":
                    objects = [orjson.loads(value) for value in values]
                    yield topic, step, _us(lambda objects=objects: _encode(objects), len(objects))
                case "produce":
                    yield topic, step, _produced(bootstrap, entries)
                case _:
                    yield topic, step, _stored(entries)


def _us(act: Callable[[], object], count: int) -> float:
    begin = time.process_time()
    act()
    return (time.process_time() - begin) / max(count, 1) * 1e6


def _encode(objects: Sequence[Any]) -> None:
    for one in objects:
        orjson.dumps(one)


def _batches(entries: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(entries), BATCH):
        yield entries[at : at + BATCH]


def _fetched(bootstrap: str, topic: str) -> tuple[list[Entry], float]:
    """Up to `MOST` entries of a topic, and what fetching one took."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": SCRATCH,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    entries: list[Entry] = []
    open_ends = len(partitions)
    begin = time.process_time()
    while open_ends and len(entries) < MOST:
        for message in consumer.consume(BATCH, 1.0):
            if message.error() is None:
                entries.append((message.key() or b"", message.value() or b""))
            else:
                open_ends -= 1
    us = (time.process_time() - begin) / max(len(entries), 1) * 1e6
    consumer.close()
    return entries, us


def _produced(bootstrap: str, entries: list[Entry]) -> float:
    """What producing one takes, in transactions, as a worker's log is set."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": SCRATCH,
            "acks": "all",
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "batch.num.messages": 100_000,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 0,
        }
    )
    producer.init_transactions(ANSWER_S)

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(SCRATCH, 1, 1)]).values():
        with suppress(KafkaException):  # it is there
            made.result()

    def act() -> None:
        for batch in _batches(entries):
            producer.begin_transaction()
            for key, value in batch:
                producer.produce(SCRATCH, value, key, 0)
            producer.commit_transaction(ANSWER_S)

    act()  # once without the clock: connections are made
    return _us(act, len(entries))


def _stored(entries: list[Entry]) -> float:
    """What putting one into RocksDB takes."""
    with TemporaryDirectory(prefix="streamgauge-bench-") as folder:
        store = RocksStore.open(Path(folder) / "store", StoreMemory(64 << 20))

        def act() -> None:
            for number, batch in enumerate(_batches(entries)):
                store.write(dict(batch), number)

        try:
            return _us(act, len(entries))
        finally:
            store.close()


def main() -> None:
    """Measure against the broker that the command line names."""
    bootstrap, stream = sys.argv[1:]
    costs = list(measured(bootstrap, stream_named(stream).schema))
    sys.stdout.write(orjson.dumps({"costs": costs}).decode() + "\n")


if __name__ == "__main__":
    main()
