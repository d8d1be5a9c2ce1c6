"""`sessions` against the specification, and against a reference that follows its words one record at a time."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from aggregators import laws, session, session_crowd, session_ends, session_window
from aggregators import sessions as aggregator
from aggregators.aggregator import Batch, Counting
from aggregators.exact import SumsOfShares, scaled
from aggregators.rows import Memory, MemoryStore, Rows
from aggregators.session_ends import ALIVE, OVER
from aggregators.sessions import Sessions
from schemas.sessions import STATES, SessionRecord
from tests.unit.aggregators.naive_sessions import NaiveSessions

IDLE, GRACE, THRESHOLD = 40_000, 12_000, 0.3
TIMES = [*range(0, 30_000, 500), *range(30_000, 200_000, 2_500), 4_999, 9_999, -1, -5_000, -5_001]
VALUES = [0.0, -0.0, 0.1, 0.2, 0.3, 0.30000000000000004, 0.7, 1.0, 5e-324, 1 / 3]
VIEWS: laws.Views = [("report", {"samples": "1"}), ("report", {"from": "0", "to": "50000"})]


def counting(retention: int | None = None, **more: Any) -> Counting:
    return Counting(retention_ms=retention, max_ahead_ms=0, idle_ms=IDLE, grace_ms=GRACE, threshold=THRESHOLD, **more)


def optional(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | st.sampled_from(values)


def records(times: list[int], sessions: tuple[str, ...] = ("a", "é\0")) -> st.SearchStrategy[SessionRecord]:
    return st.builds(
        SessionRecord,
        st.sampled_from(times),
        st.sampled_from(sessions),
        optional(list(STATES)),
        st.just(UNSET) | st.just(UNSET) | st.sampled_from(["700", "604"]),
        st.just(UNSET) | st.just(UNSET) | st.sampled_from(["Sally", "ä"]),
        optional(VALUES) | st.sampled_from(VALUES),
    )


CLOSE = [time for time in TIMES if 5_000 <= time < 15_000]
"""Within the grace of each other: nothing is too late, whatever the order."""
RUNS = st.lists(st.lists(records(TIMES), max_size=12), max_size=12)
CUTS = st.sets(st.integers(0, 60), max_size=8)


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few records fill several pages and are counted together, and time passes many moments."""
    monkeypatch.setattr(session_crowd, "FEW", 1)
    monkeypatch.setattr(session_window, "PAGE_BYTES", 40)
    monkeypatch.setattr(session, "MOMENT_MS", 7_000)
    monkeypatch.setattr(session_ends, "MOMENT_MS", 7_000)
    monkeypatch.setattr(aggregator, "MOMENT_MS", 7_000)


LIVELY = st.lists(
    st.one_of(
        *[st.builds(SessionRecord, st.integers(0, 40_000), st.sampled_from("ab"), cpu=st.sampled_from(VALUES))] * 3,
        records([*range(0, 40_000, 1_000)], ("a", "b", "c")),
    ),
    min_size=20, max_size=80,
)  # fmt: skip
"""Mostly bare samples, many of them of one moment or twice, up to three times the grace apart."""


@given(LIVELY, st.sets(st.integers(0, 80), max_size=4), st.none() | st.sampled_from([1, 60_000]))
@settings(max_examples=60, deadline=None)
def test_together_leaves_what_one_by_one_leaves(
    run: list[SessionRecord], cuts: set[int], retention: int | None
) -> None:
    """Byte for byte, whoever is counted how, and what each batch refuses."""
    views = [*VIEWS, ("state", {})]
    together = laws.outcome(Sessions(counting(retention)), run, cuts, views=views)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_crowd, "FEW", len(run))
        assert laws.outcome(Sessions(counting(retention)), run, cuts, views=views) == together


def sample(time: int, cpu: float, name: str = "a", **more: Any) -> SessionRecord:
    return SessionRecord(time, name, cpu=cpu, **more)


