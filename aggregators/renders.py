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

    u UID                              which cell the render counts in, its line and its contribution
    c ENTITY                           the cell (`aggregators.cell`), and its number
    n, n NUMBER                        the number of the next cell, the entity of that number
    i NUMBER MEASURE VALUE LINE UID    a contribution, the greatest value first: where extremes are looked up when
                                       a render that had one is taken back
    f                                  the first day that is not folded

With a retention, a day is folded when it is older than the newest day less the retention: its cells stay as they are,
its renders are forgotten, and a record of it is too late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from struct import Struct
from typing import Any

import msgspec
import orjson

from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.cell import TIME, Cell, merged
from aggregators.homes import strangers
from aggregators.measure import At, Measure, Place, row_start
from aggregators.rows import Rows
from schemas.csv_table import fields_of
from schemas.renders import Render, row_text

_Contribution = tuple[int, int, int, int | None, float | None, float | None]
"""Number of the cell, line, frames, and the three measures."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Contribution).decode
_NUMBER = Struct(">I")
_INDEX = Struct(">cIB8sQ")
_INTEGER = Struct(">Q")
_DOUBLE = Struct(">d")
_ALL = 2**64 - 1
_CELLS, _CELLS_END = b"c", b"d"
_UIDS, _UIDS_END = b"u", b"v"
_FLOOR, _NUMBERS = b"f", b"n"
_PLACES = (b"\0", b"\1", b"\2")
_BARE = b"\3"
"""Instead of a measure: of a render that has none, so that each has an entry."""
DAY_MS = 86_400_000


class Renders(Aggregator[Render]):
    """Counts, sums, extremes and sketches of each cell.

    Args:
        counting: ``retention_ms`` and ``max_ahead_ms`` are heeded; a render's time is the beginning of its day.
    """

    version = 1

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
        cell = self._cell_of(record)
        rows.put(key, _encode((cell.number, record.line, record.frames, *_values(record))))
        self._new[cell.number].append(record)

    def settle(self) -> None:
        """Put all that changed."""
        rows = self._rows
        for cell in self._cells.values():
            self._add_new(cell)
        for cell in self.touched.values():
            for place, measure in enumerate(cell.measures):
                if measure.stale:
                    self._look_up(cell, place, measure)
            key = _CELLS + cell.entity.encode()
            rows.put(key, orjson.dumps({"number": cell.number, **cell.share()}))
            rows.keep(key, cell, cell.nbytes)

    def _add_new(self, cell: Cell) -> None:
        """Take the new renders of a cell in."""
        renders = self._new.pop(cell.number, None)
        if renders is None:
            return
        cell.add(renders)
        put = self._rows.put
        for render in renders:
            for entry in _entries(render, cell.number):
                put(entry, b"\1")
        self.touched[cell.number] = cell

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
        for entry in _entries(before, number):
            self._rows.delete(entry)
        self.touched[number] = cell
        return True

    def _cell_of(self, record: Render) -> Cell:
        """The cell that a record counts in; a new one gets the next number."""
        dimensions = (record.day, record.app, record.renderer, record.success)
        cell = self._cells.get(dimensions)
        if cell is None:
            fresh = Cell(*dimensions)
            cell = _cell(self._rows, fresh.entity)
            if cell is None:
                cell = fresh
                self._number(cell)
            self._met(cell)
        return cell

    def _met(self, cell: Cell) -> Cell:
        self._numbered[cell.number] = self._cells[cell.day, cell.app, cell.renderer, cell.success] = cell
        return cell

    def _number(self, cell: Cell) -> None:
        rows = self._rows
        following = rows.get(_NUMBERS)
        cell.number = 0 if following is None else _NUMBER.unpack(following)[0]
        rows.put(_NUMBERS, _NUMBER.pack(cell.number + 1))
        rows.put(_NUMBERS + _NUMBER.pack(cell.number), cell.entity.encode())

    def _look_up(self, cell: Cell, place: int, measure: Measure) -> None:
        """The extremes of a measure, from the ordered entries."""
        start, end = _entries_of(cell.number, place), _entries_of(cell.number, place + 1)
        first = next(self._rows.range(start, end), None)
        last = next(self._rows.range(start, end, reverse=True), None)
        if first is None or last is None:
            measure.settle(None, None)
            return
        word, line, uid = _read_entry(first[0])
        greatest = At(_value_of(word, place), Place(cell.day, line, uid))
        measure.settle(_value_of(_read_entry(last[0])[0], place), greatest)

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
            number = orjson.loads(row)["number"]
            for entry, _ in list(rows.range(_entries_of(number, 0), _entries_of(number + 1, 0))):
                rows.delete(entry)
                rows.delete(_UIDS + _read_entry(entry)[2].encode())
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
        cell = Cell.of(share, share["number"])
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


def _values(render: Render) -> tuple[int | None, float | None, float | None]:
    return render.elapsed_time, render.maxram, render.maxcpu


def _entries(render: Render, number: int) -> list[bytes]:
    """The keys of a render's ordered entries in the cell of that number."""
    head, tail = b"i" + _NUMBER.pack(number), _INTEGER.pack(render.line) + row_start(render.uid)
    values = zip(_PLACES, _values(render), strict=True)
    entries = [head + place + _word_of(value) + tail for place, value in values if value is not None]
    return entries or [head + _BARE + bytes(8) + tail]


def _entries_of(number: int, place: int) -> bytes:
    """How the ordered entries of a cell's measure begin."""
    return b"i" + _NUMBER.pack(number) + bytes([place])


def _read_entry(key: bytes) -> tuple[bytes, int, str]:
    """The word, the line and the uid of an ordered entry."""
    _, _, _, word, line = _INDEX.unpack_from(key)
    return word, line, fields_of(key[_INDEX.size :].decode())[0]


def _word_of(value: float) -> bytes:
    """Eight bytes that sort as values do, the greatest first: a double's own bits do, when it has no sign."""
    bits = value if isinstance(value, int) else _INTEGER.unpack(_DOUBLE.pack(value))[0]
    return _INTEGER.pack(_ALL ^ bits)


def _value_of(word: bytes, place: int) -> float:
    """The value of a word: times are integers, peaks are doubles."""
    plain = _INTEGER.pack(_ALL ^ _INTEGER.unpack(word)[0])
    return (_INTEGER if place == TIME else _DOUBLE).unpack(plain)[0]


def _time_ms(day: str) -> int:
    """When a day begins, epoch milliseconds, UTC."""
    return (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS
