"""The rows of `renders`: which there are, and what is in them.

>>> from aggregators.rows import MemoryStore
>>> rows = Rows(MemoryStore())
>>> cell = cell_of(rows, "2024-01-01", "maya", "arnold", success=True)
>>> cell.number, cell_of(rows, "2024-01-01", "maya", "arnold", success=True) is cell
(0, True)
>>> rows.put(UIDS + b"a1", encode((0, 7, 24, 2000, 10.0, 50.0)))
>>> render_of("a1", rows.get(UIDS + b"a1"), cell).line
7

    u UID              which cell the render counts in, its line and its contribution
    c ENTITY           the cell (`aggregators.cell`), its number, and how many renders have arrived in it
    n, n NUMBER        the number of the next cell, the entity of that number
    l UID              the latest day on which the uid was met, where that is not the one that counts (with a retention)
    w DAY UID          the same, by day
    b NUMBER PLACE     `BLOCK` renders of a cell, in the order of their arrival
    f                  the first day that is not folded
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct

import msgspec
import orjson

from aggregators.cell import Cell
from aggregators.measures import Arrived
from aggregators.rows import Rows
from schemas.renders import Render

BLOCK = 16
"""Renders of a block: a batch writes the last one of each cell that it adds to once more."""

Contribution = tuple[int, int, int, int | None, float | None, float | None]
"""Number of the cell, line, frames, and the three measures."""

encode = msgspec.msgpack.Encoder().encode
decode: Callable[[bytes], Contribution] = msgspec.msgpack.Decoder(Contribution).decode
_decode_block = msgspec.msgpack.Decoder(list[Arrived]).decode
_NUMBER = Struct(">I")
_BLOCK = Struct(">cIQ")
CELLS = b"c"
UIDS, UIDS_END = b"u", b"v"
FLOOR = b"f"
LATEST, WATCHED = b"l", b"w"
_NUMBERS = b"n"


def cell_called(rows: Rows, entity: str) -> Cell | None:
    """A cell, by its entity."""
    key = CELLS + entity.encode()
    cell: Cell | None = rows.kept(key)
    if cell is None:
        row = rows.get(key)
        if row is None:
            return None
        share = orjson.loads(row)
        cell = Cell.of(share, share["number"], share["arrived"])
        rows.keep(key, cell, cell.nbytes)
    return cell


def cell_numbered(rows: Rows, number: int) -> Cell:
    """A cell, by its number."""
    entity = rows.get(_NUMBERS + _NUMBER.pack(number))
    cell = None if entity is None else cell_called(rows, entity.decode())
    if cell is None:
        raise LookupError(f"the cell number {number} is missing: the state is damaged")
    return cell


def cell_of(rows: Rows, day: str, app: str, renderer: str, *, success: bool) -> Cell:
    """A cell, by what its renders have in common; a new one gets the next number, and must be `put`."""
    cell = Cell(day, app, renderer, success)
    known = cell_called(rows, cell.entity)
    if known is not None:
        return known
    following = rows.get(_NUMBERS)
    cell.number = 0 if following is None else _NUMBER.unpack(following)[0]
    rows.put(_NUMBERS, _NUMBER.pack(cell.number + 1))
    rows.put(_NUMBERS + _NUMBER.pack(cell.number), cell.entity.encode())
    rows.keep(CELLS + cell.entity.encode(), cell, cell.nbytes)
    return cell


def put(rows: Rows, cell: Cell) -> None:
    """Put the row of a cell."""
    key = CELLS + cell.entity.encode()
    rows.put(key, orjson.dumps({"number": cell.number, "arrived": cell.arrived, **cell.share()}))
    rows.keep(key, cell, cell.nbytes)


def render_of(uid: str, row: bytes, cell: Cell) -> Render:
    """The render that the row of a uid tells of."""
    _, line, frames, elapsed_ms, ram, cpu = decode(row)
    return Render(uid, cell.app, cell.renderer, frames, cell.success, cell.day, line, elapsed_ms, ram, cpu)


def put_arrived(rows: Rows, cell: Cell, new: Sequence[Arrived]) -> None:
    """Put what has arrived in a cell into its blocks."""
    number, (place, begun) = cell.number, divmod(cell.arrived, BLOCK)
    following = [*(_block(rows, number, place) if begun else ()), *new]
    rows.change(
        {
            _BLOCK.pack(b"b", number, place + at // BLOCK): encode(following[at : at + BLOCK])
            for at in range(0, len(following), BLOCK)
        }
    )
    cell.arrived += len(new)


def arrived_in(rows: Rows, number: int, count: int) -> list[Arrived]:
    """All that have arrived in the cell of that number, as many as ``count``."""
    return [one for place in range(-(-count // BLOCK)) for one in _block(rows, number, place)]


def delete_arrived(rows: Rows, number: int, count: int) -> None:
    """Delete the blocks of the cell of that number, in which ``count`` have arrived."""
    for place in range(-(-count // BLOCK)):
        rows.delete(_BLOCK.pack(b"b", number, place))


def _block(rows: Rows, number: int, place: int) -> list[Arrived]:
    block = rows.get(_BLOCK.pack(b"b", number, place))
    if block is None:
        raise LookupError(f"block {place} of the cell number {number} is missing: the state is damaged")
    return _decode_block(block)
