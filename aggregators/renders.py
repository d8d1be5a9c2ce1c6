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

A batch is counted at once: which of its records count is found first, where a uid is met again one by one; those of a
cell are then added up in columns (`aggregators.cell.fill`). The rows are `aggregators.render_rows`.

A cell's blocks are read when a render that had an extreme is taken back, and the next one must be found. A render that
was taken back stays in them: the row of its uid says that it does not count there any more.

With a retention, a day is folded when it is older than the newest day less the retention: its cells stay as they are,
a record of it is too late, and a uid is forgotten that was met on no later day.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.cell import merged
from aggregators.distinct import distinct
from aggregators.homes import strangers
from aggregators.render_rows import UIDS, UIDS_END, cell_called, cell_numbered, decode, render_of
from aggregators.render_tally import Tally
from aggregators.rows import Rows
from schemas.renders import Render

DAY_MS = 86_400_000

Ranks = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DAY = attrgetter("day")


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
        records = batch.records
        if not records:
            return Changes()
        keys = [record.uid.encode() for record in records]
        named, codes = distinct(map(_DAY, records), len(records))
        days = sorted(named)
        places = {day: place for place, day in enumerate(days)}
        ranks = np.array([places[day] for day in named], np.int64)[codes]
        away = np.zeros(len(records), np.bool_)
        away[list(strangers(rows, keys))] = True
        future = self._in_the_future(days, ranks, batch)
        tally = Tally(rows, forgets=self._retention_ms is not None)
        refused = [(place, WRONG_PARTITION) for place in np.flatnonzero(away).tolist()]
        for begin, end, floor in self._parts(days, np.where(away | future, -1, ranks), tally.floor):
            tally.fold(floor)
            late = ~away & (ranks < bisect_left(days, floor))
            for refuse, reason in ((late, TOO_LATE), (future & ~away & ~late, IN_THE_FUTURE)):
                refused += [(begin + place, reason) for place in np.flatnonzero(refuse[begin:end]).tolist()]
            good = (begin + np.flatnonzero(~(late | away | future)[begin:end])).tolist()
            tally.count([records[place] for place in good], [UIDS + keys[place] for place in good])
        tally.settle()
        return Changes([cell.entity for cell in tally.touched.values()], refused=sorted(refused))

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """This partition's share of a cell; None when nothing in it counts any more."""
        cell = cell_called(rows, entity)
        return None if cell is None or not cell.count else cell.share()

    def merge(self, entity: str, shares: Any) -> dict[str, Any] | None:  # noqa: ARG002
        """The cell, from all shares of it."""
        return merged(shares)

    def keys(self, rows: Rows) -> Iterator[str]:
        """The uids of all renders that are not forgotten."""
        for key, _ in rows.range(UIDS, UIDS_END):
            yield key[len(UIDS) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:  # noqa: ARG002
        """Answer ``state``: the render that counts."""
        if name != "state":
            raise LookupError(f"renders have no view {name!r}; there is: state")
        row = rows.get(UIDS + key.encode())
        if row is None:
            return None
        return msgspec.to_builtins(render_of(key, row, cell_numbered(rows, decode(row)[0])))

    def _in_the_future(self, days: Sequence[str], ranks: Ranks, batch: Batch[Render]) -> Mask:
        """Which records are of a day too far ahead of when the broker took them in.

        Args:
            days: in their order.
            ranks: the place of each record's day among them.
            batch: the records.
        """
        if self._ahead_ms is None:
            return np.zeros(len(ranks), np.bool_)
        times = np.array([_time_ms(day) for day in days], np.int64)
        return times[ranks] - min(self._ahead_ms, 1 << 62) > np.array(batch.broker_ms, np.int64)

    def _parts(self, days: Sequence[str], ranks: Ranks, floor: str) -> Iterator[tuple[int, int, str]]:
        """First and next place of the parts of a batch during which one floor holds, and that floor.

        Args:
            days: in their order.
            ranks: the place of each record's day among them; -1: it does not count.
            floor: before the batch.
        """
        begin = 0
        if self._retention_ms is not None:
            newest = np.maximum.accumulate(ranks)
            for at in np.flatnonzero(np.diff(newest, prepend=-1)).tolist():
                day = date.fromisoformat(days[int(newest[at])])
                back = min(self._retention_ms // DAY_MS, day.toordinal() - 1)
                risen = (day - timedelta(back)).isoformat()
                if risen > floor:
                    yield begin, at, floor
                    begin, floor = at, risen
        yield begin, len(ranks), floor


def _time_ms(day: str) -> int:
    """When a day begins, epoch milliseconds, UTC."""
    return (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS
