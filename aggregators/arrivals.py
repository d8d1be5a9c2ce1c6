"""Records of `sites` as they arrive, in columns: what is kept of each until its batch is counted.

>>> from schemas.sites import Message, MessageData, StatusData
>>> arrivals = Arrivals([Message("a", "anna", "7", 5, MessageData())])
>>> arrivals.extend([Status("b", "bert", "7", 6, StatusData("online"))])
>>> len(arrivals), arrivals.site_ids, arrivals.names, arrivals.kinds.tolist()
(2, ['7'], ['anna', 'bert'], [0, 2])

A decoded record takes 400 bytes in half a dozen objects. Taken apart a few thousand at a time, they are still in the
CPU's cache, and the next ones are decoded into the same memory; a whole batch of them is read from main memory, column
by column, at a cache miss each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from aggregators.blocks import Longs, Mask
from aggregators.distinct import Codes, Places, coded, no_places
from aggregators.ids import Words, identify, pairs
from schemas.sites import SiteEvent, Status

MESSAGE, OFFLINE, ONLINE = range(3)
"""Kinds of records."""

S = TypeVar("S", bound=np.generic)


class Arrivals:
    """Columns of records, in their order of arrival.

    Args:
        records: the first of them.
    """

    def __init__(self, records: Sequence[SiteEvent] = ()) -> None:
        self.texts: dict[int, str] = {}
        """The ids of statuses that are hashed, by place."""
        self._length = 0
        self._sites: Places[str] = no_places()
        self._names: Places[str] = no_places()
        self._codes: list[Codes] = []
        self._senders: list[Codes] = []
        self._ids: list[bytes] = []
        self._hashed: list[Mask] = []
        self._any_hashed = False
        self._times: list[Longs] = []
        self._kinds: list[npt.NDArray[np.uint8]] = []
        self.extend(records)

    def __len__(self) -> int:
        return self._length

    def extend(self, records: Sequence[SiteEvent]) -> None:
        """Take records in; nothing holds on to them afterwards."""
        number = len(records)
        if not number:
            return
        self._codes.append(coded(self._sites, [record.site_id for record in records], number))
        self._senders.append(coded(self._names, [record.sender for record in records], number))
        ids, hashed = identify([record.id for record in records])
        self._ids.append(ids)
        self._hashed.append(np.zeros(number, np.bool_) if hashed is None else np.frombuffer(hashed, np.bool_))
        self._any_hashed = self._any_hashed or hashed is not None
        self._times.append(np.fromiter([record.timestamp for record in records], np.int64, number))
        kinds = np.frombuffer(bytearray([type(record) is Status for record in records]), np.uint8)
        signed = kinds.nonzero()[0].tolist()
        if signed:
            statuses = [cast("Status", records[at]) for at in signed]
            kinds[signed] = [ONLINE if status.data.status == "online" else OFFLINE for status in statuses]
            if hashed is not None:
                self.texts.update((self._length + at, records[at].id) for at in signed if hashed[at])
        self._kinds.append(kinds)
        self._length += number

    @property
    def site_ids(self) -> list[str]:
        """The distinct sites, in order of arrival."""
        return list(self._sites)

    @property
    def codes(self) -> Codes:
        """The place of each record's site among the sites."""
        return _whole(self._codes)

    @property
    def names(self) -> list[str]:
        """The distinct senders, in order of arrival."""
        return list(self._names)

    @property
    def senders(self) -> Codes:
        """The place of each record's sender among the names."""
        return _whole(self._senders)

    @property
    def ids(self) -> Words:
        """As `aggregators.ids.pairs` makes them."""
        return pairs(b"".join(self._ids))

    @property
    def hashed(self) -> Mask | None:
        """Whether each id is hashed; None when none is."""
        return _whole(self._hashed) if self._any_hashed else None

    @property
    def times(self) -> Longs:
        """Timestamps, in seconds."""
        return _whole(self._times)

    @property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """`MESSAGE`, `OFFLINE` or `ONLINE`."""
        return _whole(self._kinds)


def _whole(parts: Sequence[npt.NDArray[S]]) -> npt.NDArray[S]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
