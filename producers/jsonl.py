r"""JSON lines: one record a line, sent as it stands.

>>> from schemas.sites import SITES
>>> reading = JsonLines(SITES)
>>> good = b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}'
>>> parsed = reading.parse(reading.feed(good + b"\n{}\n"))
>>> parsed.keys, parsed.values == [good], parsed.rejected
([b'7'], True, [Rejected(line=2, value=b'{}', reason='Object missing required field `type`', length=None, sha256=None)])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from producers.lines import Lines, LineSplitter
from producers.records import Format, Parsed, Reading, Rejected, too_large
from schemas.schema import Schema
from schemas.wire import MAX_RECORD_BYTES

KEYED_BYTES = 1_040_000
"""The most that a record and its key may take together: Kafka's default ``max.message.bytes`` is 1,048,588 with all
headers. Reached by keys of 40 kB and more only."""


class JsonLines(LineSplitter):
    """A reading of JSON lines.

    Args:
        schema: of the stream: its types decide what is good, its key becomes the Kafka key.
        line, offset: where in the source reading begins.
    """

    def __init__(self, schema: Schema[Any], *, line: int = 1, offset: int = 0) -> None:
        super().__init__(line=line, offset=offset)
        self._decoder = schema.decoder
        self._key: Callable[[Any], str] = schema.key

    def parse(self, lines: Lines) -> Parsed:
        """Decode all of the lines at once; the good ones keep their bytes."""
        values, numbers = lines.values, lines.numbers
        records, positions, bad = self._decoder.decode(values)
        key = self._key
        keys = [key(record).encode() for record in records]
        rejected = [too_large(huge) for huge in lines.huge]
        if bad:
            rejected += [Rejected(numbers[index], values[index], reason) for index, reason in bad]
            values = [values[index] for index in positions]
            numbers = [numbers[index] for index in positions]
        parsed = Parsed(keys, values, numbers, rejected)
        if keys and max(map(len, keys)) > KEYED_BYTES - MAX_RECORD_BYTES:
            _reject_long_keys(parsed)
        return parsed


def json_lines(schema: Schema[Any]) -> Format:
    """The format of a stream whose sources are JSON lines."""

    def read(name: str, *, line: int = 1, offset: int = 0) -> Reading:
        del name  # a line says all that there is to know
        return JsonLines(schema, line=line, offset=offset)

    return read


def _reject_long_keys(parsed: Parsed) -> None:
    """Take out what the broker would refuse, and with it the whole batch that it came in."""
    fits = [len(key) + len(value) <= KEYED_BYTES for key, value in zip(parsed.keys, parsed.values, strict=True)]
    for good, key, value, line in zip(fits, parsed.keys, parsed.values, parsed.lines, strict=True):
        if not good:
            reason = f"the record with its key is {len(key) + len(value)} bytes; at most {KEYED_BYTES} are taken"
            parsed.rejected.append(Rejected(line, value, reason))
    parsed.keys = [key for good, key in zip(fits, parsed.keys, strict=True) if good]
    parsed.values = [value for good, value in zip(fits, parsed.values, strict=True) if good]
    parsed.lines = [line for good, line in zip(fits, parsed.lines, strict=True) if good]
