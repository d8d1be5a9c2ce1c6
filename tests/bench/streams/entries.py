"""The computed floor of a stream: the durable entries that its records make, times what each costs by itself.

    python -m tests.bench.streams.entries BOOTSTRAP products     # {"costs": [["products", "decode", 1.2], …]}: µs

Run where a worker has just counted. Entries of each topic are read, and each step that an entry cannot do without is
done to them alone, in one thread, in large batches: decoded, encoded, produced in a transaction, put into RocksDB.
Fetching and opening what was fetched is what the engine itself takes an entry, because no other client at hand is as
cheap. What a worker does between these steps is not in it: that is what the floor is compared with.
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
from msgspec.json import Encoder

from ops.registry import stream as stream_named
from processors.store import RocksStore, StoreMemory
from schemas.decode import RunDecoder
from schemas.partial import DECODER
from schemas.schema import Schema
from schemas.wire import merge_topics
from tests.bench.figures import Cell, Table
from tests.bench.measure import Cost, module
from tests.bench.split import FETCH

MOST = 50_000
"""Entries of each topic that are tried."""
BATCH = 8_192
"""Of a transaction, and of a write to the store."""
ANSWER_S = 30.0
SCRATCH = "bench.entries"

Entry = tuple[bytes, bytes]
T = TypeVar("T")

_lines = Encoder().encode_lines


def steps_of(schema: Schema[Any]) -> dict[str, tuple[str, ...]]:
    """What must be done to each entry of each topic of a stream, by topic."""
    counting = schema.topics
    steps: dict[str, tuple[str, ...]] = {
        counting.input: (FETCH, "decode"),
        counting.changelog: ("produce", "store"),
        counting.summaries: ("encode", "produce"),
    }
    if counting.rows:
        steps[counting.rows] = ("encode", "produce")
    if schema.merges:
        steps[counting.partials] = ("encode", "produce", FETCH, "decode")
        steps[merge_topics(schema.name).changelog] = ("produce", "store")
    return steps


Costs = list[tuple[str, str, float]]
"""Topic, step and CPU µs an entry."""


def costs_of(schema: Schema[Any], bootstrap: str) -> Costs:
    """Measure the steps in a process of its own, against the broker that has the entries."""
    return module("tests.bench.streams.entries", bootstrap, schema.name)["costs"]


def floor_of(schema: Schema[Any], costs: Costs, entries: Mapping[str, int], counted: Cost, fetch_s: float) -> Table:
    """The floor beside what a worker took, its start left out.

    Args:
        schema: of the stream.
        costs: of the steps.
        entries: how many of each topic there are.
        counted: what the worker took.
        fetch_s: what an engine's consumers took of it, and opening what they fetched.
    """
    fetched = [topic for topic, steps in steps_of(schema).items() if FETCH in steps]
    fetch_us = fetch_s / sum(entries[topic] for topic in fetched) * 1e6
    rows: list[tuple[Cell, ...]] = []
    floor_us = 0.0
    for topic, wanted in steps_of(schema).items():
        us = {step: cost for of, step, cost in costs if of == topic}
        if FETCH in wanted:
            us[FETCH] = fetch_us
        each = entries[topic] / counted.events
        floor_us += each * sum(us.values())
        rows.append((topic, each, ", ".join(f"{step} {us[step]:.2f}" for step in wanted), each * sum(us.values())))
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
        entries = _fetched(bootstrap, topic)
        values = [value for _, value in entries if value]
        decoder: RunDecoder[Any] = DECODER if topic == schema.topics.partials else schema.decoder
        for step in steps:
            match step:
                case "decode":
                    yield topic, step, _us(lambda values=values, decoder=decoder: decoder.decode(values), len(values))
                case "encode":
                    objects = [orjson.loads(value) for value in values]
                    yield topic, step, _us(lambda objects=objects: _encode(objects), len(objects))
                case "produce":
                    yield topic, step, _produced(bootstrap, entries)
                case "store":
                    yield topic, step, _stored(entries)
                case _:
                    continue


def _us(act: Callable[[], object], count: int) -> float:
    begin = time.process_time()
    act()
    return (time.process_time() - begin) / max(count, 1) * 1e6


def _encode(objects: Sequence[Any]) -> list[bytes]:
    """As a worker does it: all in one call."""
    return _lines(objects).split(b"\n")


def _batches(entries: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(entries), BATCH):
        yield entries[at : at + BATCH]


def _fetched(bootstrap: str, topic: str) -> list[Entry]:
    """Up to `MOST` entries of a topic."""
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
    while open_ends and len(entries) < MOST:
        for message in consumer.consume(BATCH, 1.0):
            if message.error() is None:
                entries.append((message.key() or b"", message.value() or b""))
            else:
                open_ends -= 1
    consumer.close()
    return entries


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
