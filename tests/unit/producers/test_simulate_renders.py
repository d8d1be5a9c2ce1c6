"""Synthetic nights: the same options give the same bytes, every row is what it was meant to be."""

from __future__ import annotations

import orjson

from producers.formats import format_of
from producers.records import Parsed
from producers.simulate import Scenario, simulate
from producers.simulate.bad_renders import NAMES
from schemas.renders import RENDERS


def parsed(scenario: Scenario) -> Parsed:
    reading = format_of(RENDERS, "csv")("renders_2024-01-01.csv")
    return reading.parse(reading.feed(b"".join(simulate("renders", scenario))))


def test_the_same_seed_gives_the_same_night() -> None:
    """And another one another night; the blocks are cut at 65,536 rows."""
    scenario = Scenario(events=66_000, keys=66_000, duplicates=0.1, bad=0.01)
    once = b"".join(simulate("renders", scenario))
    assert once == b"".join(simulate("renders", scenario))
    assert once.count(b"\n") == 66_000
    assert once[:100] != next(simulate("renders", Scenario(events=66_000, keys=66_000, seed=2)))[:100]


def test_every_kind_of_bad_row_is_made_in_turn() -> None:
    """As many as were asked for, within chance; all others are good."""
    found = parsed(Scenario(events=10_000, keys=10_000, bad=0.05))
    assert len(found.rejected) + len(found.values) == 10_000
    assert 400 < len(found.rejected) < 600
    assert len({rejected.reason for rejected in found.rejected}) > len(NAMES) / 2


def test_duplicates_repeat_a_row_and_keys_bound_the_renders() -> None:
    """A render is immutable: whoever repeats it says the same."""
    found = parsed(Scenario(events=10_000, keys=10_000, duplicates=0.2))
    contents = {key: value.partition(b',"line":')[0] for key, value in zip(found.keys, found.values, strict=True)}
    assert 7_500 < len(contents) < 8_500
    assert all(
        value.partition(b',"line":')[0] == contents[key]
        for key, value in zip(found.keys, found.values, strict=True)
    )  # fmt: skip
    assert len(set(parsed(Scenario(events=1_000, keys=50)).keys)) == 50


def test_some_renders_fail_and_some_of_those_have_no_figures() -> None:
    records = [orjson.loads(value) for value in parsed(Scenario(events=5_000, keys=5_000)).values]
    failed = [record for record in records if not record["success"]]
    assert 300 < len(failed) < 550
    assert 0 < sum(record["elapsed_time"] is None for record in failed) < len(failed)
