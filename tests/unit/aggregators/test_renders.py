"""`renders` against the specification and a naive reference: exact in any order, split, duplication and take-over."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators import laws
from aggregators.aggregator import IN_THE_FUTURE, TOO_LATE, Batch, Counting
from aggregators.cell import merged
from aggregators.exact import SHIFT
from aggregators.homes import strangers
from aggregators.measure import Place
from aggregators.measures import Columns
from aggregators.render_rows import BLOCK
from aggregators.renders import Renders
from aggregators.rows import Memory, MemoryStore, Rows
from aggregators.sketch import LARGEST, RELATIVE_ERROR, SMALLEST, bin_of, bins_of, middle_of, quantile
from schemas.renders import Render, cell_of
from schemas.wire import partition_of
from tests.unit.aggregators import naive_renders as naive

DAYS = [(date(2024, 2, 27) + timedelta(days=days)).isoformat() for days in range(5)]
UIDS = ["a", "b", "ab", "a,", 'a"', "ä", "A", "a!", "0", "a\n"]
PEAKS = st.sampled_from([0.0, 0.1, 0.2, 0.3, 97.3, 97.30000000000001, 2048.5, 1e-9, 1e300, 1.7e308, 5e-324])
TIMES = st.sampled_from([0, 1, 3, 999, 183_204, 2**53 + 1, 2**63 - 1])


def render(**changes: Any) -> Render:
    plain: dict[str, Any] = {
        "uid": "a", "app": "maya", "renderer": "arnold", "frames": 1, "success": True, "day": DAYS[0], "line": 1,
        "elapsed_time": 1000, "maxram": 10.0, "maxcpu": 50.0,
    }  # fmt: skip
    return Render(**(plain | changes))


SUCCEEDED = st.builds(
    Render,
    uid=st.sampled_from(UIDS), app=st.sampled_from(["maya", "a,b"]), renderer=st.sampled_from(["arnold", "b"]),
    frames=st.sampled_from([1, 10, 9]), success=st.just(True), day=st.sampled_from(DAYS), line=st.integers(1, 3),
    elapsed_time=TIMES, maxram=PEAKS, maxcpu=PEAKS,
)  # fmt: skip
FAILED = st.builds(
    Render,
    uid=st.sampled_from(UIDS), app=st.sampled_from(["maya", "a,b"]), renderer=st.just("arnold"),
    frames=st.just(1), success=st.just(False), day=st.sampled_from(DAYS), line=st.integers(1, 3),
    elapsed_time=st.none() | TIMES, maxram=st.none() | PEAKS, maxcpu=st.none() | PEAKS,
)  # fmt: skip
RECORDS = st.lists(st.one_of(SUCCEEDED, SUCCEEDED, FAILED), max_size=30)
CUTS = st.sets(st.integers(1, 30), max_size=8)


def count(records: Sequence[Render], cuts: Sequence[int] = (), counting: Counting | None = None, **place: Any) -> Any:
    """The rows after some batches; the entities met."""
    store = MemoryStore()
    rows, renders = Rows(store, memory=Memory(), **place), Renders(counting or Counting())
    entities: set[str] = set()
    borders = [0, *sorted(cut for cut in set(cuts) if cut < len(records)), len(records)]
    for first, last in pairwise(borders):
        entities.update(renders.update(rows, Batch(records[first:last], ())).entities)
        store.end_epoch(rows)
        rows.forget_all()
    return {entity: share for entity in entities if (share := renders.summary(rows, entity)) is not None}


def check(shares: dict[str, Any], records: Sequence[Render]) -> None:
    """Shares of one partition are the reference's cells."""
    expected = {cell_of(*where): figures for where, figures in naive.cells(records).items()}
    assert shares.keys() == expected.keys()
    for entity, figures in expected.items():
        summary = merged([shares[entity]])
        assert summary["count"] == figures["count"]
        for name in naive.MEASURES:
            assert {key: summary[name][key] for key in figures[name]} == figures[name]


