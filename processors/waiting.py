"""Input that waits to be counted: packed as it came, opened part by part when the epoch ends.

A backlog holds hundreds of thousands of records for each partition. Packed they take some 60 bytes each; opened, ten
times that. So they are opened when they are decoded, some thousands at once, and nothing is kept of them but the
decoded record, or what the aggregator wants of it; of one that becomes a dead letter, its packet is opened once more.

>>> import msgspec
>>> from processors.run import Loose, Record
>>> waiting = Waiting()
>>> waiting.add([Loose([Record(7, b"1"), Record(8, b"x", b"key")]), Loose([Record(9, b"3")])])
>>> len(waiting)
3
>>> (part,) = waiting.parts(RunDecoder(int), timed=False)
>>> part.records, part.places, part.bad[0][0], part.record(1).key
([1, 3], [0, 2], 1, b'key')
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from aggregators.aggregator import Columns
from processors.run import KafkaRecord, Packet
from schemas.decode import RunDecoder

R = TypeVar("R")

OPEN_RECORDS = 16_384
"""So many values are decoded in one call: few enough for their memory to be used again at once, enough for what is
looked up meanwhile (the keys met so far) to be fetched into the CPU's cache seldom."""
OPEN_BYTES = 16 << 20
"""So many bytes are opened at once, however few values they are."""
PART_BYTES = 64 << 20
"""Values of so many bytes make a part, however few: what is highly compressed may be large when it is opened."""


class Part(Generic[R]):
    """A part of what waited, decoded. A place is an index into it, bad records included."""

    def __init__(self, columns: Columns[R] | None = None) -> None:
        self.records: list[R] = []
        """What could be decoded; empty where it went into `columns`."""
        self.columns = columns
        self.places: Sequence[int] = ()
        """Of what could be decoded."""
        self.times: list[int] = []
        """When the broker took each of the records in, epoch milliseconds; empty where it is not wanted."""
        self.bad: list[tuple[int, str]] = []
        """Place and reason of what could not be decoded."""
        self.size = 0
        """How many records it was made of."""
        self.nbytes = 0
        """Of their values."""
        self._take_in = self.records.extend if columns is None else columns.extend
        self._packets: list[Packet] = []
        self._begins: list[int] = []
        self._opened: tuple[int, Sequence[KafkaRecord]] = -1, ()

    def record(self, place: int) -> KafkaRecord:
        """The record at ``place`` as it came; its packet is opened for it.

        The packet opened last stays open: of one that is full of bad records, each would open it again.
        """
        index = bisect_right(self._begins, place) - 1
        if index != self._opened[0]:
            self._opened = index, self._packets[index].records()
        return self._opened[1][place - self._begins[index]]

    def take(self, packets: Iterator[Packet], decoder: RunDecoder[R], *, timed: bool) -> bool:
        """Open packets that hold `OPEN_RECORDS` or `OPEN_BYTES` together, and decode them; False when none is left."""
        values: list[bytes | None] = []
        times: list[int] = []
        nbytes = 0
        for packet in packets:
            self._packets.append(packet)
            self._begins.append(self.size + len(values))
            # A packet's records are let go of with it, while they are in the CPU's cache.
            records = packet.records()
            of_packet = [record.value for record in records]
            values += of_packet
            if timed:
                times += [record.timestamp for record in records]
            nbytes += sum(map(len, filter(None, of_packet)))
            if len(values) >= OPEN_RECORDS or nbytes >= OPEN_BYTES:
                break
        if not values:
            return False
        decoded = decoder.decode(values)
        self._take_in(decoded.records)
        if timed:
            self.times += [times[index] for index in decoded.positions] if decoded.bad else times
        self.bad += [(self.size + index, reason) for index, reason in decoded.bad]
        self.size += len(values)
        self.nbytes += nbytes
        return True

    @property
    def next(self) -> int:
        """The offset after its last packet."""
        return self._packets[-1].next

    def close(self) -> None:
        """All of it is decoded."""
        bad = {place for place, _ in self.bad}
        self.places = [place for place in range(self.size) if place not in bad] if bad else range(self.size)


class Waiting:
    """Packets of one partition, in the order of their offsets."""

    def __init__(self) -> None:
        self.nbytes = 0
        """What they take in memory, about."""
        self._packets: list[Packet] = []
        self._records = 0

    def __len__(self) -> int:
        return self._records

    def add(self, packets: Iterable[Packet]) -> None:
        """Take packets in."""
        for packet in packets:
            self._packets.append(packet)
            self._records += len(packet)
            self.nbytes += packet.nbytes

    def since(self, offset: int) -> Waiting:
        """What of it lies in packets at and above ``offset``."""
        rest = Waiting()
        rest.add(packet for packet in self._packets if packet.first >= offset)
        return rest

    def parts(
        self, decoder: RunDecoder[R], *, timed: bool, columns: Callable[[], Columns[R] | None] = lambda: None
    ) -> Iterator[Part[R]]:
        """Open and decode everything: one part, unless it is very large.

        Args:
            decoder: of the stream.
            timed: whether the broker's time of each record is wanted.
            columns: gives what takes in the records of a part (`Aggregator.columns`).
        """
        packets = iter(self._packets)
        more = True
        while more:
            part = Part[R](columns())
            while part.nbytes < PART_BYTES and (more := part.take(packets, decoder, timed=timed)):
                pass
            if part.size:
                part.close()
                yield part
