r"""CSV as RFC 4180 has it: rows that may span lines, each sent as a JSON object with its columns' names.

>>> splitter = RowSplitter()
>>> splitter.feed(b'1,"a\nb""c"\r\n2,x"y\n3,"torn\n4,z').values
[b'1,"a\nb""c"', b'2,x"y']
>>> splitter.line, splitter.end().values     # the quote in line 4 never closes, so that line alone is lost
(4, [b'3,"torn', b'4,z'])
>>> fields_of(b'1,"a\nb""c"')
['1', 'a\nb"c']
>>> fields_of(b'3,"torn')
Traceback (most recent call last):
schemas.errors.BadRecord: a quote is not closed

The dialect: LF or CRLF ends a row, the last end is optional, blank lines are passed over. A field that begins with a
quote ends with one, and holds anything, a quote doubled. Any other field is literal, quotes and a lone CR included.
Text after a closing quote makes its row bad. Of a quote that does not close within `MAX_RECORD_BYTES`, or by the end of
the input, only the first line is bad: reading goes on at the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from producers.jsonl import KEYED_BYTES
from producers.lines import Lines, LineSplitter
from producers.records import Format, Parsed, Reading, Rejected, too_large
from schemas.csv_table import Table
from schemas.csv_table import fields_of as fields_of_text
from schemas.decode import reason_of
from schemas.errors import BadRecord, StreamgaugeError
from schemas.schema import Schema
from schemas.wire import MAX_RECORD_BYTES

# Possessive all through (`*+`): what has matched is never tried again, so a row costs what it is long.
_FIELD = rb'(?:"(?:[^"]++|"")*+"[^,\n]*+|(?!")[^,\n]*+)'
_ROW = re.compile(_FIELD + rb"(?:," + _FIELD + rb")*+(?:\n|\Z)")


class RowSplitter(LineSplitter):
    """Turns blocks, cut anywhere, into rows: lines, but for those that a quoted field joins."""

    _open = False
    """Whether what is held begins a row whose quote is open."""

    def feed(self, block: bytes) -> Lines:
        """Take the next bytes of the source; the rows that are complete now."""
        if self._huge is not None:
            rest, end, block = block.partition(b"\n")
            before = super().feed(rest + end)
            if not block:
                return before
            lines = self.feed(block)
            return lines._replace(huge=[*before.huge, *lines.huge])
        if not (self._open or b'"' in block or b'"' in self._carry):
            return super().feed(block)
        if not self._begun:
            block = self._without_mark(block)
        rest = bytes(self._carry) + block
        self._carry = bytearray()
        return self._rows(rest, last=False)

    def end(self) -> Lines:
        """The source has ended: what was left."""
        if not self._open:
            return super().end()
        rest = bytes(self._carry)
        self._carry = bytearray()
        return self._rows(rest, last=True)

    def _rows(self, block: bytes, *, last: bool) -> Lines:
        values: list[bytes] = []
        numbers: list[int] = []
        at, limit = 0, self._limit
        self._open = False
        while at < len(block):
            row = _ROW.match(block, at)
            end = row.end() if row else -1
            whole = row is not None and (last or block[end - 1 : end] == b"\n")
            line_end = block.find(b"\n", at) + 1
            if whole and (end - at <= limit or end == line_end or not line_end):
                pass
            elif line_end and (last or len(block) - at > limit + 1):
                end = line_end  # the quote does not close: this line is bad by itself
            elif last:
                end = len(block)
            else:
                self._open = line_end > 0
                break
            value = block[at:end].removesuffix(b"\n")
            values.append(value.removesuffix(b"\r"))
            numbers.append(self.line)
            self._passed(value.count(b"\n") + 1, end - at)
            at = end
        self._hold(block[at:])
        return self._numbered(values, numbers, [])


def fields_of(row: bytes) -> list[str]:
    """The fields of one row, without its line end.

    Raises:
        BadRecord: a quote is not closed, text follows a closing one, or the row is not UTF-8.
    """
    try:
        text = row.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(reason_of(error)) from error
    if '"' in text:
        match = _ROW.match(row)
        if match is None or match.end() < len(row):
            raise BadRecord("a quote is not closed")
    return fields_of_text(text)


class CsvRows(RowSplitter):
    """A reading of CSV.

    Args:
        schema: of the stream: its types decide what is good, its key becomes the Kafka key.
        table: what the columns hold.
        given: further members of each record.
        name: of the source.
        line, offset: where in the source reading begins.
    """

    def __init__(
        self, schema: Schema[Any], table: Table, given: Mapping[str, Any], name: str, *, line: int = 1, offset: int = 0
    ) -> None:
        super().__init__(line=line, offset=offset)
        self._decoder = schema.decoder
        self._key: Callable[[Any], str] = schema.key
        self._table = table
        self._given = given
        self._header = [column.name for column in table.columns] if table.header else None
        self._name = name
        self._first: int | None = None if line == 1 else 0
        """The line of the first row, which may be a header; 0: not in this part of the source."""

    def feed(self, block: bytes) -> Lines:
        """Take the next bytes; the rows that are complete now, unparsed.

        Raises:
            StreamgaugeError: the header has the columns in another order. Rows do not say theirs, so that whoever
                reads one alone (going on in the middle, sending a dead letter back) would take a name for a sku.
        """
        return self._headed(super().feed(block))

    def end(self) -> Lines:
        """The source has ended: what was left.

        Raises:
            StreamgaugeError: as `feed`.
        """
        return self._headed(super().end())

    def _headed(self, lines: Lines) -> Lines:
        """``lines``, after a look at the very first of them."""
        if self._first is None and lines.values and self._header is not None:
            self._first = lines.numbers[0]
            fields = lines.values[0].decode("utf-8", "replace").replace('"', "").split(",")
            if fields != self._header and sorted(fields) == sorted(self._header):
                raise StreamgaugeError(
                    f"{self._name}: the header names the columns {','.join(fields)}; none of its rows was taken, "
                    f"write it with the columns {','.join(self._header)}"
                )
        return lines

    def parse(self, lines: Lines) -> Parsed:
        """Make objects of the rows and decode all of them at once; a bad one keeps its row's bytes."""
        rejected = [too_large(huge) for huge in lines.huge]
        values: list[bytes] = []
        places: list[int] = []
        for place, (row, number) in enumerate(zip(lines.values, lines.numbers, strict=True)):
            try:
                fields = fields_of(row)
                if number == self._first and fields == self._header:
                    continue
                record = {**self._table.record(fields), **self._given}
                if self._table.numbered:
                    record["line"] = number
                value = orjson.dumps(record)
            except BadRecord as error:
                rejected.append(Rejected(number, row, str(error)))
                continue
            values.append(value)
            places.append(place)
        records, positions, bad = self._decoder.decode(values)
        keys = [self._key(record).encode() for record in records]
        numbers = lines.numbers
        rejected += [Rejected(numbers[places[at]], lines.values[places[at]], reason) for at, reason in bad]
        parsed = Parsed([], [], [], rejected, self._given.get("op", ""))
        kept: list[int] = []
        for key, at in zip(keys, positions, strict=True):
            value, place = values[at], places[at]
            size = len(key) + len(value)
            if len(value) > MAX_RECORD_BYTES or size > KEYED_BYTES:
                reason = f"as JSON the record with its key is {size} bytes; at most {MAX_RECORD_BYTES} are taken"
                rejected.append(Rejected(numbers[place], lines.values[place], reason))
                continue
            parsed.keys.append(key)
            parsed.values.append(value)
            kept.append(numbers[place])
        parsed.lines = kept
        return parsed


def csv_rows(schema: Schema[Any]) -> Format:
    """The format of a stream whose sources are CSV files.

    Raises:
        TypeError: the schema does not say what the columns hold.
    """
    table = schema.csv
    if table is None:
        raise TypeError(f"the schema of {schema.name} has no table of columns")

    def read(name: str, *, line: int = 1, offset: int = 0) -> Reading:
        given = {**table.of_file(name), **table.given}
        return CsvRows(schema, table, given, name, line=line, offset=offset)

    return read
