"""A batch of `sessions` in columns, the records of one session together, in their order of arrival.

>>> from schemas.sessions import SessionRecord
>>> records = [SessionRecord(9_000, "a", cpu=0.5), SessionRecord(8_000, "b"), SessionRecord(7_000, "a", state="login")]
>>> names, columns = columns_of(records, ())
>>> columns = columns.at(by_session(columns.codes, 2))
>>> names, columns.codes.tolist(), columns.times.tolist(), columns.more.tolist()
(['a', 'b'], [0, 0, 1], [9000, 7000, 8000], [False, True, True])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from aggregators.distinct import distinct, sorted_by
from schemas.sessions import Further, SessionRecord

Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

_SESSION_ID, _TIMESTAMP = attrgetter("session_id"), attrgetter("timestamp")
_NAN = float("nan")


class Columns(NamedTuple):
    """Some records, column by column."""

    codes: Longs
    """The place of each record's session among the sessions."""
    times: Longs
    cpus: Doubles
    """NaN: it reports no sample."""
    more: Mask
    """Whether it reports anything but a sample, or none."""
    places: Places
    """Where in the batch it was."""
    clocks: Longs
    """The partition's event time with it; 0 until that is known."""

    def at(self, chosen: Mask | Places) -> Columns:
        """The columns of some records, or in another order."""
        return Columns(
            self.codes[chosen],
            self.times[chosen],
            self.cpus[chosen],
            self.more[chosen],
            self.places[chosen],
            self.clocks[chosen],
        )


def columns_of(records: Sequence[SessionRecord], further: Sequence[Further]) -> tuple[list[str], Columns]:
    """The sessions that ``records`` are of, and the columns."""
    number = len(records)
    names, codes = distinct(map(_SESSION_ID, records), number)
    more = np.zeros(number, np.bool_)
    more[
        [
            at
            for at, one in enumerate(records)
            if not (one.state is UNSET and one.version is UNSET and one.user_id is UNSET)
        ]
    ] = True
    for dimension in further:
        more[[at for at, one in enumerate(records) if getattr(one, dimension.attribute) is not UNSET]] = True
    cpus = np.fromiter([_NAN if (cpu := one.cpu) is UNSET else cpu for one in records], np.float64, number)
    return names, Columns(
        codes.astype(np.int64),
        np.fromiter(map(_TIMESTAMP, records), np.int64, number),
        cpus + 0.0,  # so that there is one zero only
        more | np.isnan(cpus),
        np.arange(number),
        np.zeros(number, np.int64),
    )


def by_session(codes: Longs, sessions: int) -> Places:
    """The order in which the records of one session are together; ``codes`` are below ``sessions``."""
    return sorted_by(codes.astype(np.uint32), sessions)


def rows_of(*columns: npt.NDArray[Any]) -> Iterator[tuple[int, ...]]:
    """Columns of whole numbers, row by row.

    >>> list(rows_of(np.array([1, 2]), np.array([True, False])))
    [(1, True), (2, False)]
    """
    return zip(*(column.tolist() for column in columns), strict=True)


class Groups(NamedTuple):
    """Where in columns the records of each session are."""

    codes: Longs
    """Of the sessions that have any, ascending."""
    starts: Places
    ends: Places

    @staticmethod
    def of(codes: Longs) -> Groups:
        """The groups of codes that never fall."""
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        return Groups(codes[starts], starts, np.append(starts[1:], len(codes)))
