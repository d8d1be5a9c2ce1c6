"""`sessions`: what the summary of a client's session means, kept right as its records come in any order.

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.sessions import SessionRecord
>>> rows, sessions = Rows(MemoryStore()), Sessions(Counting(max_ahead_ms=0))
>>> records = [SessionRecord(9_000, "a", cpu=0.5), SessionRecord(8_000, "a", state="login", version="700")]
>>> list(sessions.update(rows, Batch(records, ())).entities)
['a']
>>> summary = sessions.summary(rows, "a")
>>> summary["version"], summary["samples"], summary["peak"], summary["max"]
('700', 1, 0.5, {'login': 0.5})

A record is counted by its session (`aggregators.session`), at the event time that the partition has reached with it:
the greatest timestamp of any of its records. Sessions that changed are settled at the end of a batch; then those that
have ended meanwhile are folded, and those whose retention is over are removed. Which these are, two indexes by moment
tell, so that nobody looks at the others.

Another ``--threshold`` holds for the sessions that begin after it was set, in ``above``. The report needs none of that:
what is high, it tells by the peak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from aggregators import session_head, session_views
from aggregators.aggregator import IN_THE_FUTURE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.homes import strangers
from aggregators.rows import Rows
from aggregators.session import HEADS, HEADS_END, Session
from aggregators.session_columns import Columns, by_session, columns_of, rows_of
from aggregators.session_crowd import Crowd
from aggregators.session_ends import ALIVE, MOMENT_MS, OVER, Rules, moment, session_at
from aggregators.session_tally import count
from schemas.sessions import SessionRecord, further_of

DAY_MS = 86_400_000
_CLOCK = b"c"


class Sessions(Aggregator[SessionRecord]):
    """CPU use of each session.

    Args:
        counting: all but ``sketch`` is heeded; ``max_ahead_ms`` is a day where nobody said anything.
    """

    version = 1

    def __init__(self, counting: Counting) -> None:
        self._ahead_ms = counting.ahead_ms(DAY_MS)
        self.needs_broker_time = self._ahead_ms is not None
        self._rules = Rules(
            idle_ms=counting.idle_ms,
            grace_ms=counting.grace_ms,
            retention_ms=counting.retention_ms,
            threshold=counting.threshold,
            further=further_of(counting.dimensions),
        )

    def update(self, rows: Rows, batch: Batch[SessionRecord]) -> Changes:
        """Count a batch."""
        changes = Changes()
        names, columns = columns_of(batch.records, self._rules.further)
        columns = self._in_time(columns, batch, changes)
        sessions, away = self._open(rows, names)
        if away:
            ours = ~np.isin(columns.codes, list(away))
            changes.refused += [(place, WRONG_PARTITION) for place in columns.places[~ours].tolist()]
            columns = columns.at(ours)
        if len(columns.times):
            self._count(rows, batch.records, columns, sessions, changes)
        changes.refused.sort()
        return changes

    def _count(
        self,
        rows: Rows,
        records: Sequence[SessionRecord],
        columns: Columns,
        sessions: Sequence[Session],
        changes: Changes,
    ) -> None:
        before = _clock(rows)
        clocks = np.maximum.accumulate(columns.times)
        if before is not None:
            clocks = np.maximum(clocks, before)
        clock = int(clocks[-1])
        now = None
        if before is None or before // MOMENT_MS < clock // MOMENT_MS:
            # By the moment, not by the clock: what was done must not depend on where a batch ends within it.
            now = clock // MOMENT_MS * MOMENT_MS
        columns = columns._replace(clocks=clocks)
        columns = columns.at(by_session(columns.codes, len(sessions)))
        changes.refused += self._refused(records, columns, sessions, now)
        entities: dict[str, None] = {}
        for session in sessions:
            if session.dirty:
                entities[session.name] = None
                if now is not None and session.is_due(now):
                    session.end()
                session.settle()
                rows.keep(session.key, session, session.nbytes)
        if clock != before:
            rows.put(_CLOCK, b"%d" % clock)
        if now is not None:
            self._fold_ended(rows, now)
            entities.update(dict.fromkeys(self._remove_forgotten(rows, now)))
        changes.entities = entities

    def _refused(
        self, records: Sequence[SessionRecord], columns: Columns, sessions: Sequence[Session], now: int | None
    ) -> list[tuple[int, str]]:
        """Count records, together where that can be; the places of those that are refused, and the reasons."""
        crowd = Crowd(records, columns, sessions, self._rules)
        refused = count(crowd, now)
        rest = columns.at(~crowd.together[columns.codes])
        for code, place, clock in rows_of(rest.codes, rest.places, rest.clocks):
            reason = sessions[code].count(records[place], clock)
            if reason is not None:
                refused.append((place, reason))
        return refused

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        """A session's summary; None once its retention is over."""
        key = HEADS + entity.encode()
        session: Session | None = rows.kept(key)
        if session is not None:
            return session_head.summary(entity, session.head)
        head = _head(rows, key)
        return None if head is None else session_head.summary(entity, head)

    def keys(self, rows: Rows) -> Iterator[str]:
        """All sessions, ended or not."""
        for key, _ in rows.range(HEADS, HEADS_END):
            yield key[len(HEADS) :].decode()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """Answer ``state`` or ``report`` (`aggregators.session_views`)."""
        head = _head(rows, HEADS + key.encode())
        clock = _clock(rows)
        if head is None or clock is None:
            return None
        match name:
            case "state":
                return session_views.state(key, head, clock)
            case "report":
                return session_views.report(head, self._rules.further, clock, arguments)
            case _:
                raise LookupError(f"sessions have no view {name!r}: state and report there are")

    def _in_time(self, columns: Columns, batch: Batch[SessionRecord], changes: Changes) -> Columns:
        """The records that are not too far ahead of when the broker took them in."""
        if self._ahead_ms is None:
            return columns
        future = columns.times > np.array(batch.broker_ms, np.int64) + min(self._ahead_ms, 1 << 62)
        if not future.any():
            return columns
        changes.refused += [(place, IN_THE_FUTURE) for place in np.flatnonzero(future).tolist()]
        return columns.at(~future)

    def _open(self, rows: Rows, names: Sequence[str]) -> tuple[list[Session], set[int]]:
        """The sessions of some names; the places of those that are new and of another partition."""
        sessions: list[Session] = []
        new: list[int] = []
        for place, name in enumerate(names):
            key = HEADS + name.encode()
            session: Session | None = rows.kept(key)
            if session is None:
                row = rows.get(key)
                session = Session(rows, name, self._rules, row)
                if row is None:
                    new.append(place)
            sessions.append(session)
        away = strangers(rows, [sessions[place].key[len(HEADS) :] for place in new])
        return sessions, {new[place] for place in away}

    def _fold_ended(self, rows: Rows, now: int) -> None:
        for session in self._indexed(rows, ALIVE, moment(ALIVE, now + MOMENT_MS)):
            if session.has_ended(now):  # it may not, where idle gap or grace were set anew
                session.end()
            session.settle()
            rows.forget(session.key)

    def _remove_forgotten(self, rows: Rows, now: int) -> Iterator[str]:
        """Remove the sessions whose retention is over; yields them."""
        retention = self._rules.retention_ms
        if retention is None:
            return
        for session in self._indexed(rows, OVER, moment(OVER, now - retention)):
            session.forget()
            session.settle()
            rows.forget(session.key)
            yield session.name

    def _indexed(self, rows: Rows, start: bytes, end: bytes) -> Iterator[Session]:
        """The sessions whose index rows are in ``[start, end)``."""
        names = [session_at(row) for row, _ in rows.range(start, end)]
        for session in self._open(rows, names)[0]:
            if session.fresh:
                raise RuntimeError(f"an index names a session that has no head: {session.name!r}")
            yield session


def _clock(rows: Rows) -> int | None:
    row = rows.get(_CLOCK)
    return None if row is None else int(row)


def _head(rows: Rows, key: bytes) -> session_head.Head | None:
    row = rows.get(key)
    return None if row is None else session_head.decode(row)
