"""Which records of a batch of renders count: of a uid the one of the earliest day and line, whatever comes when.

>>> from aggregators.rows import MemoryStore
>>> records = [Render("a", "maya", "arnold", 1, False, "2024-01-02", line) for line in (7, 8, 6)]
>>> contest = Contest(Rows(MemoryStore()), records, [b"ua"] * 3)
>>> contest.arrived, contest.counts, contest.taken_back
([0, 2], [False, True], [])

A record *arrives* when none before it, of this batch or an earlier one, is first of its uid. Nearly every uid is new
and met once; what is left is gone through one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from aggregators.cell import Cell
from aggregators.render_rows import cell_numbered, decode, render_of
from aggregators.rows import Rows
from schemas.renders import Render, row_text

_STORED = -1


class Contest:
    """A batch's records against each other and against what counts already.

    Args:
        rows: of the partition.
        records: in the order of their arrival.
        keys: of the rows of their uids.
    """

    def __init__(self, rows: Rows, records: Sequence[Render], keys: Sequence[bytes]) -> None:
        self.taken_back: list[Render] = []
        """What counted before this batch and does not any more."""
        self.met_later: dict[bytes, str] = {}
        """The latest day on which a uid was met, by its key, where a record of an earlier day counts."""
        self._rows = rows
        self._numbered: dict[int, Cell] = {}
        arrives, counts = [True] * len(keys), [True] * len(keys)
        self._go_through(records, keys, arrives, counts)
        self.arrived = list(compress(range(len(keys)), arrives))
        """The places of the records that arrive."""
        self.counts = list(compress(counts, arrives))
        """Whether each of them counts when the batch is over."""

    def _go_through(
        self, records: Sequence[Render], keys: Sequence[bytes], arrives: list[bool], counts: list[bool]
    ) -> None:
        stored = self._rows.get_many(keys)
        first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        if len(first) == len(keys) and not any(stored):
            return
        again = [place for place, key in enumerate(keys) if first[key] != place]
        contested = {first[keys[place]] for place in again}.union(again)
        contested.update(place for place, row in enumerate(stored) if row is not None)
        held: dict[bytes, tuple[Render, int]] = {}  # what counts of a uid so far, and its place
        latest: dict[bytes, str] = {}
        for place in sorted(contested):
            key, record, row = keys[place], records[place], stored[place]
            if key not in held and row is not None:
                held[key] = self._stored(record.uid, row), _STORED
            latest[key] = max(record.day, latest.get(key, ""))
            if key in held:
                before, at = held[key]
                latest[key] = max(latest[key], before.day)
                if not _is_before(record, before):
                    arrives[place] = counts[place] = False
                    continue
                if at == _STORED:
                    self.taken_back.append(before)
                else:
                    counts[at] = False
            held[key] = record, place
        self.met_later = {key: day for key, day in latest.items() if day > held[key][0].day}

    def _stored(self, uid: str, row: bytes) -> Render:
        """The render that counted before this batch."""
        number = decode(row)[0]
        cell = self._numbered.get(number)
        if cell is None:
            cell = self._numbered[number] = cell_numbered(self._rows, number)
        return render_of(uid, row, cell)


def _is_before(record: Render, other: Render) -> bool:
    """Whether ``record`` counts, and not the other one of its uid."""
    place, counted = (record.day, record.line), (other.day, other.line)
    return place < counted or (place == counted and record != other and row_text(record) < row_text(other))
