"""The plug-in of the comparison: messages and distinct visitors of each site, against a reference of three lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from aggregators import laws
from aggregators.aggregator import WRONG_PARTITION, Batch
from aggregators.rows import MemoryStore, Rows
from processors.driver import STEPS, Driver
from schemas.wire import partition_of
from tests.bench.peers.ours.streamgauge_visitors import SCHEMA, Event, Sizes, Visitors

SMALL = Sizes(page=2, small=3)
"""So that a few visitors are many: several pages, and more than a small site has."""

events = st.lists(
    st.builds(
        Event,
        type=st.sampled_from(["message", "message", "message", "status"]),
        sender=st.one_of(st.integers(0, 12).map(str), st.sampled_from(["", "a\0b", "ä", "a\nb"])),
        site_id=st.sampled_from(["7", "7", "", "sé"]),
    ),
    max_size=60,
)
cuts = st.sets(st.integers(0, 60))
VIEWS = [("state", {})]


def reference(records: Sequence[Event]) -> dict[str, dict[str, object]]:
    senders: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.type == "message":
            senders[record.site_id].append(record.sender)
    return {s: {"site_id": s, "messages": len(who), "visitors": len(set(who))} for s, who in senders.items()}


@given(records=events, where=cuts)
@example(records=[Event("message", "7", ""), Event("message", "", "7")], where={0, 1})
def test_every_summary_is_the_references(records: list[Event], where: set[int]) -> None:
    found = laws.outcome(Visitors(SMALL), records, where, views=VIEWS)
    assert found.summaries == reference(records)
    for (site, _, _), state in found.answers.items():
        who = [record.sender for record in records if record.type == "message" and record.site_id == site]
        assert state["messages"] == len(who)
        first_ones = list(dict.fromkeys(who))
        assert state["visitors"] == (first_ones if len(first_ones) <= SMALL.small else sorted(first_ones))


@given(records=events, where=cuts)
def test_any_split_leaves_the_same_rows(records: list[Event], where: set[int]) -> None:
    laws.split(Visitors(SMALL), records, where, views=VIEWS)


@given(records=events, where=cuts)
def test_forgetting_what_is_kept_changes_nothing(records: list[Event], where: set[int]) -> None:
    laws.forgetting(Visitors(SMALL), records, where, views=VIEWS)


@given(records=events, order=st.randoms(use_true_random=False))
def test_any_order_gives_the_same_summaries(records: list[Event], order: Random) -> None:
    shuffled = list(records)
    order.shuffle(shuffled)
    laws.order(Visitors(SMALL), records, shuffled)


@given(where=cuts, back=st.integers(1, 30))
def test_a_site_that_grows_large_is_kept_the_same_however_it_was_cut(where: set[int], back: int) -> None:
    """Its pages are given up for rows, once; who comes again is known in either form."""
    records = [Event("message", f"v{number % back}", "7") for number in range(40)]
    laws.split(Visitors(SMALL), records, where, views=VIEWS)
    laws.forgetting(Visitors(SMALL), records, where, views=VIEWS)
    assert laws.outcome(Visitors(SMALL), records, where).summaries == reference(records)


def test_a_site_of_another_partition_is_refused_and_leaves_nothing() -> None:
    """Its statuses are nothing to refuse: they are not counted anywhere."""
    home = partition_of(b"7", 4)
    rows = Rows(MemoryStore(), partition=(home + 1) % 4, partitions=4)
    ours = next(site for site in map(str, range(100)) if partition_of(site.encode(), 4) == rows.partition)
    batch = [Event("message", "anna", ours), Event("message", "bert", "7"), Event("status", "otto", "7")]
    changes = Visitors().update(rows, Batch(batch, ()))
    assert (list(changes.entities), changes.refused) == ([ours], [(1, WRONG_PARTITION)])
    assert list(Visitors().keys(rows)) == [ours]


def test_no_crash_at_any_step_counts_twice_or_not_at_all() -> None:
    """The engine's promise holds for a plug-in, which does nothing for it."""
    line = b'{"id":"x","type":"message","from":"v%d","site_id":"7","timestamp":1,"data":{"message":"m"}}'
    for step in STEPS:
        driver = Driver(SCHEMA, Visitors())
        for first in (0, 5):
            driver.send(*(line % (first + number) for number in range(5)))
            driver.read()
            driver.clock.now += 1.0
            driver.crash(step)
            driver.read()
            driver.clock.now += 1.0
            driver.end_epoch()
        newest = driver.newest["7"]
        assert (newest["messages"], newest["visitors"]) == (10, 10)
