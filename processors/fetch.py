"""Turn what aiokafka fetched into runs, record batch by record batch, without a look at their records.

aiokafka's public ``getmany`` makes a ``ConsumerRecord`` of every record, which costs three times what parsing
costs. So this module reads the fetcher's own buffers, and keeps each record batch as the broker has it, compressed,
until it is counted (`Fetched`). Each private name used here is held by ``tests/unit/test_private_names.py``; the
fall-back, should one break, is ``getmany``.

What must hold, as in aiokafka's ``PartitionRecords._unpack_records``, which this mirrors:

* a batch of an aborted transaction and a control batch yield no record, but move the position;
* a batch may begin below the position (a seek into its middle): the records below are skipped;
* the position after a batch is the batch's end, also where compaction removed its last records.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import Any, cast

import aiokafka.conn
import aiokafka.consumer.fetcher
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.structs import TopicPartition

from processors.frames import FrameProtocol, Io, read_frames
from processors.packets import HEAD_BYTES, Fetched, RecordBatches, is_intact, magic_of
from processors.run import Loose, Packet, Run

MAX_RUN_BYTES = 4 << 20
"""No further batch is begun when a run holds this many."""

cast("Any", aiokafka.conn).AIOKafkaProtocol = FrameProtocol
cast("Any", aiokafka.conn).io = Io
cast("Any", AIOKafkaConnection)._read = staticmethod(read_frames)
cast("Any", aiokafka.consumer.fetcher).MemoryRecords = RecordBatches


class Response(PartitionRecords):
    """A partition's part of a fetch response, freed with the last of its batches.

    aiokafka's holds a generator, which nobody here runs, and which holds the response: megabytes that wait for the
    cyclic garbage collector, whose old generation is looked at once in many minutes.
    """

    def _unpack_records(self) -> None:
        """Make no generator."""


cast("Any", aiokafka.consumer.fetcher).PartitionRecords = Response


def take_run(tp: TopicPartition, result: FetchResult, max_records: int) -> Run | None:
    """Take the next run out of a fetched buffer.

    Args:
        tp: the partition.
        result: aiokafka's buffer of it; its position moves past what is taken.
        max_records: no further batch is begun when the run holds this many.

    Returns:
        The run, or None when the buffer is stale (a seek, a rebalance) or used up.

    Raises:
        CorruptRecordException: a batch's checksum is wrong.
    """
    if not result.check_assignment(tp) or not result.has_more():
        return None
    state: Any = result._assignment.state_value(tp)
    buffer: Any = result._partition_records
    batches: RecordBatches = buffer._records
    committed_only: bool = buffer._isolation_level == READ_COMMITTED
    first: int = buffer.next_fetch_offset
    position = first
    packets: list[Packet] = []
    taken = nbytes = 0
    while taken < max_records and nbytes < MAX_RUN_BYTES and batches.has_next():
        data = batches.next_batch()
        magic = magic_of(data)
        if magic >= 2 and len(data) < HEAD_BYTES:
            raise CorruptRecordException(
                f"a record batch without a whole head in {tp.topic}-{tp.partition} at {position}"
            )
        batch: Any = DefaultRecordBatch(data) if magic >= 2 else LegacyRecordBatch(data, magic)
        if buffer._check_crcs and not (is_intact(data) if magic >= 2 else batch.validate_crc()):
            raise CorruptRecordException(f"wrong checksum in {tp.topic}-{tp.partition} at {position}")
        wanted = not batch.is_control_batch
        if committed_only and batch.producer_id is not None:
            buffer._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and buffer._contains_abort_marker(batch):
                buffer._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in buffer._aborted_producers:
                wanted = False
        if wanted:
            packet = (
                Fetched(data, max(position, batch.base_offset))
                if magic >= 2
                # Of the days before Kafka 0.11; it tells neither count nor first offset.
                else Loose([record for record in batch if record.offset >= position])
            )
            if len(packet):
                packets.append(packet)
                taken += len(packet)
                nbytes += packet.nbytes
        position = buffer.next_fetch_offset = batch.next_offset
    result._update_position()
    if not batches.has_next():
        result._partition_records = None
    if position == first:
        return None
    end = state.lso if committed_only else state.highwater
    return Run(tp.topic, tp.partition, first=first, next=position, packets=packets, end=end or position)