@given(RECORDS, CUTS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_every_cell_is_the_references_whatever_comes_when(
    records: list[Render], cuts: set[int], shuffle: random.Random
) -> None:
    """Any order, any duplication: a uid counts once, by its earliest day, line and row, whichever came first."""
    check(count(records, list(cuts)), records)
    again = [*records, *shuffle.sample(records, len(records) // 2)]
    shuffle.shuffle(again)
    assert count(again, list(cuts)) == count(records)


@pytest.mark.parametrize("batch", [7, 100])
def test_a_lost_extreme_is_found_among_many_blocks(batch: int) -> None:
    """Two cells a day of many blocks each, and nearly every record takes another over that had an extreme."""
    rng = random.Random(batch)
    records = [
        render(
            uid=f"u{rng.randrange(150)}", day=rng.choice(DAYS), line=rng.randrange(1, 500), success=rng.random() < 0.9,
            elapsed_time=rng.randrange(50), maxram=rng.randrange(9) / 10, maxcpu=rng.choice((None, 1.5, 99.5)),
        )
        for _ in range(2_000)
    ]  # fmt: skip
    check(count(records, range(batch, len(records), batch)), records)


@given(RECORDS, CUTS)
@settings(max_examples=150, deadline=None)
def test_any_split_of_renders_leaves_the_same_rows(records: list[Render], cuts: set[int]) -> None:
    laws.split(Renders(Counting()), records, cuts, views=[("state", {})])


@given(RECORDS, CUTS, st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_any_split_of_renders_leaves_the_same_rows_with_a_retention(
    records: list[Render], cuts: set[int], days: int
) -> None:
    laws.split(Renders(Counting(retention_ms=days * 86_400_000)), records, cuts, views=[("state", {})])


@given(st.lists(st.lists(st.integers(0, 2**63 - 1), min_size=1), min_size=1))
def test_the_sums_of_times_of_many_cells_are_exact(cells: list[list[int]]) -> None:
    """All of 64 bits."""
    times = [time for of_cell in cells for time in of_cell]
    of = np.repeat(np.arange(len(cells)), [len(of_cell) for of_cell in cells])
    columns = Columns.of([("u", line, time, None, None) for line, time in enumerate(times, 1)])
    measures = columns.measures(0, of, [DAYS[0]] * len(cells))
    assert [measure.total for measure in measures] == [sum(of_cell) << SHIFT for of_cell in cells]
    assert [(one.least, one.greatest and one.greatest.value) for one in measures] == [(min(c), max(c)) for c in cells]


@given(RECORDS, CUTS)
@settings(max_examples=50, deadline=None)
def test_forgetting_cells_changes_nothing(records: list[Render], cuts: set[int]) -> None:
    laws.forgetting(Renders(Counting()), records, cuts, views=[("state", {})])


@given(RECORDS, CUTS, st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_with_a_retention_old_days_are_refused_and_stay_as_they_were(
    records: list[Render], cuts: set[int], days: int
) -> None:
    """What was counted of a folded day still counts; its uids are forgotten, and may come again, unless met later."""
    reference = naive.Retained(days)
    refused = [(at, reason) for at, record in enumerate(records) if (reason := reference.count(record))]
    renders = Renders(Counting(retention_ms=days * 86_400_000 + 3_600_000))
    outcome = laws.outcome(renders, records, cuts)
    assert outcome.refused == refused
    kept = list(reference.first.values())
    # A render is told apart by its place, since a uid may be counted again.
    figures: dict[Any, list[Render]] = {}
    for one in [*reference.forgotten, *kept]:
        figures.setdefault(cell_of(*naive.cell(one)), []).append(one)
    shares = {entity: share for entity, share in outcome.summaries.items() if share is not None}
    assert {entity: share["count"] for entity, share in shares.items()} == {e: len(r) for e, r in figures.items()}
    for entity, share in shares.items():
        assert share["maxram"]["max"] == naive.measure(figures[entity], "maxram")["max"]
        assert merged([share])["maxcpu"]["mean"] == naive.measure(figures[entity], "maxcpu")["mean"]
    uids = sum(key.startswith(b"u") for key in outcome.rows)
    assert uids == len(kept)
    watched = sum(one.day != date.fromordinal(reference.latest[one.uid]).isoformat() for one in kept)
    assert [sum(key.startswith(kind) for key in outcome.rows) for kind in (b"l", b"w")] == [watched, watched]
    rows_of_cells = [msgspec.json.decode(row) for key, row in outcome.rows.items() if key.startswith(b"c")]
    open_cells = [row for row in rows_of_cells if date.fromisoformat(row["day"]).toordinal() >= reference.floor]
    blocks = sum(key.startswith(b"b") for key in outcome.rows)
    assert blocks == sum(math.ceil(row["arrived"] / BLOCK) for row in open_cells)


@given(RECORDS, st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_shares_of_any_partitioning_merge_to_the_same(
    records: list[Render], partitions: int, shuffle: random.Random
) -> None:
    """By uid into partitions; merged in any order and grouping, the summary is that of one partition, to the byte."""
    whole = count(records)
    parts = [
        count(
            [one for one in records if partition_of(one.uid.encode(), partitions) == number],
            partition=number, partitions=partitions,
        )
        for number in range(partitions)
    ]  # fmt: skip
    for entity, share in whole.items():
        shares = [part[entity] for part in parts if entity in part]
        shuffle.shuffle(shares)
        cut = shuffle.randint(1, len(shares))
        grouped = [merged(shares[:cut]), *([merged(shares[cut:])] if shares[cut:] else [])]
        shuffle.shuffle(grouped)
        assert merged(grouped) == merged(shares) == merged([share])


def test_an_earlier_day_takes_a_uid_over_with_all_that_it_counted_for() -> None:
    """The maximum falls back to the next render's; an emptied cell has no share any more."""
    records = [
        render(uid="x", day=DAYS[1], maxram=90.0),
        render(uid="y", day=DAYS[1], maxram=80.0, line=2),
        render(uid="z", day=DAYS[2]),
        render(uid="x", day=DAYS[0], maxram=1.0, app="nuke"),
        render(uid="z", day=DAYS[1], maxram=80.0, line=3),
    ]
    shares = count(records, [3])
    assert {entity: share["count"] for entity, share in shares.items()} == {
        f"{DAYS[0]},nuke,arnold,true": 1,
        f"{DAYS[1]},maya,arnold,true": 2,
    }
    ram = shares[f"{DAYS[1]},maya,arnold,true"]["maxram"]
    assert (ram["max"], ram["uid"], ram["sum"]) == (80.0, "y", "0x5p+5")


def test_a_day_that_is_replayed_counts_nothing_again_though_its_uids_first_day_is_folded() -> None:
    """A uid of day 0 that came again on day 1 is known for as long as day 1 is."""
    first, again = render(day=DAYS[0]), render(day=DAYS[1])
    for records in ([first, again], [again, first]):
        rows, renders = Rows(MemoryStore()), Renders(Counting(retention_ms=86_400_000))
        renders.update(rows, Batch([*records, render(uid="x", day=DAYS[2])], ()))
        assert renders.update(rows, Batch([again], ())).entities == []
        assert renders.summary(rows, f"{DAYS[0]},maya,arnold,true") is not None
        assert renders.summary(rows, f"{DAYS[1]},maya,arnold,true") is None
        renders.update(rows, Batch([render(uid="x", day=DAYS[3])], ()))
        assert list(renders.keys(rows)) == ["x"]


def test_of_equal_day_and_line_the_row_that_is_smaller_by_bytes_counts() -> None:
    """Two directories may hold a file of one name: `"10.0` is smaller than `"9.5`."""
    one, other = render(maxram=9.5), render(maxram=10.0)
    for records in ([one, other], [other, one]):
        (share,) = count(records).values()
        assert (share["count"], share["maxram"]["max"]) == (1, 10.0)


def test_a_uid_of_another_partition_is_refused() -> None:
    """And all the uids of a batch are looked at as murmur2 looks at one."""
    rows = Rows(MemoryStore(), partition=3, partitions=8)
    uids = [f"{'uid' * (number % 4)}{number}" for number in range(200)] + UIDS + [""]
    keys = [uid.encode() for uid in uids]
    expected = {at for at, key in enumerate(keys) if partition_of(key, 8) != 3}
    assert strangers(rows, keys) == expected
    changes = Renders(Counting()).update(rows, Batch([render(uid=uid) for uid in uids], ()))
    assert {at for at, _ in changes.refused} == expected


def test_a_day_beyond_the_brokers_clock_is_refused_when_asked_for() -> None:
    """`--max-ahead 1d`: the day after tomorrow's file is somebody's mistake."""
    noon_ms = (date.fromisoformat(DAYS[0]).toordinal() - date(1970, 1, 1).toordinal()) * 86_400_000 + 43_200_000
    renders = Renders(Counting(max_ahead_ms=86_400_000))
    assert renders.needs_broker_time
    batch = Batch([render(day=day, uid=day) for day in DAYS[:4]], [noon_ms] * 4)
    assert renders.update(Rows(MemoryStore()), batch).refused == [(2, IN_THE_FUTURE), (3, IN_THE_FUTURE)]
    late = Renders(Counting(retention_ms=86_400_000))
    batch = Batch([render(day=day, uid=day) for day in (DAYS[2], DAYS[0], DAYS[1])], ())
    assert late.update(Rows(MemoryStore()), batch).refused == [(1, TOO_LATE)]


def test_the_state_of_a_uid_is_the_render_that_counts() -> None:
    rows, renders = Rows(MemoryStore()), Renders(Counting())
    renders.update(rows, Batch([render(day=DAYS[1]), render(day=DAYS[0], line=7)], ()))
    assert renders.view(rows, "a", "state", {}) == {
        "uid": "a", "app": "maya", "renderer": "arnold", "frames": 1, "success": True, "day": DAYS[0], "line": 7,
        "elapsed_time": 1000, "maxram": 10.0, "maxcpu": 50.0,
    }  # fmt: skip
    assert renders.view(rows, "b", "state", {}) is None
    assert list(renders.keys(rows)) == ["a"]
    with pytest.raises(LookupError, match="there is: state"):
        renders.view(rows, "a", "at", {})


@given(st.lists(st.floats(SMALLEST, LARGEST), min_size=1, max_size=60), st.integers(0, 100))
def test_a_quantile_is_within_its_error_of_the_exact_one(values: list[float], percent: int) -> None:
    """1 % of the value at that place in order; what was taken back leaves no trace."""
    bins = Counter(map(bin_of, values))
    assert bins_of(np.array(values)).tolist() == list(map(bin_of, values))
    exact = sorted(values)[max(0, math.ceil(percent * len(values) / 100) - 1)]
    assert abs(quantile(bins, percent) - exact) <= exact * RELATIVE_ERROR


@given(st.lists(st.floats(0, 1.7e308), min_size=1, max_size=60))
def test_the_sum_of_floats_is_exact(values: list[float]) -> None:
    """From the smallest double to the greatest, rounded once, when somebody divides it."""
    renders = [("u", line, None, value, None) for line, value in enumerate(values)]
    (measure,) = Columns.of(renders).measures(1, np.zeros(len(values), np.int64), [DAYS[0]])
    assert measure.mean() == float(sum(map(Fraction, values)) / len(values))
    for line, value in enumerate(values):
        measure.remove(value, Place(DAYS[0], line, "u"))
    assert (measure.n, measure.total, measure.bins) == (0, 0, {})


@given(st.floats(0, 1.7e308), st.floats(0, 1.7e308))
def test_greater_values_have_greater_bins_and_there_are_few(one: float, other: float) -> None:
    """Whatever somebody sends, a cell's share stays small."""
    if one <= other:
        assert bin_of(one) <= bin_of(other)
    assert bin_of(one) == 0 or bin_of(SMALLEST) <= bin_of(one) <= bin_of(LARGEST)
    assert bin_of(LARGEST) - bin_of(SMALLEST) + 2 == 5_314
    assert math.isfinite(middle_of(bin_of(one)))
