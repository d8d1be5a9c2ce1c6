"""What all sites in memory share: tables that may be forgotten or made anew between any two batches."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators import residents
from aggregators.aggregator import Batch, Counting
from aggregators.numbering import Numbering, first_of_each
from aggregators.residents import Residents
from aggregators.rows import Memory, MemoryStore, Rows
from aggregators.seen import Seen
from aggregators.sites import Sites
from schemas.sites import Message, MessageData, SiteEvent
from tests.unit.aggregators.naive_sites import NaiveSites


@given(runs=st.lists(st.lists(st.integers(1, 400), max_size=80), max_size=12))
def test_what_is_called_new_is_new_and_once(runs: list[list[int]]) -> None:
    """The prints are their own ids here, so that nothing but a known one may be doubted."""
    seen, known = Seen(), set[int]()
    for prints in runs:
        may = seen.sift(np.array(prints, np.uint32) << np.uint32(20))
        assert may.tolist() == [print_ in known or prints.count(print_) > 1 for print_ in prints]
        known.update(prints)
    assert seen.count == len(known)


def test_a_table_of_prints_grows_and_forgets_none() -> None:
    rng = np.random.default_rng(1)
    seen = Seen()
    prints = rng.permutation(np.arange(1, 200_001, dtype=np.uint32) * np.uint32(21_001))
    for part in np.array_split(prints, 37):
        assert not seen.sift(part).any()
    for part in np.array_split(prints, 11):
        assert seen.sift(part).all()
    assert seen.nbytes < 12 * len(prints)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, 1 << 50])), max_size=60),
    far=st.sampled_from([0, 1 << 40]),
)
def test_each_pair_comes_once_by_owner_and_in_order_of_arrival(pairs: list[tuple[int, int]], far: int) -> None:
    """Also where the numbers are too large to be sorted as one."""
    owners = np.array([owner + far for owner, _ in pairs], np.int64)
    names = np.array([name for _, name in pairs], np.int64)
    first = {pair: place for place, pair in reversed(list(enumerate(pairs)))}
    assert first_of_each(owners, names).tolist() == [
        first[pair] for pair in sorted(first, key=lambda pair: (pair[0], first[pair]))
    ]


@pytest.mark.parametrize("name", ["{}", "s{}", "\0s{}"])
def test_a_visitor_named_as_another_site_is_no_visitor_of_it(name: str) -> None:
    """The sum of two hashes does not tell which is the owner's: what is hashed of it must be nobody's name."""
    rows = Rows(MemoryStore())
    pairs = [("7", name.format("8")), ("8", name.format("7"))]
    records: list[SiteEvent] = [Message(str(n), who, site, 5, MessageData()) for n, (site, who) in enumerate(pairs)]
    aggregator = Sites(Counting())
    for record in records:  # a batch each: in one, both are new
        aggregator.update(rows, Batch([record], ()))
    for site, _ in pairs:
        summary = aggregator.summary(rows, site)
        assert summary is not None
        assert summary["visitors"] == 1


def test_a_numbering_grows_and_forgets_none() -> None:
    """Also where the first halves of keys agree, and where a key that is there is given another number."""
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 1 << 63, (50_000, 2), dtype=np.uint64)
    keys[1::2, 0] = keys[::2, 0]
    numbers = np.arange(len(keys), dtype=np.uint32)
    numbering = Numbering()
    for part in np.array_split(np.arange(len(keys)), 23):
        found, slots = numbering.find(keys[part])
        assert not found.any()
        numbering.enter(keys[part], numbers[part], slots)
    numbering.enter(keys, numbers + np.uint32(7))
    assert (numbering.find(keys)[0] == numbers + 1).all()
    assert numbering.count == len(keys)


def test_tables_made_anew_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites are forgotten all the time, and what the tables know of them is worth nothing."""
    monkeypatch.setattr(residents, "_FEW", 0)
    rng, naive, sites = random.Random(3), NaiveSites(), Sites(Counting())
    store, memory = MemoryStore(), Memory(limit_bytes=60_000)
    rows = Rows(store, memory=memory)
    generations = set[tuple[int, int]]()
    for _ in range(60):
        records: list[SiteEvent] = [
            Message(f"id{rng.randrange(900)}", f"v{rng.randrange(20)}", f"site{rng.randrange(40)}", 1, MessageData())
            for _ in range(30)
        ]
        for record in records:
            naive.count(record)
        for site in sites.update(rows, Batch(records, ())).entities:
            assert sites.summary(rows, site) == naive.summary(site)
        store.end_epoch(rows)
        memory.shrink()
        tables: Any = Residents.of(rows)
        generations.add((tables.seen.generation, tables.numbering.generation))
    assert len(generations) > 5
    assert memory.evictions > 100
