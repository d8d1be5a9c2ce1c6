"""`sites` against the specification, and against a reference that follows its words one event at a time.

Rows, pages and leaves are made tiny here, so that a few dozen events fill blocks of every level, split leaves and
reach the paged names.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators import blocks, laws, names, timeline
from aggregators.aggregator import IN_THE_FUTURE, WRONG_PARTITION, Batch, Counting, Unanswerable
from aggregators.rows import Memory, MemoryStore, Rows
from aggregators.site import Sizes
from aggregators.sites import Sites
from schemas.sites import Message, MessageData, SiteEvent, Status, StatusData
from schemas.wire import partition_of
from tests.unit.aggregators.naive_sites import NaiveSites


def tiny(unit: int = 2, page: int = 2, many: int = 64, worth: int = 512) -> Sizes:
    """Sizes under which little is much; ``many`` and ``worth`` choose between ways that must come to the same."""
    pile = blocks.Sizes(unit, fan=2, old_level=2, top_level=4, page=page, times_page=page, many=many, worth=worth)
    return Sizes(pile, names.Sizes(fresh=2, page=4, known=3, pile=pile), timeline.Sizes(leaf=3, operators=2))


TINY = tiny()
SIZES = st.sampled_from([TINY, tiny(many=2), tiny(worth=0), tiny(many=2, worth=0, page=1), tiny(unit=3), Sizes()])
VIEWS: laws.Views = [
    ("state", {}),
    ("operators", {}),
    ("by", {"period": "hour"}),
    ("by", {"period": "day"}),
    *(("at", {"ts": str(moment)}) for moment in (-1, 0, 3, 3600, 10**6)),
]

IDS = [f"{number:08x}-0000-4000-8000-{number * 7:012x}" for number in range(24)]
IDS += [identity.upper() for identity in IDS[10:18]] + [f"id{number}\0" for number in range(16)]
NAMES = ["a", "b", "ä", "a\0", "\U0001f600", "B"]
TIMES = [*range(8), 3599, 3600, 7200, 90_000, -1, -3601, 2**63 - 1, -(2**63), 2**62]


def message(identity: str, sender: str, site: str, time: int) -> Message:
    return Message(identity, sender, site, time, MessageData())


def status(identity: str, sender: str, site: str, time: int, state: Any) -> Status:
    return Status(identity, sender, site, time, StatusData(state))


def events(times: list[int], sites: tuple[str, ...] = ("1", "é\n")) -> st.SearchStrategy[SiteEvent]:
    """Any event; one id may have several contents."""
    common = (st.sampled_from(IDS), st.sampled_from(NAMES), st.sampled_from(sites), st.sampled_from(times))
    return st.one_of(st.builds(message, *common), st.builds(status, *common, st.sampled_from(["online", "offline"])))


def one_content(records: list[SiteEvent]) -> list[SiteEvent]:
    """Only the first record of each id, whatever the site."""
    return list({record.id: record for record in reversed(records)}.values())[::-1]


def count(aggregator: Sites, rows: Rows, store: MemoryStore, records: list[SiteEvent]) -> list[tuple[int, str]]:
    """Count one batch and end the epoch."""
    changes = aggregator.update(rows, Batch(records, [0] * len(records)))
    store.end_epoch(rows)
    return changes.refused


RUNS = st.lists(st.lists(events(TIMES), max_size=12), max_size=12)
CLOSE_RUNS = st.lists(st.lists(events(list(range(40)), ("1",)), max_size=12), max_size=14)
RECORDS = st.lists(events(TIMES), max_size=90)
CLOSE_RECORDS = st.lists(events(list(range(40)), ("1",)), max_size=90)
CUTS = st.sets(st.integers(1, 90))
RANDOMS = st.randoms(use_true_random=False)


@given(sizes=SIZES, runs=RUNS, forgets=RANDOMS)
@settings(max_examples=150)
def test_every_summary_and_view_is_the_references(
    sizes: Sizes, runs: list[list[SiteEvent]], forgets: random.Random
) -> None:
    """After every batch, whatever was evicted between."""
    compare(sizes, runs, None, forgets)


@given(sizes=SIZES, runs=CLOSE_RUNS, retention=st.integers(0, 20), forgets=RANDOMS)
@settings(max_examples=150)
def test_with_a_retention_every_summary_and_view_is_the_references(
    sizes: Sizes, runs: list[list[SiteEvent]], retention: int, forgets: random.Random
) -> None:
    """The same records are refused, totals stay exact, and what can still be asked for is right."""
    compare(sizes, runs, retention, forgets)


def compare(sizes: Sizes, runs: list[list[SiteEvent]], retention: int | None, forgets: random.Random) -> None:
    naive = NaiveSites(retention)
    sites = Sites(Counting(retention_ms=None if retention is None else retention * 1000 + 999), sizes)
    store, memory = MemoryStore(), Memory(limit_bytes=3000)
    rows = Rows(store, memory=memory)
    for records in runs:
        refused = count(sites, rows, store, records)
        assert refused == [(at, reason) for at, one in enumerate(records) if (reason := naive.count(one))]
        if forgets.random() < 0.3:
            memory.shrink()
        for site in naive.known():
            assert sites.summary(rows, site) == naive.summary(site)
    for site in naive.known():
        assert sites.view(rows, site, "operators", {}) == naive.operators(site)
        assert sites.view(rows, site, "by", {"period": "hour"}) == naive.by(site, 3600)
        for moment in (-4000, 0, 3, 20, 39, 3600, 2**62):
            if moment >= naive.floor(site):
                assert sites.view(rows, site, "at", {"ts": str(moment)}) == naive.at(site, moment)


@given(sizes=SIZES, records=RECORDS, cuts=CUTS)
@settings(max_examples=100)
def test_any_split_leaves_the_same_rows(sizes: Sizes, records: list[SiteEvent], cuts: set[int]) -> None:
    laws.split(Sites(Counting(), sizes), records, cuts, views=VIEWS)


@given(sizes=SIZES, records=CLOSE_RECORDS, cuts=CUTS, retention=st.integers(0, 20))
@settings(max_examples=150)
def test_any_split_leaves_the_same_rows_with_a_retention(
    sizes: Sizes, records: list[SiteEvent], cuts: set[int], retention: int
) -> None:
    laws.split(Sites(Counting(retention_ms=retention * 1000), sizes), records, cuts, views=VIEWS)


@given(sizes=SIZES, records=RECORDS, cuts=CUTS)
@settings(max_examples=80)
def test_forgetting_changes_nothing(sizes: Sizes, records: list[SiteEvent], cuts: set[int]) -> None:
    laws.forgetting(Sites(Counting(), sizes), records, cuts, views=VIEWS)


@given(sizes=SIZES, records=RECORDS.map(one_content), shuffle=RANDOMS)
@settings(max_examples=100)
def test_any_order_and_any_duplication_give_the_same(
    sizes: Sizes, records: list[SiteEvent], shuffle: random.Random
) -> None:
    again = [*records, *shuffle.sample(records, len(records) // 2)]
    shuffle.shuffle(again)
    laws.order(Sites(Counting(), sizes), records, again, views=VIEWS)


def test_the_bundled_example_gives_its_known_answer() -> None:
    """A status applies before a message of its time; `offline` without `online` counts the operator only."""
    rows, sites = Rows(MemoryStore()), Sites(Counting())
    records: list[SiteEvent] = [
        message("m1", "v1", "1", 10),
        status("s1", "o1", "1", 10, "online"),
        status("s2", "o2", "1", 5, "offline"),
        message("m2", "v1", "1", 9),
    ]
    assert list(sites.update(rows, Batch(records, [0] * 4)).entities) == ["1"]
    assert sites.summary(rows, "1") == {"site_id": "1", "messages": 1, "emails": 1, "operators": 2, "visitors": 1}


@pytest.mark.parametrize(("greater", "chats"), [("online", 1), ("offline", 0)])
def test_of_two_statuses_at_one_time_the_greater_id_holds(greater: Any, chats: int) -> None:
    """By code point of the text, a UUID against another text, too: `0` is below `i`."""
    lesser = "offline" if greater == "online" else "online"
    records: list[SiteEvent] = [
        status("id9", "o", "1", 3, greater),
        status(IDS[1], "o", "1", 3, lesser),
        message("m", "v", "1", 3),
    ]
    for order in (records, records[::-1]):
        rows, sites = Rows(MemoryStore()), Sites(Counting())
        for record in order:
            sites.update(rows, Batch([record], [0]))
        summary = sites.summary(rows, "1")
        assert summary is not None
        assert summary["messages"] == chats


def test_a_new_site_of_another_partition_is_refused_and_leaves_nothing() -> None:
    """A site that is known here goes on being counted here, whatever its key says."""
    sites = Sites(Counting())
    other = next(f"s{n}" for n in range(99) if partition_of(f"s{n}".encode(), 8) != 3)
    store = MemoryStore()
    rows = Rows(store, partition=3, partitions=8)
    changes = sites.update(rows, Batch([message("a", "v", other, 1), message("b", "v", other, 1)], [0, 0]))
    assert changes.refused == [(0, WRONG_PARTITION), (1, WRONG_PARTITION)]
    assert (list(changes.entities), dict(rows.take())) == ([], {})

    count(sites, Rows(store), store, [message("a", "v", other, 1)])
    assert sites.update(rows, Batch([message("b", "v", other, 1)], [0])).refused == []


def test_an_event_too_far_ahead_of_the_broker_is_refused() -> None:
    """Seconds against milliseconds; at the limit it still counts."""
    rows, sites = Rows(MemoryStore()), Sites(Counting(max_ahead_ms=5000))
    changes = sites.update(rows, Batch([message("a", "v", "1", 15), message("b", "v", "1", 16)], [10_000, 10_000]))
    assert changes.refused == [(1, IN_THE_FUTURE)]


def test_a_view_tells_what_it_cannot_answer() -> None:
    store = MemoryStore()
    rows, sites = Rows(store), Sites(Counting(retention_ms=10_000))
    count(sites, rows, store, [message("a", "v", "1", 100), message("b", "w", "1", 95)])
    count(sites, rows, store, [message("c", "v", "1", 90), message("d", "v", "1", 120)])
    assert sites.view(rows, "1", "at", {"ts": "109"}) == Unanswerable("what was before 110 is folded (--retention)")
    with pytest.raises(ValueError, match="whole number"):
        sites.view(rows, "1", "at", {"ts": "noon"})
    with pytest.raises(ValueError, match="hour, day"):
        sites.view(rows, "1", "by", {"period": "week"})
    with pytest.raises(LookupError, match="no view 'weather'"):
        sites.view(rows, "1", "weather", {})
    assert sites.view(rows, "2", "state", {}) is None


def test_no_row_grows_with_a_sites_history() -> None:
    """One site, 20,000 events: no row beyond a page, and an event rewrites a few kilobytes at most on average."""
    rng = random.Random(5)
    store = MemoryStore()
    rows, sites = Rows(store), Sites(Counting())
    written = 0
    for batch in range(100):
        records: list[SiteEvent] = []
        for at in range(200):
            identity, time = f"{batch * 200 + at:08x}-0000-4000-8000-000000000000", rng.randrange(10**6)
            sender = f"o{rng.randrange(7)}" if rng.random() < 0.1 else ""
            state = rng.choice(["online", "offline"])
            records.append(
                status(identity, sender, "1", time, state) if sender else message(identity, f"v{time % 9}", "1", time)
            )
        sites.update(rows, Batch(records, [0] * 200))
        written += rows.dirty_bytes
        store.end_epoch(rows)
    assert max(map(len, store.values())) < 70_000
    assert written < 20_000 * 600
