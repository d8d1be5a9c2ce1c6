"""Who serves which partitions, and where to ask: the compacted topic ``streamgauge.workers``.

    publish(kafka, Entry("host-7", "host-7-0", "sites", http="10.0.0.7:9100", pid=41, host="host-7", active=[0, 3]))
    [entry.worker for entry in read(kafka)]

Each engine process keeps one entry, under ``<app>/<instance>``, and removes it when it ends well. The entry of one
that was killed stays: whoever reads it asks the worker before believing it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.errors import StreamgaugeError
from schemas.wire import WORKERS, topics

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Entry:
    """One engine process.

    Args:
        worker: the id of its worker.
        instance: its own.
        stream: that it serves.
        http: ``HOST:PORT`` of its worker; None when that serves no HTTP.
        pid: of its worker.
        host: on which the worker runs.
        active: the partitions it counts.
        standby: the partitions whose state it follows.
        started: when it started, epoch seconds.
        claim: its place in the order in which entries were written. Of several that name a partition, the one
            written last has it: an owner that was killed leaves an older claim.
    """

    worker: str
    instance: str
    stream: str
    http: str | None
    pid: int
    host: str
    active: list[int] = field(default_factory=list[int])
    standby: list[int] = field(default_factory=list[int])
    started: float = 0.0
    claim: int = 0

    @property
    def key(self) -> str:
        """Its key in the topic."""
        return f"{topics(self.stream).app}/{self.instance}"


def publish(kafka: Mapping[str, str], entry: Entry) -> None:
    """Write ``entry``; returns when it is acknowledged.

    Raises:
        StreamgaugeError: it was not, within 10 s.
    """
    written = asdict(entry)
    del written["claim"]
    _write(kafka, entry.key, orjson.dumps(written))


def remove(kafka: Mapping[str, str], entry: Entry) -> None:
    """Remove ``entry``; as `publish`."""
    _write(kafka, entry.key, None)


def read(kafka: Mapping[str, str]) -> list[Entry]:
    """All entries there are; none when the topic does not exist.

    Raises:
        StreamgaugeError: no broker answered within 10 s.
    """
    consumer = Consumer(
        {
            **kafka,
            "group.id": "streamgauge-directory",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            # The end is told by a fetch that finds nothing, which by default waits half a second for more.
            "fetch.wait.max.ms": 10,
            **_QUIET,
        }
    )
    entries: dict[bytes, Entry | None] = {}
    try:
        # Asked for by name, a missing topic would be waited for, and made by a broker that makes topics by itself.
        if WORKERS not in consumer.list_topics(timeout=TIMEOUT_S).topics:
            return []
        consumer.assign([TopicPartition(WORKERS, 0, OFFSET_BEGINNING)])
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise StreamgaugeError(f"cannot read {WORKERS} within {TIMEOUT_S:g} s")
            error = message.error()
            if error is None:
                entries[message.key() or b""] = _decoded(message.value(), message.offset() or 0)
            elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                break
            elif not error.retriable():
                raise StreamgaugeError(f"cannot read {WORKERS}: {error.str()}")
    except KafkaException as error:
        raise StreamgaugeError(f"cannot read {WORKERS}: {error}") from error
    finally:
        consumer.close()
    present = [entry for entry in entries.values() if entry is not None]
    return sorted(present, key=lambda entry: (entry.stream, entry.instance))


def owner_of(entries: Iterable[Entry], stream: str, partition: int) -> Entry | None:
    """Who claimed ``partition`` of ``stream`` last; None when nobody does.

    >>> a = Entry("a", "a-0", "sites", None, 1, "host", active=[1, 2], claim=7)
    >>> b = Entry("b", "b-0", "sites", None, 2, "host", active=[2, 3], claim=9)
    >>> owner_of([a, b], "sites", 2).worker
    'b'
    """
    claims = [entry for entry in entries if entry.stream == stream and partition in entry.active]
    return max(claims, key=lambda entry: entry.claim, default=None)


_QUIET: dict[str, Any] = {"log_level": 0}


def _decoded(value: bytes | None, claim: int) -> Entry | None:
    """An entry; None where it was removed, and for what another version of the program may have written."""
    try:
        return Entry(**orjson.loads(value), claim=claim) if value else None
    except (ValueError, TypeError):
        return None


def _write(kafka: Mapping[str, str], key: str, value: bytes | None) -> None:
    failures: list[str] = []
    producer = Producer({**kafka, "acks": "all", "message.timeout.ms": int(TIMEOUT_S * 1000), **_QUIET})

    def done(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failures.append(error.str())

    producer.produce(WORKERS, value, key.encode(), 0, on_delivery=done)
    if producer.flush(TIMEOUT_S + 1) or failures:
        raise StreamgaugeError(f"cannot write {WORKERS}: {'; '.join(failures) or 'no broker answered'}")
