"""A simulated catalogue has the shape that was asked for, to the row, and the same seed gives the same bytes."""

from __future__ import annotations

import csv
from collections import Counter
from io import StringIO

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.formats import format_of
from producers.records import Parsed
from producers.simulate import Scenario, simulate
from producers.simulate.bad_products import KINDS
from schemas.products import PRODUCTS


def made(**scenario: float) -> bytes:
    return b"".join(simulate("products", Scenario(**scenario)))  # pyright: ignore[reportArgumentType]


def parsed(data: bytes) -> Parsed:
    reading = format_of(PRODUCTS, "csv")("-")
    lines = reading.feed(data)
    assert not reading.end().values
    return reading.parse(lines)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3000), st.integers(1, 4000), st.integers(0, 5), st.floats(0, 0.5), st.floats(0, 0.5))
def test_every_scenario_has_its_rows_and_its_bad_ones(
    events: int, keys: int, seed: int, duplicates: float, bad: float
) -> None:
    """As many rows as asked for; the same again from the same seed; what is no bad row is read."""
    scenario = {"events": events, "keys": keys, "seed": seed, "duplicates": duplicates, "bad": bad}
    data = made(**scenario)
    assert data == made(**scenario)
    found = parsed(data)
    assert len(found.values) + len(found.rejected) == events
    assert len(set(found.keys)) <= keys
    if not bad:
        assert not found.rejected


def test_every_kind_of_bad_row_is_rejected_for_itself() -> None:
    """One row each, and none of its neighbours with it."""
    found = parsed(made(events=2000, keys=500, bad=0.1))
    assert 100 < len(found.rejected) < 300
    reasons = {rejected.reason.split(" (byte")[0] for rejected in found.rejected}
    assert len(found.rejected) >= len(KINDS)
    assert reasons == {
        "expected 3 columns, got 2",
        "expected 3 columns, got 4",
        "name: expected a text that is not empty, got ''",
        "sku: expected a text that is not empty, got ''",
        "text follows a closing quote",
        "not UTF-8: invalid continuation byte",
        "a text holds a NUL character",
    }


def test_the_shape_is_that_of_the_real_file() -> None:
    """A tenth of it; the whole of it is 499,994 pairs and 222,024 names, the most frequent one 247 times."""
    data = made(events=50_000, keys=46_669, duplicates=0.00002)
    found = list(csv.reader(StringIO(data.decode(), newline="")))[1:]
    pairs = {(sku, name) for name, sku, _ in found}
    names = Counter(name for _, name in pairs)
    assert (len(found), len(pairs), len({sku for sku, _ in pairs})) == (50_000, 49_999, 46_669)
    assert (len(names), names.most_common(1)[0][1]) == (22_203, 25)
    assert max(text.count("\n") for _, _, text in found) == 3
