r"""A report's table and the three ways to write it: for people, as CSV, as JSON.

>>> table = Table((Column("site_id"), Column("messages", labelled=True)), [("a\tb", 4), ("c,d", None)])
>>> print(*table.text(), sep="\n")
a\u0009b,messages=4
c,d,messages=
>>> print(*table.csv(), sep="\n")
site_id,messages
a	b,4
"c,d",
>>> print(*table.json(), sep="\n")
[
{"site_id":"a\tb","messages":4},
{"site_id":"c,d","messages":null}
]
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """One column: its name in CSV and JSON, and whether a line for people repeats it (``messages=4``)."""

    name: str
    labelled: bool = False


@dataclass(frozen=True)
class Table:
    """A report: what its columns are called, and its rows in the order in which people read them."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Value, ...]]

    def text(self) -> Iterator[str]:
        r"""A line a row for people: fields joined by commas, nothing quoted, control characters as ``\u00XX``."""
        labels = [f"{column.name}=" if column.labelled else "" for column in self.columns]
        for row in self.rows:
            yield ",".join(label + _plain(value) for label, value in zip(labels, row, strict=True))

    def values(self) -> Iterator[str]:
        """A line a value, for scripts: bare, written as in `text`."""
        for row in self.rows:
            yield from map(_plain, row)

    def csv(self) -> Iterator[str]:
        """RFC 4180 with a header; a field may hold line ends, so an item may be more than one line."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")  # what it names is quoted within a field
        for row in ([column.name for column in self.columns], *self.rows):
            writer.writerow(row)
            yield buffer.getvalue()[:-2]
            buffer.seek(0)
            buffer.truncate()

    def json(self) -> Iterator[str]:
        """One array of objects that are named like the columns, an object a line."""
        names = [column.name for column in self.columns]
        yield "["
        last = len(self.rows) - 1
        for number, row in enumerate(self.rows):
            yield orjson.dumps(dict(zip(names, row, strict=True))).decode() + ("," if number < last else "")
        yield "]"


def _plain(value: Value) -> str:
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) else str(value)


def printable(text: str) -> str:
    r"""A text that can do no harm to a terminal: control characters as ``\u00XX``."""
    return text if text.isprintable() else text.translate(_ESCAPES)


_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
"""Unicode's control characters (category Cc)."""
