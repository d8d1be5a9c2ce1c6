r"""What the rows of a stream's CSV files mean: the columns in their order, and how a field's text becomes a value.

>>> table = Table((Column("uid", text), Column("frames", whole), Column("peak", optional(decimal))))
>>> table.record(["a1b2", "24", ""])
{'uid': 'a1b2', 'frames': 24, 'peak': None}
>>> table.record(["a1b2", "-24", ""])
Traceback (most recent call last):
schemas.errors.BadRecord: frames: expected a whole number, digits only, got '-24'

A row travels as a JSON object with its columns' names; the schema's own types and check decide then whether it is good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any, NamedTuple

from schemas.errors import BadRecord

SHOWN = 60
"""Characters of a bad field that a reason repeats."""
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_LARGEST = 2**63 - 1

_SPECIAL = re.compile(r'[,"\r\n]')
_FIELD = re.compile(r'(?:^|,)(?:"((?:[^"]++|"")*+)"([^,]*+)|((?!")[^,]*+))')
"""Of a field its text within quotes and what follows them, or its text without quotes. (Python's `csv` takes a lone CR
for the end of a row.)"""

Field = Callable[[str], Any]
"""Makes a value of a field's text; raises `BadRecord` with what was expected."""


def text(field: str) -> str:
    """Any text, as it stands."""
    return field


def filled(field: str) -> str:
    """Any text but the empty one."""
    if not field:
        raise BadRecord("expected a text that is not empty")
    return field


def whole(field: str) -> int:
    """Digits, up to 64 bits with a sign bit: no sign, no exponent, no space, no underscore."""
    if not (field.isdecimal() and field.isascii()):
        raise BadRecord("expected a whole number, digits only")
    if len(field) < 19:
        return int(field)
    digits = field.lstrip("0") or "0"
    if len(digits) > 19 or int(digits) > _LARGEST:
        raise BadRecord("expected a whole number of at most 64 bits")
    return int(digits)


def decimal(field: str) -> float:
    """Digits with or without a point: no sign, no exponent, neither ``nan`` nor ``inf``."""
    if _DECIMAL.fullmatch(field) is None:
        raise BadRecord("expected a number, digits with or without a point")
    value = float(field)
    if isinf(value):
        raise BadRecord("expected a number that fits a double")
    return value


def truth(field: str) -> bool:
    """``true`` or ``false``."""
    if field not in {"true", "false"}:
        raise BadRecord("expected true or false")
    return field == "true"


def optional(read: Field) -> Field:
    """What ``read`` makes of a field; of an empty one None."""
    return lambda field: read(field) if field else None


def row_of(fields: Iterable[str]) -> str:
    r"""Fields as one row with no more quotes than it needs, without a line end.

    >>> row_of(["a", "b,c", "d"])
    'a,"b,c",d'
    """
    row = list(fields)
    if _SPECIAL.search("".join(row)) is not None:
        row = ['"' + field.replace('"', '""') + '"' if _SPECIAL.search(field) else field for field in row]
    return ",".join(row)


def fields_of(row: str) -> list[str]:
    """The fields of one row, whose quotes are closed.

    >>> fields_of('a,"b,c",d"e')
    ['a', 'b,c', 'd"e']

    Raises:
        BadRecord: text follows a closing quote.
    """
    if '"' not in row:
        return row.split(",")
    fields: list[str] = []
    for quoted, behind, bare in _FIELD.findall(row):
        if behind:
            raise BadRecord("text follows a closing quote")
        fields.append(bare or quoted.replace('""', '"'))
    return fields


class Column(NamedTuple):
    """One column."""

    name: str
    read: Field


@dataclass(frozen=True)
class Table:
    """The files of a stream.

    Args:
        columns: in their order.
        header: whether a file begins with a row that names them.
        numbered: whether a record carries the ``line`` at which its row begins.
        of_file: what a file's name says of its records; raises `UsageError` for a file that is none of the stream's.
        ops: what a row may tell to do, where rows are commands; the first one is the usual one.
        op: what the rows of the files at hand tell to do; empty: the usual thing.
    """

    columns: tuple[Column, ...]
    header: bool = False
    numbered: bool = False
    of_file: Callable[[str], Mapping[str, Any]] = lambda _name: {}
    ops: tuple[str, ...] = ()
    op: str = ""

    @property
    def given(self) -> Mapping[str, Any]:
        """What every record has beside its columns: its ``op``, where rows are commands."""
        return {"op": self.op or self.ops[0]} if self.ops else {}

    def record(self, fields: Sequence[str]) -> dict[str, Any]:
        """A row as an object.

        Raises:
            BadRecord: another number of columns, or a field that is not what its column holds.
        """
        columns = self.columns
        if len(fields) != len(columns):
            raise BadRecord(f"expected {len(columns)} columns, got {len(fields)}")
        try:
            return {name: read(field) for (name, read), field in zip(columns, fields, strict=True)}
        except BadRecord:
            raise self._blamed(fields) from None

    def _blamed(self, fields: Sequence[str]) -> BadRecord:
        """What is wrong with fields of which one is, and which."""
        for (name, read), field in zip(self.columns, fields, strict=True):
            try:
                read(field)
            except BadRecord as error:
                shown = repr(field) if len(field) <= SHOWN else f"{field[:SHOWN]!r}…"
                return BadRecord(f"{name}: {error}, got {shown}")
        return BadRecord("the row is bad")
