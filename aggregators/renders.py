"""`renders`: each render counts once, in its cell; the one of its earliest day and line, whatever comes when.

>>> from aggregators.rows import MemoryStore, Rows
>>> rows, renders = Rows(MemoryStore()), Renders(Counting())
>>> late = Render("a1", "maya", "arnold", 24, True, "2024-01-02", 7, 2000, 10.0, 50.0)
>>> list(renders.update(rows, Batch([late], ())).entities)
['2024-01-02,maya,arnold,true']
>>> early = Render("a1", "maya", "arnold", 24, True, "2024-01-01", 9, 1000, 10.0, 50.0)
>>> list(renders.update(rows, Batch([early], ())).entities)
['2024-01-02,maya,arnold,true', '2024-01-01,maya,arnold,true']
>>> renders.summary(rows, "2024-01-02,maya,arnold,true"), renders.summary(rows, "2024-01-01,maya,arnold,true")["count"]
(None, 1)

Rows of a partition:

    u UID              which cell the render counts in, its line and its contribution
    c ENTITY           the cell (`aggregators.cell`), its number, and how many renders have arrived in it
    n, n NUMBER        the number of the next cell, the entity of that number
    b NUMBER PLACE     `BLOCK` renders of a cell, in the order of their arrival
    f                  the first day that is not folded

A cell's blocks are read when a render that had an extreme is taken back, and the next one must be found. A render that
was taken back stays in them: the row of its uid says that it does not count there any more.

With a retention, a day is folded when it is older than the newest day less the retention: its cells stay as they are,
its renders are forgotten, and a record of it is too late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from operator import attrgetter
from struct import Struct
from typing import Any

import msgspec
import orjson

from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.cell import Cell, merged
from aggregators.homes import strangers
from aggregators.measure import At, Place
from aggregators.rows import Rows
from schemas.renders import Render, row_text

BLOCK = 16
"""Renders of a block: a batch writes the last one of each cell that it adds to once more."""

_Contribution = tuple[int, int, int, int | None, float | None, float | None]
"""Number of the cell, line, frames, and the three measures."""
_Arrived = tuple[str, int, int | None, float | None, float | None]
"""Uid, line, and the three measures."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Contribution).decode
_decode_block = msgspec.msgpack.Decoder(list[_Arrived]).decode
_arrived: Callable[[Render], _Arrived] = attrgetter("uid", "line", "elapsed_time", "maxram", "maxcpu")
_NUMBER = Struct(">I")
_BLOCK = Struct(">cIQ")
_CELLS, _CELLS_END = b"c", b"d"
_UIDS, _UIDS_END = b"u", b"v"
_FLOOR, _NUMBERS = b"f", b"n"
DAY_MS = 86_400_000