FIRST = [*(sample(ms, 0.5) for ms in range(0, 4_000, 500)), SessionRecord(3_500, "a", version="700")]


@pytest.mark.parametrize(
    ("after", "touched"),
    [
        ([SessionRecord(3_500, "a", version="700")], 3_500),  # repeated: no news
        ([sample(3_500, 0.5)], 3_500),
        ([SessionRecord(3_500, "a", version="701")], 8_000),
        ([sample(3_500, 0.25)], 8_000),
        ([SessionRecord(-1, "a")], 8_000),  # begins earlier
        ([sample(3_499 + IDLE + GRACE, 0.5, "b"), sample(3_400, 0.5)], 3_499 + IDLE + GRACE),
        ([sample(3_500 + IDLE + GRACE, 0.5, "b"), sample(3_400, 0.5)], 3_500),  # ended before it came
        ([SessionRecord(3_600, "a", state="over"), sample(3_599 + GRACE, 0.5, "b"), sample(9, 0.5)], 3_599 + GRACE),
        ([SessionRecord(3_600, "a", state="over"), sample(8_000 + GRACE, 0.5, "b"), sample(9, 0.5)], 8_000),
    ],
)
def test_who_changes_a_session_and_when_it_ends_to_the_millisecond(after: list[SessionRecord], touched: int) -> None:
    """Counted together with what was before, after it, and one by one."""
    run = [*FIRST, sample(8_000, 0.5, "c"), *after]
    seen: list[tuple[int, laws.Outcome]] = []
    for few, cuts in ((1, {0}), (1, {len(run) - 1}), (99, {0})):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session_crowd, "FEW", few)
            outcome = laws.outcome(Sessions(counting()), run, cuts, views=[("state", {})])
        seen.append((outcome.answers["a", "state", "[]"]["last_touched"], outcome))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == touched


