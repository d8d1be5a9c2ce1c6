"""The merging stage: redelivered, reordered and stale partials change nothing; merging is exact through crashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.aggregator import Aggregator, Batch, Changes
from aggregators.rows import MemoryStore, Rows
from processors.driver import STEPS, Driver
from schemas.partial import Partial, encode, partials_of
from schemas.sites import SITES
from sinks.merge import Merge


class Counts(Aggregator[Any]):
    """What a stream of counts says of merging."""

    def update(self, rows: Rows, batch: Batch[Any]) -> Changes:
        raise NotImplementedError

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        raise NotImplementedError

    def keys(self, rows: Rows) -> Iterator[str]:
        raise NotImplementedError

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        raise NotImplementedError

    def merge(self, entity: str, shares: Any) -> dict[str, Any] | None:
        count = sum(share["count"] for share in shares)
        return {"id": entity, "count": count} if count else None


SHARES = st.one_of(st.none(), st.fixed_dictionaries({"count": st.integers(0, 5)}))
HISTORY = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 9)), SHARES, max_size=25
)  # fmt: skip
"""What each source said of each entity at each of its versions: one content for each."""


def answer(history: Mapping[tuple[str, int, int], Any]) -> dict[str, int]:
    """The newest share of each source, added up."""
    totals: dict[str, int] = {}
    for entity in "ab":
        newest = {
            source: history[entity, source, max(v for e, s, v in history if (e, s) == (entity, source))]
            for e, source, _ in history
            if e == entity
        }
        total = sum(share["count"] for share in newest.values() if share is not None)
        if total:
            totals[entity] = total
    return totals


@given(HISTORY, st.randoms(use_true_random=False), st.data())
def test_order_redelivery_and_stale_partials_change_nothing(
    history: dict[tuple[str, int, int], Any], rng: Any, data: st.DataObject
) -> None:
    """Whatever comes how often and when: the newest share of each source counts, through crashes of the stage."""
    partials = [Partial(entity, source, version, share) for (entity, source, version), share in history.items()]
    partials += data.draw(st.lists(st.sampled_from(partials), max_size=10)) if partials else []
    rng.shuffle(partials)
    driver = Driver(partials_of(SITES), Merge(Counts()))
    driver.send(*encode(partials))
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=5)):
        driver.read(rng.randint(1, 8))
        driver.crash(step)
    driver.read()
    driver.end_epoch()
    assert {entity: summary["count"] for entity, summary in driver.newest.items()} == answer(history)


def test_an_entity_without_shares_is_removed_and_may_come_back() -> None:
    """A tombstone; its revision goes on rising."""
    driver = Driver(partials_of(SITES), Merge(Counts()))
    for version, share in ((1, {"count": 2}), (2, None), (3, {"count": 1})):
        driver.send(*encode([Partial("a", 0, version, share)]))
        driver.read()
        driver.end_epoch()
    values = [output.value for output in driver.log.outputs]
    assert values == [b'{"id":"a","count":2,"revision":1}', None, b'{"id":"a","count":1,"revision":3}']


def test_an_entity_of_another_partition_is_refused() -> None:
    """A partial that somebody wrote to the wrong partition is a dead letter, not a second summary."""
    rows = Rows(MemoryStore(), partition=0, partitions=8)  # murmur2("1") names partition 7
    changes = Merge(Counts()).update(rows, Batch([Partial("1", 0, 1, {"count": 1})], ()))
    assert (list(changes.entities), changes.refused) == ([], [(0, "wrong partition")])


def test_the_state_of_an_entity_shows_each_source() -> None:
    """For people who ask where a number comes from."""
    rows, merge = Rows(MemoryStore()), Merge(Counts())
    merge.update(rows, Batch([Partial("a", 1, 5, {"count": 2}), Partial("a", 0, 3, None)], ()))
    assert merge.view(rows, "a", "state", {}) == {
        "entity": "a",
        "summary": {"id": "a", "count": 2},
        "shares": {"0": {"version": 3, "share": None}, "1": {"version": 5, "share": {"count": 2}}},
    }
    assert merge.view(rows, "b", "state", {}) is None
    assert list(merge.keys(rows)) == ["a"]
    with pytest.raises(LookupError, match="there is: state"):
        merge.view(rows, "a", "at", {})
