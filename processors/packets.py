"""Record batches as a broker keeps them: cut out of a fetch response, and opened when their records are counted.

A producer packs the records that it sends together, compressed, with one checksum; the broker stores that as it came
and hands it out again. So a packet costs some 60 bytes a record where aiokafka's objects cost 600, and what a
backlog holds in memory is bounded by what was sent.

The layout is that of Kafka's message format 2; offsets of its fields are those of the protocol guide.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatch
from crc32c import crc32c

from processors.run import KafkaRecord

_OFFSET, _LENGTH, _CRC = Struct(">q"), Struct(">i"), Struct(">I")
_LENGTH_AT, _MAGIC_AT, _CRC_AT, _LAST_AT, _COUNT_AT = 8, 16, 17, 23, 57
"""Where a batch says how many bytes follow the length, its format's version, the checksum of what follows that, how
far above its first offset the last is, and its number of records."""
_SHORTEST = 26
"""Of any version: what lies before the key of a message of version 0."""
HEAD_BYTES = 61
"""What lies before the records in version 2."""
_OBJECTS_BYTES = 150
"""What a `Fetched` takes beside its bytes."""


def magic_of(data: bytes) -> int:
    """The version of a record batch's format."""
    return data[_MAGIC_AT]


def is_intact(data: bytes) -> bool:
    """Whether a record batch of version 2 has the checksum that it names.

    aiokafka's code for it reads 1.4 GB a second, the processor's instruction more than ten times that. Python's lock is
    kept meanwhile: to get it back may take longer than the whole of it.
    """
    body = memoryview(data)[_CRC_AT + _CRC.size :]
    return crc32c(body, gil_release_mode=0) == _CRC.unpack_from(data, _CRC_AT)[0]


class RecordBatches:
    """The record batches of one partition in a fetch response; what aiokafka's fetcher knows as its memory records.

    aiokafka's own gives objects that hold on to the whole response and can be iterated once.

    Args:
        data: of the response; the last batch may be cut off.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._at = 0
        self._next = self._end_of(0)

    def _end_of(self, begin: int) -> int:
        """Where the batch at ``begin`` ends; ``begin`` when it is not there as a whole."""
        if begin + _SHORTEST > len(self._data):
            return begin
        end = begin + _LENGTH_AT + _LENGTH.size + _LENGTH.unpack_from(self._data, begin + _LENGTH_AT)[0]
        return end if begin + _SHORTEST <= end <= len(self._data) else begin

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return self._next > self._at

    def next_batch(self) -> bytes:
        """The bytes of the next batch; ask `has_next` first."""
        begin, self._at = self._at, self._next
        self._next = self._end_of(self._at)
        return bytes(self._data[begin : self._at])

    def size_in_bytes(self) -> int:
        """Of all of it."""
        return len(self._data)


class Fetched:
    """A packet that is kept as it was fetched: compressed, with its keys and headers.

    Args:
        data: a record batch.
        first: the first offset that is wanted of it.
    """

    __slots__ = ("_data", "first")

    def __init__(self, data: bytes, first: int) -> None:
        self._data = data
        self.first = first

    @property
    def next(self) -> int:
        """The offset after the last that it may hold."""
        return _OFFSET.unpack_from(self._data)[0] + _LENGTH.unpack_from(self._data, _LAST_AT)[0] + 1

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return len(self._data) + _OBJECTS_BYTES

    def __len__(self) -> int:
        return min(_LENGTH.unpack_from(self._data, _COUNT_AT)[0], self.next - self.first)

    def records(self) -> Sequence[KafkaRecord]:
        """Decompress and parse."""
        batch: Any = DefaultRecordBatch(self._data)
        first = self.first
        return [*batch] if batch.base_offset >= first else [record for record in batch if record.offset >= first]

    def since(self, offset: int) -> Fetched:
        """The same without what lies below ``offset``."""
        return Fetched(self._data, max(offset, self.first))
