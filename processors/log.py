"""The transactional log of one partition: what the engine needs of it, and Kafka's.

    log = KafkaLog(kafka, schema.topics, partition=3, transactional_id=…)
    log.fence()              # ends a former owner's transaction, waits for its markers; makes a zombie's sends fail
    offset = log.commit(epoch)   # all of the epoch or nothing; the changelog offset of its stamp

librdkafka's transactional producers were chosen over aiokafka's: 64 of them cost a quarter of the CPU a round, and
their blocking calls fit a thread that holds no lock of the event loop. Neither offers the generation check of KIP-447
to a consumer that is not its own, hence one transactional id per partition: a newer owner fences the older by it.

Every call blocks: call from a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processors import crash_points
from processors.connecting import connect
from processors.epoch import STAMP_KEY, Epoch
from schemas.errors import Fenced, StateError
from schemas.wire import BATCH_BYTES, REVISION, Topics

TRANSACTION_TIMEOUT_MS = 60_000
"""After so long without its producer the broker ends a transaction by itself (nobody took the partition over)."""
FENCE_TIMEOUT_S = 60.0
HASTY_S = 0.05
HASTY_FENCES = 8
"""librdkafka asks again after half a second where a former owner's transaction is still being ended, which takes
milliseconds. Another producer asks at once; so many do before one waits."""
CONNECT_S = 5.0
COMMIT_TIMEOUT_S = 90.0
"""Beyond the transaction's own time-out: a broker's absence is ridden out until the transaction cannot survive."""

_SILENT = logging.getLogger("librdkafka.silent")
"""Takes the lines that no ``log_level`` holds back: that a producer is fenced, librdkafka calls an emergency."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_FENCING_CODES = frozenset(
    {
        KafkaError._FENCED,  # pyright: ignore[reportPrivateUsage] - confluent-kafka's public names begin so
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
    }
)


class TransactionLog(Protocol):
    """What a partition needs to make its epochs durable."""

    def fence(self) -> None:
        """Become the only writer; return when whatever a former writer committed is readable."""
        ...

    def abort(self) -> None:
        """End as aborted whatever is open in the log under this name, though its coordinator knows of nothing."""
        ...

    def commit(self, epoch: Epoch) -> int:
        """Make ``epoch`` durable, all of it or nothing; the changelog offset of its stamp (its last entry)."""
        ...

    def close(self) -> None:
        """Let go of connections; an open transaction is left to the next owner's fence."""
        ...


