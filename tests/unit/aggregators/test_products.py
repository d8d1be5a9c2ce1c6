"""`products` is what a sequential reading of the commands gives, whatever batches, epochs, partitions and crashes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators import laws
from aggregators.aggregator import Batch
from aggregators.products import Products
from aggregators.rows import MemoryStore, Rows
from processors.driver import STEPS, Driver
from schemas.errors import BadRecord
from schemas.partial import partials_of
from schemas.products import PRODUCTS, Product
from schemas.wire import partition_of
from sinks.merge import Merge
from tests.unit.aggregators.naive_products import catalogue, counts

COMMANDS = st.builds(
    Product,
    op=st.sampled_from(["ingest", "update", "delete"]),
    name=st.sampled_from(["Anna", "anna", "Ü", "a,b"]),
    sku=st.sampled_from(["1", "2", "1a", "é"]),
    description=st.sampled_from(["", "one", "two\nlines", "}\n{"]),
)
LISTS = st.lists(COMMANDS, max_size=40)
CUTS = st.sets(st.integers(0, 40))
PARTITIONS = 3


def published(driver: Driver[Any]) -> dict[tuple[str, str], str]:
    """What the topic of pairs says, in the reference's form."""
    rows = {(row["sku"], row["name"]): row["description"] for row in driver.newest_rows.values()}
    assert set(driver.newest_rows) == {f"{sku}\0{name}" for sku, name in rows}
    return rows


@given(LISTS, CUTS)
def test_any_split_leaves_the_same_rows(commands: list[Product], cuts: set[int]) -> None:
    """Batches and epochs may end anywhere, also between two commands about one pair."""
    laws.split(Products(), commands, cuts)


@given(LISTS, st.data())
def test_both_tables_are_those_of_a_sequential_reading(commands: list[Product], data: st.DataObject) -> None:
    """Over several partitions and a merging stage, through crashes at any step of an epoch."""
    drivers = [Driver(PRODUCTS, Products(), partition=p, partitions=PARTITIONS) for p in range(PARTITIONS)]
    merge = Driver(partials_of(PRODUCTS), Merge(Products()))
    for command in commands:
        drivers[partition_of(command.sku.encode(), PARTITIONS)].send(msgspec.json.encode(command))
    for driver in drivers:
        for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=3)):
            driver.read(data.draw(st.integers(1, 10)))
            driver.crash(step)
        driver.read()
        driver.end_epoch()
        # A partial that is sent again, as after a crash of who reads it, changes nothing.
        merge.send(*(output.value for output in driver.log.outputs))
        merge.send(*(output.value for output in driver.log.outputs[-2:]))
    merge.read()
    merge.end_epoch()
    expected = catalogue(commands)
    pairs: dict[tuple[str, str], str] = {}
    for driver in drivers:
        pairs |= published(driver)
        assert not driver.dead_letters
    assert pairs == expected
    assert {name: summary["count"] for name, summary in merge.newest.items()} == counts(expected)
    assert all(summary["name"] == name for name, summary in merge.newest.items())


@given(LISTS)
def test_a_command_delivered_twice_in_a_row_changes_nothing(commands: list[Product]) -> None:
    twice = [command for command in commands for _ in range(2)]
    assert laws.outcome(Products(), commands).answers == laws.outcome(Products(), twice).answers


@given(LISTS, st.sampled_from(["ingest", "update", "delete"]), LISTS, st.integers(0, 40))
def test_a_file_replayed_from_anywhere_ends_as_it_ended_the_first_time(
    before: list[Product], op: Any, rows: list[Product], line: int
) -> None:
    """A file has one operation, so what an interrupt sends again finds its work done."""
    file = [msgspec.structs.replace(row, op=op) for row in rows]
    once = laws.outcome(Products(), [*before, *file])
    again = laws.outcome(Products(), [*before, *file, *file[line:]])
    assert (once.answers, once.summaries) == (again.answers, again.summaries)


@given(LISTS)
def test_the_state_of_a_sku_names_its_pairs(commands: list[Product]) -> None:
    """Sorted by name; a sku without pairs has no state."""
    rows, products = Rows(MemoryStore()), Products()
    products.update(rows, Batch(commands, ()))
    expected = catalogue(commands)
    skus = {sku for sku, _ in expected}
    assert list(products.keys(rows)) == sorted(skus)
    for sku in skus:
        pairs = [{"name": n, "description": d} for (s, n), d in sorted(expected.items()) if s == sku]
        assert products.view(rows, sku, "state", {}) == {"sku": sku, "rows": pairs}
    assert products.view(rows, "none", "state", {}) is None
    with pytest.raises(LookupError):
        products.view(rows, "1", "at", {})


def test_a_name_without_pairs_leaves_the_aggregate_and_its_revision_goes_on() -> None:
    """An old file replayed after a delete inserts again."""
    driver = Driver(PRODUCTS, Products())
    for op in ("ingest", "delete", "ingest"):
        driver.send(msgspec.json.encode(Product(op, "Anna", "1", op)))
        driver.read()
        driver.end_epoch()
    key = b"1\0Anna"
    assert [(output.key, output.value) for output in driver.log.published] == [
        (key, b'{"sku":"1","name":"Anna","description":"ingest","revision":1}'),
        (key, None),
        (key, b'{"sku":"1","name":"Anna","description":"ingest","revision":3}'),
    ]
    assert [msgspec.json.decode(output.value or b"")["share"] for output in driver.log.outputs] == [
        {"count": 1},
        None,
        {"count": 1},
    ]


def test_a_command_of_another_partition_is_refused() -> None:
    """murmur2("1") names partition 7 of 8."""
    rows = Rows(MemoryStore(), partition=0, partitions=8)
    changes = Products().update(rows, Batch([Product("update", "Anna", "1", "")], ()))
    assert (changes.entities, changes.published, changes.refused) == ([], {}, [(0, "wrong partition")])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"op":"ingest","name":"","sku":"1","description":""}', "Expected `str` of length >= 1 - at `$.name`"),
        (b'{"op":"ingest","name":"a","sku":"","description":""}', "Expected `str` of length >= 1 - at `$.sku`"),
        (b'{"op":"upsert","name":"a","sku":"1","description":""}', "Invalid enum value 'upsert' - at `$.op`"),
        (b'{"name":"a","sku":"1","description":""}', "Object missing required field `op`"),
        (b'{"op":"delete","name":"a","sku":"1\\u0000","description":""}', "a text holds a NUL character"),
    ],
)
def test_a_bad_command_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as error:
        PRODUCTS.decoder.decode_one(value)
    assert str(error.value) == reason