class Renders(Aggregator[Render]):
    """Counts, sums, extremes and sketches of each cell.

    Args:
        counting: ``retention_ms`` and ``max_ahead_ms`` are heeded; a render's time is the beginning of its day.
    """

    version = 2

    def __init__(self, counting: Counting) -> None:
        self._retention_ms = counting.retention_ms
        self._ahead_ms = counting.ahead_ms()
        self.needs_broker_time = self._ahead_ms is not None

    def update(self, rows: Rows, batch: Batch[Render]) -> Changes:
        """Count a batch."""
        changes = Changes()
        refuse = changes.refused.append
        tally = _Tally(rows, self._retention_ms)
        keys = [record.uid.encode() for record in batch.records]
        away = strangers(rows, keys)
        for place, (record, key) in enumerate(zip(batch.records, keys, strict=True)):
            if place in away:
                refuse((place, WRONG_PARTITION))
            elif record.day < tally.floor:
                refuse((place, TOO_LATE))
            elif self._ahead_ms is not None and _time_ms(record.day) > batch.broker_ms[place] + self._ahead_ms:
                refuse((place, IN_THE_FUTURE))
            else:
                tally.count(record, key)
        tally.settle()
        changes.entities = [cell.entity for cell in tally.touched.values()]
        return changes

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """This partition's share of a cell; None when nothing in it counts any more."""
        cell = _cell(rows, entity)
        return None if cell is None or not cell.count else cell.share()

    def merge(self, entity: str, shares: Any) -> dict[str, Any] | None:  # noqa: ARG002
        """The cell, from all shares of it."""
        return merged(shares)

    def keys(self, rows: Rows) -> Iterator[str]:
        """The uids of all renders that are not forgotten."""
        for key, _ in rows.range(_UIDS, _UIDS_END):
            yield key[len(_UIDS) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """Answer ``state``: the render that counts."""
        if name != "state":
            raise LookupError(f"renders have no view {name!r}; there is: state")
        row = rows.get(_UIDS + key.encode())
        if row is None:
            return None
        return msgspec.to_builtins(_render(key, row, _cell_numbered(rows, _decode(row)[0])))


class _Tally:
    """A batch on its way into rows."""

    def __init__(self, rows: Rows, retention_ms: int | None) -> None:
        self.touched: dict[int, Cell] = {}
        """The cells that changed, by number."""
        floor = rows.get(_FLOOR)
        self.floor = "" if floor is None else floor.decode()
        """The first day that is not folded."""
        self._rows = rows
        self._cells: dict[tuple[str, str, str, bool], Cell] = {}
        self._numbered: dict[int, Cell] = {}
        self._new: defaultdict[int, list[Render]] = defaultdict(list)
        """By number of the cell: what is not in it yet, since many at once cost less than one by one."""
        self._retention_ms = retention_ms
        self._newest = ""

    def count(self, record: Render, key: bytes) -> None:
        """Count a record, unless its uid counts already by one that is first."""
        if self._retention_ms is not None and record.day > self._newest:
            self._advance(record.day, self._retention_ms)
        rows, key = self._rows, _UIDS + key
        row = rows.get(key)
        if row is not None and not self._takes_over(record, row):
            return
        cell = self._cells.get((record.day, record.app, record.renderer, record.success)) or self._cell_of(record)
        contribution = cell.number, record.line, record.frames, record.elapsed_time, record.maxram, record.maxcpu
        rows.put(key, _encode(contribution))
        self._new[cell.number].append(record)

    def settle(self) -> None:
        """Put all that changed."""
        rows = self._rows
        for cell in self._cells.values():
            self._add_new(cell)
        for cell in self.touched.values():
            if any(measure.stale for measure in cell.measures):
                self._look_up(cell)
            key = _CELLS + cell.entity.encode()
            rows.put(key, orjson.dumps({"number": cell.number, "arrived": cell.arrived, **cell.share()}))
            rows.keep(key, cell, cell.nbytes)

    def _add_new(self, cell: Cell) -> None:
        """Take the new renders of a cell in."""
        renders = self._new.pop(cell.number, None)
        if renders is None:
            return
        cell.add(renders)
        number, (place, begun) = cell.number, divmod(cell.arrived, BLOCK)
        arrived = _block(self._rows, number, place) if begun else []
        arrived += map(_arrived, renders)
        for at in range(0, len(arrived), BLOCK):
            self._rows.put(_BLOCK.pack(b"b", number, place + at // BLOCK), _encode(arrived[at : at + BLOCK]))
        cell.arrived += len(renders)
        self.touched[number] = cell

    def _takes_over(self, record: Render, row: bytes) -> bool:
        """Whether ``record`` is before what counts of its uid by ``row``, which is taken back then."""
        number, line = _decode(row)[:2]
        cell = self._numbered.get(number)
        if cell is None:
            cell = self._met(_cell_numbered(self._rows, number))
        place, counted = (record.day, record.line), (cell.day, line)
        if place > counted:
            return False
        before = _render(record.uid, row, cell)
        if place == counted and (record == before or row_text(record) >= row_text(before)):
            return False
        self._add_new(cell)
        cell.remove(before)
        self.touched[number] = cell
        return True

    def _cell_of(self, record: Render) -> Cell:
        """The cell that a record counts in, where the batch has not met it yet; a new one gets the next number."""
        cell = Cell(record.day, record.app, record.renderer, record.success)
        known = _cell(self._rows, cell.entity)
        if known is None:
            self._number(cell)
        return self._met(known or cell)

    def _met(self, cell: Cell) -> Cell:
        self._numbered[cell.number] = self._cells[cell.day, cell.app, cell.renderer, cell.success] = cell
        return cell

    def _number(self, cell: Cell) -> None:
        rows = self._rows
        following = rows.get(_NUMBERS)
        cell.number = 0 if following is None else _NUMBER.unpack(following)[0]
        rows.put(_NUMBERS, _NUMBER.pack(cell.number + 1))
        rows.put(_NUMBERS + _NUMBER.pack(cell.number), cell.entity.encode())

    def _look_up(self, cell: Cell) -> None:
        """The extremes of a cell, from the renders that have arrived in it."""
        arrived = _arrived_in(self._rows, cell.number, cell.arrived)
        for at, measure in enumerate(cell.measures, 2):
            if not measure.stale:
                continue
            having = [(one[at], one) for one in arrived if one[at] is not None]
            greatest = self._first(cell, sorted(having, key=lambda pair: (-pair[0], *_order(cell.day, pair[1]))))
            least = self._first(cell, sorted(having, key=lambda pair: pair[0]))
            measure.settle(
                None if least is None else least[0],
                None if greatest is None else At(greatest[0], Place(cell.day, greatest[1][1], greatest[1][0])),
            )

    def _first(self, cell: Cell, candidates: list[tuple[Any, _Arrived]]) -> tuple[Any, _Arrived] | None:
        """The first of ``candidates`` that counts in ``cell``."""
        for candidate in candidates:
            uid, line, *measures = candidate[1]
            row = self._rows.get(_UIDS + uid.encode())
            if row is not None:
                number, counted, _, *values = _decode(row)
                if (number, counted, values) == (cell.number, line, measures):
                    return candidate
        return None

    def _advance(self, day: str, retention_ms: int) -> None:
        """``day`` is the newest of the batch: fold what is too old beside it."""
        self._newest = day
        newest = date.fromisoformat(day)
        floor = (newest - timedelta(min(retention_ms // DAY_MS, newest.toordinal() - 1))).isoformat()
        if floor <= self.floor:
            return
        self.settle()
        rows = self._rows
        for _, row in list(rows.range(_CELLS + self.floor.encode(), _CELLS + floor.encode())):
            cell = orjson.loads(row)
            number, arrived = cell["number"], cell["arrived"]
            for uid, *_ in _arrived_in(rows, number, arrived):
                key = _UIDS + uid.encode()
                counted = rows.get(key)
                if counted is not None and _decode(counted)[0] == number:
                    rows.delete(key)
            for place in range(-(-arrived // BLOCK)):
                rows.delete(_BLOCK.pack(b"b", number, place))
        self.floor = floor
        rows.put(_FLOOR, floor.encode())


def _cell(rows: Rows, entity: str) -> Cell | None:
    """A cell, by its entity."""
    key = _CELLS + entity.encode()
    cell: Cell | None = rows.kept(key)
    if cell is None:
        row = rows.get(key)
        if row is None:
            return None
        share = orjson.loads(row)
        cell = Cell.of(share, share["number"], share["arrived"])
        rows.keep(key, cell, cell.nbytes)
    return cell


def _cell_numbered(rows: Rows, number: int) -> Cell:
    """A cell, by its number."""
    entity = rows.get(_NUMBERS + _NUMBER.pack(number))
    cell = None if entity is None else _cell(rows, entity.decode())
    if cell is None:
        raise LookupError(f"the cell number {number} is missing: the state is damaged")
    return cell


def _render(uid: str, row: bytes, cell: Cell) -> Render:
    """The render that the row of a uid tells of."""
    _, line, frames, elapsed_ms, ram, cpu = _decode(row)
    return Render(uid, cell.app, cell.renderer, frames, cell.success, cell.day, line, elapsed_ms, ram, cpu)


def _block(rows: Rows, number: int, place: int) -> list[_Arrived]:
    """A block of the cell of that number."""
    block = rows.get(_BLOCK.pack(b"b", number, place))
    if block is None:
        raise LookupError(f"block {place} of the cell number {number} is missing: the state is damaged")
    return _decode_block(block)


def _arrived_in(rows: Rows, number: int, count: int) -> list[_Arrived]:
    """All that have arrived in a cell, as many as ``count``."""
    return [one for place in range(-(-count // BLOCK)) for one in _block(rows, number, place)]


def _order(day: str, arrived: _Arrived) -> tuple[str, int, bytes]:
    return Place(day, arrived[1], arrived[0]).order()


def _time_ms(day: str) -> int:
    """When a day begins, epoch milliseconds, UTC."""
    return (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS
