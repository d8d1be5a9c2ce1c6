"""`sessions` as the specification words it: obvious, slow, one record at a time. What the real one is held against."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from msgspec import UNSET

from schemas.sessions import STATES, SessionRecord

WINDOW_MS = 5_000
ORDER = ("unknown", *STATES)


class NaiveSession:
    """The records of one session that count, and which windows are folded."""

    def __init__(self) -> None:
        self.records: list[SessionRecord] = []
        self.floor: int | None = None
        """The first moment that is not folded."""
        self.touched = 0

    @property
    def end(self) -> int:
        return max(record.timestamp for record in self.records)

    def state_at(self, moment: int) -> str:
        states = [(r.timestamp, ORDER.index(r.state)) for r in self.records if r.state is not UNSET]
        known = [one for one in states if one[0] <= moment]
        return ORDER[max(known)[1]] if known else "unknown"

    def latest(self, name: str) -> str | None:
        said = [(r.timestamp, getattr(r, name)) for r in self.records if getattr(r, name) is not UNSET]
        return max(said)[1] if said else None

    def samples(self) -> list[tuple[int, float]]:
        return [(r.timestamp, r.cpu) for r in self.records if r.cpu is not UNSET]

    def peak(self) -> tuple[float, str] | None:
        """The peak, and the state of its window."""
        windows: dict[int, list[tuple[int, float]]] = {}
        for time, cpu in self.samples():
            windows.setdefault(time // WINDOW_MS, []).append((time, cpu))
        if not windows:
            return None
        means = {number: average([cpu for _, cpu in its]) for number, its in windows.items()}
        number = min(number for number, mean in means.items() if mean == max(means.values()))
        states = [self.state_at(time) for time, _ in windows[number]]
        return means[number], max(ORDER, key=lambda state: (states.count(state), ORDER.index(state)))


class NaiveSessions:
    """Counts records one by one."""

    def __init__(self, idle_ms: int, grace_ms: int, threshold: float, retention_ms: int | None = None) -> None:
        self.idle_ms, self.grace_ms, self.threshold, self.retention_ms = idle_ms, grace_ms, threshold, retention_ms
        self.sessions: dict[str, NaiveSession] = {}
        self.clock: int | None = None

    def count(self, record: SessionRecord) -> str | None:
        """Count one; the reason when it is refused."""
        time = record.timestamp
        clock = self.clock = time if self.clock is None else max(self.clock, time)
        session = self.sessions.setdefault(record.session_id, NaiveSession())
        if session.records:
            over = session.state_at(session.end) == "over"
            patience = self.grace_ms + (0 if over else self.idle_ms)
            if self.retention_ms is not None and clock >= session.touched + max(self.retention_ms, patience):
                session = self.sessions[record.session_id] = NaiveSession()
            elif clock >= session.touched + patience:
                session.floor = (session.end // WINDOW_MS + 1) * WINDOW_MS
        if session.floor is not None and time < session.floor:
            return "too late"
        before = self.summary(record.session_id) if session.records else None
        if record.cpu is UNSET or record not in session.records:
            session.records.append(record)
        if self.summary(record.session_id) != before or self.state_marks(session, record):
            session.touched = clock
        floor = (session.end - self.grace_ms) // WINDOW_MS * WINDOW_MS
        session.floor = floor if session.floor is None else max(session.floor, floor)
        return None

    def state_marks(self, session: NaiveSession, record: SessionRecord) -> bool:
        """Whether the record's state was news, though no sample shows it yet."""
        if record.state is UNSET:
            return False
        others = [one.state for one in session.records[:-1] if one.timestamp == record.timestamp]
        known = [ORDER.index(state) for state in others if state is not UNSET]
        return session.records[-1] is record and ORDER.index(record.state) > max(known, default=0)

    def summary(self, name: str) -> dict[str, Any]:
        session = self.sessions[name]
        by_state: dict[str, list[float]] = {}
        for time, cpu in session.samples():
            by_state.setdefault(session.state_at(time), []).append(cpu)
        values = [cpu for _, cpu in session.samples()]
        peak = session.peak()
        return {
            "sessionID": name,
            "version": session.latest("version"),
            "user": session.latest("user_id"),
            "start": min(record.timestamp for record in session.records),
            "end": session.end,
            "samples": len(values),
            "mean": average(values) if values else None,
            "peak": peak[0] if peak else None,
            "max": {state: max(cpus) for state, cpus in by_state.items()},
            "above": {state: sum(cpu > self.threshold for cpu in cpus) / len(cpus) for state, cpus in by_state.items()},
        }

    def report(self, name: str) -> dict[str, Any]:
        """What the view says, but for the dimensions."""
        session = self.sessions[name]
        peak = session.peak()
        bins: dict[str, list[int]] = {}
        for time, cpu in session.samples():
            bins.setdefault(session.state_at(time), [0] * 30)[min(int(cpu * 30), 29)] += 1
        state = None if peak is None or peak[1] == "unknown" else peak[1]
        summary = self.summary(name)
        return {"start": summary["start"], "end": summary["end"], "peak": summary["peak"], "state": state, "bins": bins}


def average(values: list[float]) -> float:
    return float(sum(map(Fraction, values)) / len(values))
