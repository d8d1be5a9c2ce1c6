"""Synthetic sessions of a desktop client, with a known finding: version 700 has high CPU at login.

>>> from producers.simulate import Scenario
>>> lines = b"".join(blocks(Scenario(events=610, keys=10, seed=1))).splitlines()
>>> len(lines), lines[0]
(610, b'{"timestamp":1635967998000,"sessionID":"...","state":"start","version":"700"}')

Every other session runs version 700, whose CPU use surges while it logs in; the others run 604 or 605 and never do.
610 events of 10 sessions are the specification's example; with more events a session, all of them run for longer. A
session begins where its login lies within one window of five seconds, so that its peak is there nearly always.

A line is a function of the scenario and its number (`producers.simulate.noise`). Sessions are made one after the other
and overlap in time, so lines wait in memory until they are due: some 30 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.simulate import Scenario
from producers.simulate.bad_sessions import NAMES, bad_line
from producers.simulate.noise import Noise, Words, below

BLOCK = 1 << 16
"""Lines that are made at once."""
START_MS = 1_635_967_998_000
"""Wednesday, 2021-11-03, 19:33 UTC."""
APART_MS = 5_000
"""From the start of a session to that of the next."""
SAMPLE_MS = 500
RECENT = 4096
"""A duplicate repeats one of so many records before it."""
USERS = (b"Sally", b"Tom", b"Mary", b"Ken")

Column = NDArray[np.int64]

_STATES = (b"start", b"login", b"running", b"shutdown", b"over")
_RUNNING = 2
_SAMPLES = ((5, 9, 21, 11, 0), (5, 9, 41, 11, 0))
"""Of each state, of version 700 and of the others: its seconds by `SAMPLE_MS`, both ends included."""
_RECORDS = tuple(sum(samples) + len(_STATES) for samples in _SAMPLES)
_MEAN_RECORDS = sum(_RECORDS) // 2

# Weighted uniforms in ten-thousandths: (weight, from, to).
_NORMAL = ((90, 500, 1500), (30, 1500, 2500), (10, 2500, 3500), (3, 4000, 5000))
_HIGH = ((5, 500, 1500), (20, 1500, 2500), (20, 2500, 3500), (30, 4000, 5000), (10, 5000, 6000))
_EXTREME = ((1, 8500, 9500),)
_EXTREME_ONE_IN = 5
"""Of the samples of a surge."""


class _Due(NamedTuple):
    """Lines that are not written yet, column by column."""

    arrival_ms: Column
    slot: Column
    event: Column
    """What the line tells; -1 in a bad one."""

    def where(self, chosen: NDArray[np.bool_] | Column) -> _Due:
        return _Due(*(column[chosen] for column in self))


def blocks(scenario: Scenario) -> Iterator[bytes]:
    """The lines of ``scenario``, in blocks."""
    kinds = _Kinds(scenario)
    events = sum(int(kinds.new(first, last).sum()) for first, last in _spans(scenario.events))
    clients = _Clients(scenario, events)
    due = _Due(*(np.empty(0, np.int64) for _ in range(3)))
    told = 0
    for first, last in _spans(scenario.events):
        made = kinds.lines(first, last, told, clients)
        told += int(kinds.new(first, last).sum())
        due = _Due(*(np.concatenate(columns) for columns in zip(due, made, strict=True)))
        due = due.where(np.lexsort((due.slot, due.arrival_ms)))
        # Whatever is made later belongs to this session or a later one.
        now = due.arrival_ms < clients.begin_ms(told) if last < scenario.events else np.ones(len(due.slot), np.bool_)
        yield clients.rendered(due.where(now))
        due = due.where(~now)


def _spans(events: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + BLOCK, events)) for first in range(0, events, BLOCK))


class _Kinds:
    """Which lines tell something new, and which are bad or were there before."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._noise = Noise(scenario.seed)

    def new(self, first: int, last: int) -> NDArray[np.bool_]:
        """Of lines ``[first, last)``: those that tell an event for the first time."""
        bad, again = self._drawn(first, last)
        return ~bad & ~again

    def lines(self, first: int, last: int, told: int, clients: _Clients) -> _Due:
        """Lines ``[first, last)``; ``told`` events were told before them."""
        bad, again = self._drawn(first, last)
        slots = np.arange(first, last, dtype=np.int64)
        places = slots.astype(np.uint64)
        newest = np.maximum(told + np.cumsum(~bad & ~again) - 1, 0)
        back = below(self._noise.at("back", places), RECENT).astype(np.int64)
        event = np.where(bad, -1, np.where(again, np.maximum(newest - back, 0), newest))
        late: Words = np.full(len(slots), self._scenario.disorder_s * 1000, np.uint64)
        for purpose in ("latest", "later", "late"):  # most a little, few as much as the scenario allows
            late = below(self._noise.at(purpose, places), late + np.uint64(1))
        return _Due(clients.time_ms(newest) + late.astype(np.int64), slots, event)

    def _drawn(self, first: int, last: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        scale = 1 << 32
        drawn = self._noise.words("kind", first, last - first) >> np.uint64(32)
        bad_below = int(self._scenario.bad * scale)
        bad = drawn < bad_below
        return bad, ~bad & (drawn < bad_below + int(self._scenario.duplicates * scale))


class _Clients:
    """The sessions, two and two: one of version 700, one of another; what each event of them is."""

    def __init__(self, scenario: Scenario, events: int) -> None:
        self._scenario = scenario
        self._noise = Noise(scenario.seed)
        self._bad_made = 0
        keys = scenario.keys
        short = (_MEAN_RECORDS - _RECORDS[0]) * (keys % 2)
        self._longer = max(0, -(-(events + short) // keys) - _MEAN_RECORDS)
        """Samples that each session runs for longer."""
        self._records = [records + self._longer for records in _RECORDS]
        self._begins = [self._phases(samples) for samples in _SAMPLES]

    def begin_ms(self, event: int) -> int:
        """When the session of an event begins."""
        session, _ = self._placed(np.array([event]))
        return START_MS + int(session[0]) * APART_MS

    def time_ms(self, events: Column) -> Column:
        """When events happen."""
        session, place = self._placed(events)
        _, sample, _ = self._said(session, place)
        return START_MS + session * APART_MS + sample * SAMPLE_MS

    def rendered(self, lines: _Due) -> bytes:
        """The lines as bytes."""
        good = lines.event >= 0
        events = lines.event[good]
        session, place = self._placed(events)
        state, _, is_state = self._said(session, place)
        other = session % 2
        time_ms = self.time_ms(events)
        surging = ~is_state & (other == 0) & (state == 1)
        cpu = self._cpu(events, surging)
        ids = self._noise.uuids("id", session.astype(np.uint64))
        user = below(self._noise.at("user", session.astype(np.uint64)), len(USERS))
        version = np.where(other == 0, 700, 604 + session // 2 % 2)
        kind = np.where(is_state, state, -1)
        columns: list[list[int]] = [column.tolist() for column in (kind, time_ms, cpu, user, version)]
        said = [
            _line(which, time, name, share, who, running)
            for name, which, time, share, who, running in zip(ids, *columns, strict=True)
        ]
        if not good.all():
            following = iter(said)
            choices = zip(good.tolist(), lines.slot.tolist(), lines.arrival_ms.tolist(), strict=True)
            said = [next(following) if is_good else self._bad(slot, at) for is_good, slot, at in choices]
        said.append(b"")  # so that the last line has an end, too
        return b"\n".join(said)

    def _phases(self, samples: tuple[int, ...]) -> Column:
        """The place of each state's own record in its session, and the session's end."""
        lengths = [count + 1 + (self._longer if at == _RUNNING else 0) for at, count in enumerate(samples)]
        return np.cumsum([0, *lengths])

    def _placed(self, events: Column) -> tuple[Column, Column]:
        """The session of each event, and its place there."""
        pair, place = events // sum(self._records), events % sum(self._records)
        second = place >= self._records[0]
        return 2 * pair + second, np.where(second, place - self._records[0], place)

    def _said(self, session: Column, place: Column) -> tuple[Column, Column, NDArray[np.bool_]]:
        """Of each event: the state, the number of samples before it, whether it is a state's own record."""
        phases = [np.searchsorted(begins, place, "right") - 1 for begins in self._begins]
        state = np.where(session % 2 == 0, *phases)
        begin = np.where(session % 2 == 0, self._begins[0][state], self._begins[1][state])
        is_state = place == begin
        return state, place - state - np.where(is_state, 0, 1), is_state

    def _cpu(self, events: Column, surging: NDArray[np.bool_]) -> Column:
        """The share of the CPU at each event, in ten-thousandths."""
        places = events.astype(np.uint64)
        extreme = below(self._noise.at("extreme", places), _EXTREME_ONE_IN) == 0
        words = self._noise.at("range", places), self._noise.at("cpu", places)
        surge = np.where(extreme, _drawn(_EXTREME, *words), _drawn(_HIGH, *words))
        return np.where(surging, surge, _drawn(_NORMAL, *words))

    def _bad(self, slot: int, time_ms: int) -> bytes:
        """The next kind of bad line."""
        name = NAMES[self._bad_made % len(NAMES)]
        self._bad_made += 1
        (session,) = self._noise.uuids("bad", np.array([slot], np.uint64))
        return bad_line(name, session, time_ms)


def _drawn(ranges: tuple[tuple[int, int, int], ...], which: NDArray[np.uint64], where: NDArray[np.uint64]) -> Column:
    """Numbers of weighted uniforms."""
    weights, lows, highs = (np.array(column, np.int64) for column in zip(*ranges, strict=True))
    until = np.cumsum(weights)
    chosen = np.searchsorted(until, below(which, int(until[-1])).astype(np.int64), "right")
    return lows[chosen] + below(where, (highs - lows)[chosen].astype(np.uint64)).astype(np.int64)


def _line(state: int, time: int, session: bytes, share: int, user: int, version: int) -> bytes:
    """One record: a sample where ``state`` is -1."""
    if state < 0:
        return b'{"timestamp":%d,"sessionID":"%b","cpu":0.%04d}' % (time, session, share)
    further = b""
    if _STATES[state] == b"start":
        further = b',"version":"%d"' % version
    elif _STATES[state] == b"login":
        further = b',"userID":"%b"' % USERS[user]
    return b'{"timestamp":%d,"sessionID":"%b","state":"%b"%b}' % (time, session, _STATES[state], further)