class KafkaLog:
    """The transactional log of one partition on Kafka.

    Args:
        kafka: librdkafka client properties.
        topics: of the stage.
        partition: the number that rows go to.
        transactional_id: by which a newer owner fences this one.
    """

    def __init__(self, kafka: Mapping[str, str], topics: Topics, partition: int, transactional_id: str) -> None:
        self._topics = topics
        self._partition = partition
        self._id = transactional_id
        self._settings: dict[str, Any] = {
            "compression.type": "lz4",
            **kafka,
            "client.id": transactional_id,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "acks": "all",
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "batch.num.messages": 100_000,
            "message.max.bytes": BATCH_BYTES,
            "partitioner": "murmur2_random",  # as Java's producers have it, for outputs whose key names the partition
            # An epoch is bounded by the engine, not by the client's queue.
            "queue.buffering.max.messages": 0,
            "queue.buffering.max.kbytes": 2_097_151,
            # Its lines would go to stderr past the worker's log; what matters comes back as an exception.
            "log_level": 0,
        }
        self._producer: Producer | None = None

    def fence(self) -> None:
        """Become the only writer (see `TransactionLog.fence`).

        A new producer each time, also where this process already holds one: `commit_transaction` returns before the
        markers are in the log, and only ``InitProducerId`` waits for them.

        Raises:
            StateError: the coordinator did not answer in time, or refused.
        """
        self.close()
        try:
            for _ in range(HASTY_FENCES):
                self._producer = self._fenced_soon()
                if self._producer is not None:
                    return
            producer = self._connected()
            producer.init_transactions(FENCE_TIMEOUT_S)
            self._producer = producer
        except KafkaException as error:
            raise self._failed("cannot take over", error) from error

    def _fenced_soon(self) -> Producer | None:
        """A producer that is the only writer; None when the coordinator said that it still ends a transaction.

        Only when it said so: a request on its way from a producer that is given up might fence the next one.
        """
        producer = self._connected()
        try:
            producer.init_transactions(HASTY_S)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() == KafkaError.CONCURRENT_TRANSACTIONS:
                return None
            # Whatever the time ended on (a coordinator that is away, or reads its log), this producer asks on.
            if not reason.retriable():
                raise
            producer.init_transactions(FENCE_TIMEOUT_S)
        return producer

    def _connected(self) -> Producer:
        producer = Producer(self._settings, logger=_SILENT)
        connect(producer, self._topics.changelog, CONNECT_S)
        return producer

    def commit(self, epoch: Epoch) -> int:
        """Send ``epoch`` in one transaction (see `TransactionLog.commit`).

        Raises:
            Fenced: another worker owns the partition now; nothing of the epoch is visible.
            StateError: the epoch's fate is unknown; the next owner's fence decides it and the stamp tells.
        """
        producer = self._producer
        if producer is None:
            raise StateError(f"{self._id} was not fenced before its first epoch")
        stamped: list[int] = []
        errors: list[KafkaError] = []

        def on_stamp(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            else:
                offset = message.offset()
                stamped.append(-1 if offset is None else offset)

        topics, partition = self._topics, self._partition
        crash_points.reached("before-send")
        try:
            producer.begin_transaction()
            send = producer.produce
            for letter in epoch.letters:
                send(topics.dead_letters, letter.value, letter.key, headers=list(letter.headers))
            removed = [(REVISION, b"%d" % epoch.stamp.offset)]
            for topic, outputs in ((topics.output, epoch.outputs), (topics.rows, epoch.published)):
                for key, value, to in outputs:
                    if value is None:
                        send(topic, value, key, to, headers=list(removed))
                    else:
                        send(topic, value, key, to)
            for key, value in epoch.rows.items():
                send(topics.changelog, value, key, partition)
            crash_points.reached("before-stamp", producer.flush)
            # Last, so that its offset is the epoch's end: the store may say "I hold all up to here".
            send(topics.changelog, epoch.stamp.encode(), STAMP_KEY, partition, on_delivery=on_stamp)
            crash_points.reached("before-commit", producer.flush)
            producer.commit_transaction(COMMIT_TIMEOUT_S)
            crash_points.reached("after-commit")
        except KafkaException as error:
            raise self._failed("cannot commit an epoch", error) from error
        except BufferError as error:
            raise StateError(f"{self._id} cannot queue an epoch: {error}") from error
        if errors or len(stamped) != 1 or stamped[0] < 0:
            # A duplicate sequence counts as success and carries no offset: the changelog must be read again.
            raise StateError(f"{self._id}: the stamp was acknowledged without an offset ({errors or stamped})")
        return stamped[0]

    def abort(self) -> None:
        """Abort what hangs (see `TransactionLog.abort` and `processors.source`).

        A marker ends whatever its producer has open in a partition. So a record that nobody will read goes to each
        partition that an epoch may write to, and its transaction is aborted. `fence` waits for the markers.

        Raises:
            StateError: that failed, too.
        """
        producer = self._producer
        if producer is None:
            raise StateError(f"{self._id} was not fenced before it aborts")
        topics = self._topics
        try:
            producer.begin_transaction()
            producer.produce(topics.changelog, None, STAMP_KEY, self._partition)
            for topic in filter(None, (topics.output, topics.rows, topics.dead_letters)):
                for number in producer.list_topics(topic, CONNECT_S).topics[topic].partitions:
                    producer.produce(topic, None, STAMP_KEY, number)
            producer.flush(COMMIT_TIMEOUT_S)
            producer.abort_transaction(COMMIT_TIMEOUT_S)
        except KafkaException as error:
            raise self._failed("cannot abort what hangs", error) from error

    def close(self) -> None:
        """Let go of the producer (see `TransactionLog.close`)."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # Not flushed: messages of an epoch that was never committed must not be waited for.
            producer.purge()

    def _failed(self, what: str, error: KafkaException) -> StateError:
        cause: KafkaError = error.args[0]
        if cause.code() in _FENCING_CODES:
            return Fenced(f"{self._id} {what}: another worker owns this partition now ({cause.str()})")
        return StateError(f"{self._id} {what}: {cause.str()}")