@given(runs=RUNS, retention=st.none() | st.sampled_from([1, 60_000, 71_234]), forgets=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_every_summary_and_report_is_the_references(
    runs: list[list[SessionRecord]], retention: int | None, forgets: random.Random
) -> None:
    """After every batch, whatever was evicted between; the same records are refused."""
    naive = NaiveSessions(IDLE, GRACE, THRESHOLD, retention)
    sessions, store = Sessions(counting(retention)), MemoryStore()
    rows = Rows(store, memory=Memory(limit_bytes=8_000))
    for run in runs:
        changes = sessions.update(rows, Batch(run, []))
        assert changes.refused == [(at, reason) for at, one in enumerate(run) if (reason := naive.count(one))]
        store.end_epoch(rows)
        if forgets.random() < 0.3:
            rows.memory.shrink()
        known = set(sessions.keys(rows))
        assert retention is not None or known == set(naive.sessions)
        for name in known:
            assert sessions.summary(rows, name) == naive.summary(name)
            answer = sessions.view(rows, name, "report", {"samples": "1"})
            assert naive.report(name) == {
                "start": answer["start"],
                "end": answer["end"],
                "peak": answer["peak"],
                "state": answer["dimensions"]["state"],
                "bins": answer["samples"],
            }


@given(st.lists(records(TIMES), max_size=50), CUTS, st.none() | st.sampled_from([1, 60_000, 71_234]))
@settings(max_examples=150, deadline=None)
def test_any_split_leaves_the_same_rows(run: list[SessionRecord], cuts: set[int], retention: int | None) -> None:
    laws.split(Sessions(counting(retention)), run, cuts, views=[*VIEWS, ("state", {})])


@given(st.lists(records(TIMES), max_size=50), CUTS, st.none() | st.sampled_from([1, 60_000, 71_234]))
@settings(max_examples=80, deadline=None)
def test_forgetting_kept_sessions_changes_nothing(
    run: list[SessionRecord], cuts: set[int], retention: int | None
) -> None:
    laws.forgetting(Sessions(counting(retention)), run, cuts, views=[*VIEWS, ("state", {})])


@given(st.lists(records(CLOSE) | records(TIMES), max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_and_any_duplication_give_the_same(run: list[SessionRecord], chance: random.Random) -> None:
    """As long as nothing is too late; a state that comes last is found at the earliest sample all the same."""
    other = run + [one for one in run if chance.random() < 0.4]
    chance.shuffle(other)
    laws.order(Sessions(counting()), run, chance.sample(run, len(run)), views=VIEWS)
    laws.duplication(Sessions(counting()), run, other, views=VIEWS)


@given(st.lists(records(CLOSE), max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_within_the_grace_nothing_is_refused_in_any_order(run: list[SessionRecord], chance: random.Random) -> None:
    """So that the law above is not an empty one."""
    other = chance.sample(run * 2, len(run) * 2)
    one, two = laws.outcome(Sessions(counting()), run), laws.outcome(Sessions(counting()), other)
    assert one.refused == two.refused == []
    assert one.summaries == two.summaries


def counted(*run: SessionRecord, **more: Any) -> tuple[Sessions, Rows, list[tuple[int, str]]]:
    sessions, store = Sessions(Counting(**{"max_ahead_ms": 0, **more})), MemoryStore()
    rows = Rows(store)
    changes = sessions.update(rows, Batch(run, [0] * len(run)))
    store.end_epoch(rows)
    return sessions, rows, changes.refused


def test_equality_counts_and_the_later_state_of_a_moment_applies() -> None:
    """The state at a sample's own moment is its state, though it comes after the sample."""
    sessions, rows, _ = counted(
        sample(1_000, 0.5), SessionRecord(1_000, "a", state="running"), SessionRecord(1_000, "a", state="login")
    )
    assert (sessions.summary(rows, "a") or {})["max"] == {"running": 0.5}


def test_a_record_twice_counts_once_and_other_content_counts_again() -> None:
    """Same content is equal known fields: a version more is another record, a zero's sign is not."""
    run = [sample(1, 0.0), sample(1, -0.0), sample(1, 0.0, version="7"), sample(1, 0.0, version="7"), sample(1, 0.5)]
    sessions, rows, _ = counted(*run)
    assert (sessions.summary(rows, "a") or {})["samples"] == 3


def test_yesterdays_log_after_todays_loses_nothing() -> None:
    """A session is not over because the partition's clock stands at tomorrow."""
    day = 86_400_000
    today = [sample(day + ms, 0.5, "today") for ms in range(0, 60_000, 500)]
    yesterday = [sample(ms, 0.5, "yesterday") for ms in range(0, 3_600_000, 60_000)]
    sessions, rows, refused = counted(*today, *yesterday)
    assert refused == []
    assert (sessions.summary(rows, "yesterday") or {})["samples"] == 60


def test_after_over_and_grace_a_session_is_folded_and_its_records_are_too_late() -> None:
    """Another session's records move the clock; detail goes, what is published stays."""
    ending = [sample(1_000, 0.5), SessionRecord(2_000, "a", state="over")]
    before = counted(*ending)
    sessions, rows, refused = counted(*ending, sample(302_000, 0.1, "b"), sample(1_500, 0.9), sample(1_000, 0.5))
    assert refused == [(3, "too late"), (4, "too late")]
    assert sessions.summary(rows, "a") == before[0].summary(before[1], "a")


def test_a_session_that_reports_again_after_its_end_goes_on() -> None:
    """Totals add up; the state and the version of before still hold."""
    again = 40 * 60_000
    sessions, rows, refused = counted(
        sample(1_000, 0.5, state="login", version="700"), sample(again, 0.1, "b"), sample(again, 0.7)
    )
    assert refused == []
    summary = sessions.summary(rows, "a") or {}
    assert (summary["version"], summary["samples"], summary["max"]) == ("700", 2, {"login": 0.7})


def test_a_session_that_ended_leaves_one_row_and_its_place_in_an_index() -> None:
    """Memory is bounded by the sessions alive."""
    run = [sample(ms, 0.5) for ms in range(0, 60_000, 100)]
    _, rows, _ = counted(*run, sample(3_600_000, 0.1, "b"))
    store = rows.range(b"\0", b"\xff")
    assert [key[:1] for key, _ in store if key.endswith(b"a")] == [OVER, b"s"]


def test_retention_removes_a_session_with_a_tombstone() -> None:
    """Counted from when it was last touched, in the partition's event time."""
    sessions, store = Sessions(Counting(max_ahead_ms=0, retention_ms=86_400_000)), MemoryStore()
    rows = Rows(store)
    sessions.update(rows, Batch([sample(0, 0.5)], []))
    store.end_epoch(rows)
    changes = sessions.update(rows, Batch([sample(86_460_000, 0.5, "b")], []))
    store.end_epoch(rows)
    assert sorted(changes.entities) == ["a", "b"]
    assert sessions.summary(rows, "a") is None
    assert not [key for key in store if key.endswith(b"a")]


def test_a_session_is_removed_at_a_moment_and_not_where_a_batch_ends() -> None:
    """The clock passes the retention within a moment: the next one removes the session, whatever the batches."""
    run = [sample(0, 0.5), sample(77_000, 0.5, "b"), sample(78_500, 0.5, "b")]
    laws.split(Sessions(counting(71_234)), run, {2})
    assert laws.outcome(Sessions(counting(71_234)), run).summaries["a"] is not None
    assert laws.outcome(Sessions(counting(71_234)), [*run, sample(84_000, 0.5, "b")]).summaries["a"] is None


def test_a_record_that_finds_its_session_ended_ends_it_in_any_split() -> None:
    """Though it is too late itself, and the session was touched in the same batch or in an earlier one."""
    run = [sample(110_000, 0.5), sample(162_500, 0.5, "b"), sample(0, 0.5)]
    assert laws.outcome(Sessions(counting()), run).refused == [(2, "too late")]
    laws.split(Sessions(counting()), run, {1, 2}, views=[("state", {})])


def test_a_peak_that_falls_gives_way_to_the_highest_one_that_is_folded() -> None:
    """The newest window was the highest for a moment, until its next sample."""
    sessions, store = Sessions(counting()), MemoryStore()
    rows = Rows(store)
    peaks: list[float] = []
    for record in (sample(0, 0.5, state="login"), sample(100_000, 0.75, state="sync"), sample(100_001, 0.0)):
        sessions.update(rows, Batch([record], []))
        store.end_epoch(rows)
        peaks.append(sessions.view(rows, "a", "report", {})["peak"])
    assert peaks == [0.5, 0.75, 0.5]
    assert sessions.view(rows, "a", "report", {})["dimensions"]["state"] == "login"


def test_a_report_of_the_last_hours_hears_of_the_partitions_newest_moment() -> None:
    """From the session that has it, though that began before: another partition may be further behind in time."""
    hour = 3_600_000
    sessions, rows, _ = counted(
        sample(0, 0.1, "long"),
        sample(10 * hour, 0.1, "old"),
        sample(12 * hour, 0.1, "new"),
        sample(13 * hour, 0.1, "long"),
    )

    def said(**arguments: int) -> dict[str, Any]:
        asked = {name: str(value) for name, value in arguments.items()}
        answers = {name: sessions.view(rows, name, "report", asked) for name in ("long", "old", "new")}
        return {name: answer.get("start") for name, answer in answers.items() if answer is not None}

    assert said(last=2 * hour) == {"new": 12 * hour, "long": None}
    assert said(last=13 * hour) == {"long": 0, "old": 10 * hour, "new": 12 * hour}
    assert said(to=12 * hour) == {"long": 0, "old": 10 * hour}
    with pytest.raises(ValueError, match="from must be an integer"):
        sessions.view(rows, "new", "report", {"from": "today"})
    with pytest.raises(LookupError, match="no view 'rank'"):
        sessions.view(rows, "new", "rank", {})


def test_a_day_ahead_is_the_limit_unless_another_is_set() -> None:
    """Against the broker's clock (0 here), of `sessions` only; 0 is off."""
    day = 86_400_000
    assert counted(sample(day, 0.5), sample(day + 1, 0.5), max_ahead_ms=None)[2] == [(1, "in the future")]
    assert counted(sample(1_000, 0.5), sample(1_001, 0.5), max_ahead_ms=1_000)[2] == [(1, "in the future")]
    assert counted(sample(2**62, 0.5), max_ahead_ms=0)[2] == []


def test_a_session_of_another_partition_is_refused_and_moves_no_clock() -> None:
    """Its records belong where murmur2 says."""
    sessions = Sessions(Counting(max_ahead_ms=0))
    names = [str(number) for number in range(8)]
    rows = Rows(MemoryStore(), partition=0, partitions=2)
    changes = sessions.update(rows, Batch([sample(1, 0.5, name) for name in names], []))
    assert [names[at] for at, _ in changes.refused] == [name for name in names if not rows.owns(name.encode())]
    assert {reason for _, reason in changes.refused} == {"wrong partition"}


@example(window=[0.1, 0.1, 0.1], other=[0.1])
@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(0, 1), min_size=1))
def test_means_are_rounded_once(window: list[float], other: list[float]) -> None:
    """Neither order nor grouping can be seen in them."""
    run = [sample(at, cpu) for at, cpu in enumerate(window)] + [sample(5_000 + at, cpu) for at, cpu in enumerate(other)]
    naive = NaiveSessions(IDLE, GRACE, THRESHOLD)
    for record in run:
        naive.count(record)
    sessions, rows, _ = counted(*run[::-1])
    summary = sessions.summary(rows, "a") or {}
    assert (summary["mean"], summary["peak"]) == (naive.summary("a")["mean"], naive.summary("a")["peak"])


@given(st.lists(st.lists(st.floats(0, 1), min_size=1), min_size=1))
def test_sums_of_many_shares_are_exact(groups: list[list[float]]) -> None:
    """Those with bits far below the others, too; of groups of groups as of groups."""
    starts = np.cumsum([0, *map(len, groups[:-1])])
    sums = SumsOfShares(np.array([cpu for group in groups for cpu in group]), starts)
    expected = [sum(map(scaled, group)) for group in groups]
    assert [sums.total(place) for place in range(len(groups))] == expected
    assert sums.of(np.array([0])).total(0) == sum(expected)


def test_times_without_any_bound_are_counted_one_by_one() -> None:
    """The whole range of 64 bits in one session, and in one partition."""
    laws.split(Sessions(Counting(max_ahead_ms=0)), [sample(-(2**63), 0.5)], set(), views=[("state", {})])
    run = [sample(2**63 - 1, 0.5), sample(-(2**63), 0.5), *(sample(ms, 0.25, "b") for ms in range(8))]
    laws.split(Sessions(Counting(max_ahead_ms=0)), run, {1, 2, 5}, views=[("state", {})])
    wide = [*(sample(ms, 0.25) for ms in range(8)), sample(2**45, 0.5), *(sample(ms, 0.5, "b") for ms in range(8))]
    laws.split(Sessions(Counting(max_ahead_ms=0, grace_ms=2**50)), wide, {3, 9}, views=[("state", {})])


def test_a_batch_costs_what_is_new_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of many hours writes as much a batch as one of ten minutes."""
    monkeypatch.setattr(session_window, "PAGE_BYTES", 8 << 10)
    monkeypatch.setattr(session_crowd, "FEW", 6)
    sessions, store = Sessions(Counting(max_ahead_ms=0)), MemoryStore()
    rows = Rows(store)
    written: list[int] = []
    for start in range(0, 20_000_000, 5_000):
        sessions.update(rows, Batch([sample(start + ms, 0.25) for ms in range(0, 5_000, 1_000)], []))
        written.append(rows.dirty_bytes)
        store.end_epoch(rows)
    assert max(written[-200:]) < max(written[200:400]) + 16
    assert len([key for key in store if key.startswith(ALIVE)]) == 1
