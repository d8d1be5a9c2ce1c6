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

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aggregators import session_head, session_views
from aggregators.aggregator import IN_THE_FUTURE, WRONG_PARTITION, Aggregator, Batch, Changes, Counting
from aggregators.rows import Rows
from aggregators.session import HEADS, HEADS_END, Session
from aggregators.session_ends import ALIVE, MOMENT_MS, OVER, Rules, moment, session_at
from schemas.sessions import SessionRecord, further_of

DAY_MS = 86_400_000
_CLOCK = b"c"


class _Group(NamedTuple):
    """A batch's records of one session: what others report meanwhile moves the clock, and nothing else of it."""

    session: Session
    records: list[SessionRecord]
    clocks: list[int]
    """The partition's event time with each."""
    places: list[int]
    """In the batch."""


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
        before = _clock(rows)
        clock, refused = before, list[tuple[int, str]]()
        groups: dict[str, _Group | None] = {}
        future = self._in_the_future(batch)
        for at, record in enumerate(batch.records):
            if at in future:
                refused.append((at, IN_THE_FUTURE))
                continue
            name = record.session_id
            if name in groups:
                group = groups[name]
            else:
                session = self._open(rows, name)
                group = groups[name] = None if session is None else _Group(session, [], [], [])
            if group is None:
                refused.append((at, WRONG_PARTITION))
                continue
            if clock is None or record.timestamp > clock:
                clock = record.timestamp
            _, records, clocks, places = group
            records.append(record)
            clocks.append(clock)
            places.append(at)
        for group in groups.values():
            if group is not None:
                refused += [(group.places[at], why) for at, why in group.session.count_all(group.records, group.clocks)]
        sessions = {name: group.session for name, group in groups.items() if group is not None}
        changed = {name: session for name, session in sessions.items() if session.dirty}
        for session in changed.values():
            session.settle()
            rows.keep(session.key, session, session.nbytes)
        entities = dict.fromkeys(changed)
        if clock is not None and clock != before:
            rows.put(_CLOCK, b"%d" % clock)
            if before is None or before // MOMENT_MS < clock // MOMENT_MS:
                # By the moment, not by the clock: what was done must not depend on where a batch ends within it.
                now = clock // MOMENT_MS * MOMENT_MS
                self._fold_ended(rows, now)
                entities.update(dict.fromkeys(self._remove_forgotten(rows, now)))
        return Changes(entities, refused=sorted(refused))

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

    def _in_the_future(self, batch: Batch[SessionRecord]) -> set[int]:
        """The places of records that are too far ahead of when the broker took them in."""
        ahead = self._ahead_ms
        if ahead is None:
            return set()
        times = zip(batch.records, batch.broker_ms, strict=True)
        return {at for at, (record, broker_ms) in enumerate(times) if record.timestamp > broker_ms + ahead}

    def _open(self, rows: Rows, name: str) -> Session | None:
        """The session called ``name``, from its rows or new; None when it is new and of another partition."""
        key = HEADS + name.encode()
        session: Session | None = rows.kept(key)
        if session is None:
            row = rows.get(key)
            if row is not None or rows.owns(key[len(HEADS) :]):
                session = Session(rows, name, self._rules, row)
        return session

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
        for row, _ in list(rows.range(start, end)):
            session = self._open(rows, session_at(row))
            if session is None:
                raise RuntimeError(f"an index names a session that has no head: {session_at(row)!r}")
            yield session


def _clock(rows: Rows) -> int | None:
    row = rows.get(_CLOCK)
    return None if row is None else int(row)


def _head(rows: Rows, key: bytes) -> session_head.Head | None:
    row = rows.get(key)
    return None if row is None else session_head.decode(row)
