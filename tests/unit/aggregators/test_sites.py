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
from aggregators.aggregator import Batch, Counting
from aggregators.rows import Memory, MemoryStore, Rows
from aggregators.site import Sizes
from aggregators.sites import Sites
from schemas.sites import Message, MessageData, SiteEvent, Status, StatusData
from tests.unit.aggregators.naive_sites import NaiveSites

TINY_PILE = blocks.Sizes(unit=2, fan=2, old_level=2, top_level=4, page=2, times_page=2)
TINY = Sizes(TINY_PILE, names.Sizes(page=2, known=3, pile=TINY_PILE), timeline.Sizes(leaf=3))
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
    epoch = rows.take()
    store.write(epoch)
    rows.settled(epoch)
    return changes.refused


RUNS = st.lists(st.lists(events(TIMES), max_size=12), max_size=12)
CLOSE_RUNS = st.lists(st.lists(events(list(range(40)), ("1",)), max_size=12), max_size=14)


@pytest.mark.parametrize("sizes", [TINY, Sizes()], ids=["tiny", "real"])
@given(runs=RUNS, retention=st.none(), forgets=st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_every_summary_and_view_is_the_references(
    sizes: Sizes, runs: list[list[SiteEvent]], retention: int | None, forgets: random.Random
) -> None:
    """After every batch, whatever was evicted between."""
    compare(sizes, runs, retention, forgets)


@given(runs=CLOSE_RUNS, retention=st.integers(0, 20), forgets=st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_with_a_retention_every_summary_and_view_is_the_references(
    runs: list[list[SiteEvent]], retention: int | None, forgets: random.Random
) -> None:
    """The same records are refused, totals stay exact, and what can still be asked for is right."""
    compare(TINY, runs, retention, forgets)


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
        for site in [site for site in naive.events if naive.events[site]]:
            assert sites.summary(rows, site) == naive.summary(site)
    for site in [site for site in naive.events if naive.events[site]]:
        assert sites.view(rows, site, "operators", {}) == naive.operators(site)
        assert sites.view(rows, site, "by", {"period": "hour"}) == naive.by(site, 3600)
        for moment in (-4000, 0, 3, 20, 39, 3600, 2**62):
            if moment >= naive.floor(site):
                assert sites.view(rows, site, "at", {"ts": str(moment)}) == naive.at(site, moment)


RECORDS = st.lists(events(TIMES), max_size=90)


@given(records=RECORDS, cuts=st.sets(st.integers(1, 90)))
@settings(max_examples=150, deadline=None)
def test_any_split_leaves_the_same_rows(records: list[SiteEvent], cuts: set[int]) -> None:
    laws.split(Sites(Counting(), TINY), records, cuts, views=VIEWS)


@given(records=RECORDS, cuts=st.sets(st.integers(1, 90)), retention=st.integers(0, 20))
@settings(max_examples=150, deadline=None)
def test_any_split_leaves_the_same_rows_with_a_retention(
    records: list[SiteEvent], cuts: set[int], retention: int
) -> None:
    close = [type(record)(record.id, record.sender, "1", record.timestamp % 41, record.data) for record in records]  # pyright: ignore[reportArgumentType, reportCallIssue]
    laws.split(Sites(Counting(retention_ms=retention * 1000), TINY), close, cuts, views=VIEWS)


@given(records=RECORDS, cuts=st.sets(st.integers(1, 90)))
@settings(max_examples=100, deadline=None)
def test_forgetting_changes_nothing(records: list[SiteEvent], cuts: set[int]) -> None:
    laws.forgetting(Sites(Counting(), TINY), records, cuts, views=VIEWS)


@given(records=RECORDS.map(one_content), shuffle=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_and_any_duplication_give_the_same(records: list[SiteEvent], shuffle: random.Random) -> None:
    again = [*records, *shuffle.sample(records, len(records) // 2)]
    shuffle.shuffle(again)
    laws.order(Sites(Counting(), TINY), records, again, views=VIEWS)
