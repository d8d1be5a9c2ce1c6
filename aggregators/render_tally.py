"""A batch of renders on its way into rows: into their cells, the blocks of these, and the rows of their uids.

>>> from aggregators.rows import MemoryStore
>>> rows = Rows(MemoryStore())
>>> tally = Tally(rows)
>>> tally.count([Render("a", "maya", "arnold", 1, False, "2024-01-02", 7)], [UIDS + b"a"])
>>> tally.settle()
>>> [cell.count for cell in tally.touched.values()], rows.get(UIDS + b"a") is None
([1], False)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import numpy as np
import orjson

from aggregators.cell import Cell, fill
from aggregators.distinct import distinct, sorted_by
from aggregators.measure import At, Place
from aggregators.measures import Arrived, Columns, arrived
from aggregators.render_contest import Contest
from aggregators.render_rows import (
    CELLS,
    FLOOR,
    LATEST,
    UIDS,
    WATCHED,
    Contribution,
    arrived_in,
    cell_numbered,
    cell_of,
    decode,
    delete_arrived,
    encode,
    put,
    put_arrived,
)
from aggregators.rows import Rows
from schemas.renders import Render

_CELL, _FRAMES = attrgetter("day", "app", "renderer", "success"), attrgetter("frames")


class Tally:
    """A batch on its way into rows.

    Args:
        rows: of the partition.
        forgets: whether days are folded, so that uids are forgotten.
    """

    def __init__(self, rows: Rows, *, forgets: bool = False) -> None:
        self.touched: dict[int, Cell] = {}
        """The cells that changed, by number."""
        floor = rows.get(FLOOR)
        self.floor = "" if floor is None else floor.decode()
        """The first day that is not folded."""
        self._rows = rows
        self._forgets = forgets

    def count(self, records: Sequence[Render], keys: Sequence[bytes]) -> None:
        """Count records, each unless its uid counts already by one that is first.

        Args:
            records: in the order of their arrival.
            keys: of the rows of their uids.
        """
        contest = Contest(self._rows, records, keys)
        for before in contest.taken_back:
            self._cell(before.day, before.app, before.renderer, before.success).remove(before)
        if self._forgets:
            self._watch(contest.met_later)
        if not contest.arrived:
            return
        if len(contest.arrived) < len(records):
            records, keys = [records[place] for place in contest.arrived], [keys[place] for place in contest.arrived]
        # Columns are taken in the order of arrival, as the records lie in memory.
        new, number = list(map(arrived, records)), len(records)
        named, codes = distinct(map(_CELL, records), number)
        cells = [self._cell(*name) for name in named]
        order = sorted_by(codes, len(cells))
        places: list[int] = order.tolist()
        self._put_arrived(cells, [new[place] for place in places], np.bincount(codes).tolist())
        columns, counts = Columns.of(new), np.array(contest.counts, np.bool_)
        numbers = np.array([cell.number for cell in cells], np.int64)[codes]
        rows = zip(keys, map(encode, _contributions(numbers.tolist(), new, records)), strict=True)
        self._rows.change(dict(rows if all(contest.counts) else compress(rows, contest.counts)))
        order = order[counts[order]]
        fill(cells, columns.at(order), codes[order].astype(np.int64))

    def settle(self) -> None:
        """Put the cells that changed."""
        for cell in self.touched.values():
            if any(measure.stale for measure in cell.measures):
                self._look_up(cell)
            put(self._rows, cell)

    def fold(self, floor: str) -> None:
        """The first day that is not folded is ``floor``, or a later one.

        A uid is forgotten with the latest day on which it was met: else that day, replayed, would count it again.
        """
        if floor <= self.floor:
            return
        self.settle()
        rows = self._rows
        for _, row in list(rows.range(CELLS + self.floor.encode(), CELLS + floor.encode())):
            cell = orjson.loads(row)
            number, count = cell["number"], cell["arrived"]
            for uid, *_ in arrived_in(rows, number, count):
                key = UIDS + uid.encode()
                counted = rows.get(key)
                if counted is not None and decode(counted)[0] == number and rows.get(LATEST + uid.encode()) is None:
                    rows.delete(key)
            delete_arrived(rows, number, count)
        for watched, _ in list(rows.range(WATCHED, WATCHED + floor.encode())):
            uid = watched[len(WATCHED) + len(floor) :]
            rows.delete(watched)
            rows.delete(LATEST + uid)
            counted = rows.get(UIDS + uid)
            if counted is not None and cell_numbered(rows, decode(counted)[0]).day < floor:
                rows.delete(UIDS + uid)
        self.floor = floor
        rows.put(FLOOR, floor.encode())

    def _watch(self, met: Mapping[bytes, str]) -> None:
        """Note the latest day on which uids were met, where it is not the one that counts."""
        for key, day in met.items():
            uid = key[len(UIDS) :]
            known = self._rows.get(LATEST + uid)
            if known is None or known.decode() < day:
                if known is not None:
                    self._rows.delete(WATCHED + known + uid)
                self._rows.put(LATEST + uid, day.encode())
                self._rows.put(WATCHED + day.encode() + uid, b"1")

    def _cell(self, day: str, app: str, renderer: str, success: bool) -> Cell:
        """A cell that changes."""
        cell = cell_of(self._rows, day, app, renderer, success=success)
        self.touched[cell.number] = cell
        return cell

    def _put_arrived(self, cells: Sequence[Cell], new: Sequence[Arrived], counts: Sequence[int]) -> None:
        """Put renders into the blocks of their cells: so many after each other are of each."""
        begin = 0
        for cell, count in zip(cells, counts, strict=True):
            put_arrived(self._rows, cell, new[begin : begin + count])
            begin += count

    def _look_up(self, cell: Cell) -> None:
        """The extremes of a cell, from the renders that have arrived in it."""
        found = arrived_in(self._rows, cell.number, cell.arrived)
        for at, measure in enumerate(cell.measures, 2):
            if not measure.stale:
                continue
            having = [(one[at], one) for one in found if one[at] is not None]
            greatest = self._first(cell, sorted(having, key=lambda pair: (-pair[0], *_order(cell.day, pair[1]))))
            least = self._first(cell, sorted(having, key=lambda pair: pair[0]))
            measure.settle(
                None if least is None else least[0],
                None if greatest is None else At(greatest[0], Place(cell.day, greatest[1][1], greatest[1][0])),
            )

    def _first(self, cell: Cell, candidates: list[tuple[Any, Arrived]]) -> tuple[Any, Arrived] | None:
        """The first of ``candidates`` that counts in ``cell``."""
        for candidate in candidates:
            uid, line, *measures = candidate[1]
            row = self._rows.get(UIDS + uid.encode())
            if row is not None:
                number, counted, _, *values = decode(row)
                if (number, counted, values) == (cell.number, line, measures):
                    return candidate
        return None


def _contributions(numbers: Sequence[int], new: Sequence[Arrived], records: Sequence[Render]) -> Iterator[Contribution]:
    """What the row of each uid says; ``numbers`` are of the cells."""
    _, lines, *measures = zip(*new, strict=True)
    return zip(numbers, lines, map(_FRAMES, records), *measures, strict=True)


def _order(day: str, one: Arrived) -> tuple[str, int, bytes]:
    return Place(day, one[1], one[0]).order()
