"""Synthetic sessions: the specification's example to the record, and what the options ask for."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from producers.simulate import Scenario, simulate
from producers.simulate import sessions as module
from producers.simulate.bad_sessions import KINDS
from schemas.sessions import SESSIONS

scenarios = st.builds(
    Scenario,
    events=st.integers(0, 2000),
    keys=st.integers(1, 300),
    seed=st.integers(),
    disorder_s=st.integers(0, 100_000),
    duplicates=st.floats(0, 0.5),
    bad=st.floats(0, 0.5),
)


def lines_for(scenario: Scenario) -> list[bytes]:
    return b"".join(simulate("sessions", scenario)).splitlines()


def records_of(scenario: Scenario) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_for(scenario)]


@examples(max_examples=30)
@given(scenario=scenarios)
def test_the_same_scenario_gives_the_same_bytes(scenario: Scenario) -> None:
    """Exactly so many lines; none of them is blank; no more keys than were asked for."""
    text = b"".join(simulate("sessions", scenario))
    assert text == b"".join(simulate("sessions", scenario))
    assert text.count(b"\n") == scenario.events
    assert b"" not in text.splitlines()
    good = SESSIONS.decoder.decode(text.splitlines()).records
    assert len({record.session_id for record in good}) <= scenario.keys


def test_the_example_of_the_specification_is_made_to_the_record() -> None:
    """Ten sessions, 610 records: samples every 500 ms, each state's seconds, five of version 700."""
    records = records_of(Scenario(events=610, keys=10))
    assert len(records) == 610
    by_session: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_session.setdefault(record["sessionID"], []).append(record)
    versions = Counter(next(r["version"] for r in its if "version" in r) for its in by_session.values())
    assert versions == {"700": 5, "604": 3, "605": 2}
    for its in by_session.values():
        version = next(r["version"] for r in its if "version" in r)
        states = [(r["state"], r["timestamp"]) for r in its if "state" in r]
        samples = [r["timestamp"] for r in its if "cpu" in r]
        assert [state for state, _ in states] == ["start", "login", "running", "shutdown", "over"]
        assert {after - before for before, after in pairwise(samples)} == {500}
        lasted = [after - before - 500 for (_, before), (_, after) in pairwise(states)]
        assert lasted == [2_000, 4_000, 10_000 if version == "700" else 20_000, 5_000]
        assert samples[0] == states[0][1]
        login = states[1][1]
        assert login // 5_000 == (login + 4_000) // 5_000, "the login lies within one window"


def test_only_version_700_surges_and_only_at_login() -> None:
    """A normal sample is at most 0.5; a surge has the ranges above, too."""
    state: dict[str, tuple[str, str]] = {}
    over: Counter[tuple[str, str]] = Counter()
    for record in records_of(Scenario(events=20_000, keys=200)):
        name = record["sessionID"]
        if "state" in record:
            state[name] = (record.get("version") or state[name][0], record["state"])
        elif record["cpu"] > 0.5:
            over[state[name]] += 1
    assert set(over) == {("700", "login")}


def test_lines_come_in_the_order_of_their_times() -> None:
    """Without disorder; with it, none comes later than the scenario allows."""
    times = [record["timestamp"] for record in records_of(Scenario(events=5_000, keys=50))]
    assert times == sorted(times)
    newest, late = 0, 0
    for record in records_of(Scenario(events=5_000, keys=50, disorder_s=60)):
        newest = max(newest, record["timestamp"])
        late = max(late, newest - record["timestamp"])
    assert 0 < late <= 60_000


def test_blocks_may_be_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost where one ends."""
    scenario = Scenario(events=3_000, keys=20, disorder_s=30, duplicates=0.1, bad=0.1)
    whole = lines_for(scenario)
    monkeypatch.setattr(module, "BLOCK", 100)
    assert sorted(lines_for(scenario)) == sorted(whole)


def test_duplicates_and_bad_records_are_as_many_as_asked_for() -> None:
    """Every kind of bad record is there."""
    lines = lines_for(Scenario(events=10_000, keys=50, duplicates=0.2, bad=0.1))
    decoded = SESSIONS.decoder.decode(lines)
    assert 900 < len(decoded.bad) < 1_100
    good = [lines[at] for at in decoded.positions]
    assert 1_800 < len(good) - len(set(good)) < 2_200
    assert len({reason for _, reason in decoded.bad}) > len(KINDS) / 2
