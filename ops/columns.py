r"""Rows as a table that lines up, for people at a terminal.

>>> print(*columns(["topic", "records"], [["sites", 1200], ["dlq.sites", 3]]), sep="\n")
topic      records
sites        1,200
dlq.sites        3
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def columns(
    header: Sequence[str], rows: Sequence[Sequence[str | int | float | None]], *, grouped: bool = True
) -> Iterator[str]:
    """The lines of a table: numbers to the right, texts to the left, None as ``-``; control characters escaped.

    Args:
        header: the names of the columns.
        rows: as long as the header.
        grouped: whether commas part the thousands; without them a number is as Python writes it.
    """
    cells = [[_cell(value, "," if grouped else "") for value in row] for row in rows]
    numeric = [
        all(isinstance(row[i], (int, float, type(None))) for row in rows) and bool(rows) for i in range(len(header))
    ]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    for line in [list(header), *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def _cell(value: str | float | None, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value if value.isprintable() else value.encode("unicode_escape").decode()
    return f"{value:{form}}"
