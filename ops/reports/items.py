r"""`report items`: the foods and the categories that are eaten most.

>>> counts = Counts()
>>> counts.add([(b"food:7", b'{"kind":"food","id":7,"count":1}'), (b"food:5", b'{"kind":"food","id":5,"count":1}')])
>>> counts.add([(b"food:30", b'{"kind":"food","id":30,"count":2}'), (b"food:9", None)])
>>> print(*counts.top("food", 2).text(), sep="\n")
30,2
5,1

There may be millions of foods, of which a hundred are asked for: a count that is held takes 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from aggregators.frequent import STANDARD_ERROR
from ops.reports.table import Column, Table
from schemas.items import ITEMS, WHOLES

COLUMNS = {"food": "food_id", "category": "food__category_id"}
"""What the id of each kind is called in the records."""
DEFAULT_K = {"food": 100, "category": 10}
PENDING = 1_000_000
"""Counts that are taken before it is looked which of them are outdated."""

Integers = NDArray[np.int64]


class _Summary(msgspec.Struct, gc=False):
    """What is needed of a summary."""

    kind: str
    id: int
    count: int
    error: int | None = None
    distinct: int | None = None


_decode = msgspec.json.Decoder(list[_Summary]).decode


def _removed(key: bytes) -> bytes:
    return msgspec.json.encode({**ITEMS.removed(key.decode()), "count": 0})


class Counts:
    """The newest count of every food and category, from all that was published."""

    def __init__(self) -> None:
        self._newest = {kind: _Newest() for kind in COLUMNS}
        self._wholes: dict[str, _Summary] = {}

    def add(self, pairs: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take what was published next: keys and summaries, None where one was removed."""
        found = _decode(b"[" + b",".join(_removed(key) if value is None else value for key, value in pairs) + b"]")
        for kind, newest in self._newest.items():
            chosen = [each for each in found if each.kind == kind]
            newest.add([each.id for each in chosen], [each.count for each in chosen])
        self._wholes.update((each.kind, each) for each in found if each.kind in WHOLES.values())

    def top(self, kind: str, k: int, *, column: str = "id") -> Table:
        """The ``k`` most frequent of a kind: count descending, then id ascending."""
        return Table((Column(column), Column("count")), self._newest[kind].top(k))

    def bounds(self) -> Iterator[str]:
        """What is to be said beside counts of a worker with ``--sketch``; nothing where they are exact."""
        within = 3 * STANDARD_ERROR
        for whole in self._wholes.values():
            if whole.error is not None:
                yield (
                    f"{whole.kind}: approximate (--sketch), of {whole.count:,} items; a count is too small by "
                    f"{whole.error:,} at the most; about {whole.distinct:,} different ones (± {within:.0%})"
                )


class _Newest:
    """The newest number of each id."""

    def __init__(self) -> None:
        self._ids: list[Integers] = []
        self._numbers: list[Integers] = []
        self._pending = 0

    def add(self, ids: Sequence[int], numbers: Sequence[int]) -> None:
        """Take numbers, each newer than all before it."""
        self._ids.append(np.array(ids, np.int64))
        self._numbers.append(np.array(numbers, np.int64))
        self._pending += len(ids)
        if self._pending > PENDING:
            self._settle()

    def top(self, k: int) -> list[tuple[int, int]]:
        """The ``k`` ids with the greatest numbers over 0, and those; of equal ones the smallest ids."""
        ids, numbers = self._settle()
        if k < len(numbers):
            enough = numbers >= np.partition(numbers, -k)[-k]
            ids, numbers = ids[enough], numbers[enough]
        best = np.lexsort((ids, -numbers))[:k]
        return list(zip(ids[best].tolist(), numbers[best].tolist(), strict=True))

    def _settle(self) -> tuple[Integers, Integers]:
        """Let go of what is outdated, and of what was removed."""
        none = np.empty(0, np.int64)
        ids, numbers = np.concatenate([none, *self._ids]), np.concatenate([none, *self._numbers])
        order = np.argsort(ids, kind="stable")  # of one id the newest last, as they came
        ids, numbers = ids[order], numbers[order]
        holds = (np.diff(ids, append=none if not len(ids) else [ids[-1] - 1]) != 0) & (numbers > 0)
        self._ids, self._numbers, self._pending = [ids[holds]], [numbers[holds]], 0
        return self._ids[0], self._numbers[0]


def sections(tables: Sequence[Table]) -> Iterator[str]:
    """The tables one below the other, each with its header, an empty line between two."""
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield from table.csv()


def array(tables: Sequence[Table]) -> Iterator[str]:
    """The rows of all tables as one JSON array."""
    rows = [line.removesuffix(",") for table in tables for line in list(table.json())[1:-1]]
    yield "["
    yield from (row + ("," if number < len(rows) else "") for number, row in enumerate(rows, 1))
    yield "]"
