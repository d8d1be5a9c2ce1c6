"""Input records that wait to be counted, without the objects that they came in.

aiokafka's record, its list of headers, their tuples and names take more than its value does. A backlog holds hundreds
of thousands of records, so only what a dead letter needs is kept of each.

>>> from processors.run import Record
>>> waiting = Waiting(timed=False)
>>> waiting.add([Record(7, b"{}", b"key", headers=[("origin", b"a.jsonl:3")])])
>>> len(waiting), waiting.values, waiting.record(0).offset, waiting.record(0).headers
(1, [b'{}'], 7, [('origin', b'a.jsonl:3')])
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from processors.run import KafkaRecord, Record
from schemas.wire import ORIGIN


class Waiting:
    """Records of one partition, in the order of their offsets.

    Args:
        timed: whether the broker's time of each is wanted.
    """

    __slots__ = ("_keys", "_offsets", "_origins", "timed", "times", "values")

    def __init__(self, *, timed: bool) -> None:
        self.timed = timed
        self.values: list[bytes | None] = []
        self.times: list[int] = []
        """When the broker took each record in, epoch milliseconds; empty where it is not wanted."""
        self._keys: list[bytes | None] = []
        self._offsets = array("q")
        self._origins: list[bytes | None] = []

    def __len__(self) -> int:
        return len(self.values)

    def add(self, records: Sequence[KafkaRecord]) -> None:
        """Take records in."""
        self.values += [record.value for record in records]
        self._keys += [record.key for record in records]
        self._offsets.extend([record.offset for record in records])
        # Nearly every record has this one header, or none.
        self._origins += [
            headers[0][1] if len(headers) == 1 and headers[0][0] == ORIGIN else _origin(headers)
            for headers in [record.headers for record in records]
        ]
        if self.timed:
            self.times += [record.timestamp for record in records]

    def record(self, place: int) -> KafkaRecord:
        """The record at a place, as far as it is kept."""
        origin = self._origins[place]
        headers = [] if origin is None else [(ORIGIN, origin)]
        time = self.times[place] if self.timed else 0
        return Record(self._offsets[place], self.values[place], self._keys[place], time, headers)


def _origin(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    return next((value for name, value in headers if name == ORIGIN), None)
