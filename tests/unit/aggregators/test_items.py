"""`items` against a set and two counters: any order, any repetition, any split, any number of partitions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators import laws
from aggregators.aggregator import Batch
from aggregators.items import BITMAP_BYTES, Items
from aggregators.rows import MemoryStore, Rows
from processors.driver import Driver
from schemas.errors import BadRecord
from schemas.items import BLOCK, ITEMS, Item
from schemas.partial import DECODER, partials_of
from schemas.wire import partition_of
from sinks.merge import Merge

PARTITIONS = 3

numbers = st.integers(-3 * BLOCK, 3 * BLOCK) | st.integers(-(2**63), 2**63 - 1)
eaten = st.dictionaries(numbers, st.tuples(st.integers(0, 5) | numbers, st.integers(0, 3) | numbers), max_size=30).map(
    lambda found: [Item(number, food, category) for number, (food, category) in found.items()]
)
"""Items, each id with one content."""


def naive(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """The summaries, by a set of ids and two counters."""
    once = {item.id: item for item in items}.values()
    counted = {
        "food": Counter(item.food_id for item in once),
        "category": Counter(item.category for item in once),
    }
    return {
        f"{kind}:{number}": {"kind": kind, "id": number, "count": count}
        for kind, counter in counted.items()
        for number, count in counter.items()
    }


def as_json(item: Item, name: str = "food__category_id") -> bytes:
    return orjson.dumps({name: item.category, "food_id": item.food_id, "id": item.id})


@given(st.data(), eaten)
def test_any_order_and_any_repetition_give_the_references_counts(data: st.DataObject, items: list[Item]) -> None:
    """An item id counts once, however often and whenever it is delivered."""
    delivered = data.draw(
        st.permutations([*items, *data.draw(st.lists(st.sampled_from(items)) if items else st.just([]))])
    )
    assert laws.outcome(Items(), delivered).summaries == naive(items)
    laws.order(Items(), items, delivered, views=[("state", {})])
    laws.duplication(Items(), items, [*items, *delivered], views=[("state", {})])


@given(eaten, st.sets(st.integers(0, 40)))
def test_any_split_leaves_the_same_rows(items: list[Item], cuts: set[int]) -> None:
    """Byte for byte, with half of the items delivered again."""
    laws.split(Items(), [*items, *items[::2]], cuts, views=[("state", {})])
    laws.forgetting(Items(), [*items, *items[::2]], cuts, views=[("state", {})])


@given(st.data(), eaten)
def test_the_merge_of_all_partitions_is_the_references_counts(data: st.DataObject, items: list[Item]) -> None:
    """Whatever partials come twice, late or in another order on their way."""
    counting = [Driver(ITEMS, Items(), partition=number, partitions=PARTITIONS) for number in range(PARTITIONS)]
    for item in data.draw(st.permutations([*items, *items[:5]])):
        driver = counting[partition_of(ITEMS.key(item).encode(), PARTITIONS)]
        driver.send(as_json(item, data.draw(st.sampled_from(["food__category_id", "category_id"]))))
        driver.read()
        if data.draw(st.booleans()):
            driver.end_epoch()
    partials: list[bytes] = []
    for driver in counting:
        driver.read()
        driver.end_epoch()
        assert driver.dead_letters == []
        partials += [output.value for output in driver.log.outputs if output.value is not None]
    merging = Driver(partials_of(ITEMS), Merge(Items()))
    merging.send(*data.draw(st.permutations([*partials, *partials[::2]])))
    merging.read()
    merging.end_epoch()
    found = {entity: {**summary} for entity, summary in merging.newest.items()}
    for summary in found.values():
        del summary["revision"]
    assert found == naive(items)


def test_a_block_of_another_partition_is_refused_once_and_for_all() -> None:
    """The key is taken from the record: whoever put it into the wrong partition finds it among the dead letters."""
    away = next(block for block in range(100) if partition_of(b"%d" % block, PARTITIONS) != 0)
    ours = next(block for block in range(100) if partition_of(b"%d" % block, PARTITIONS) == 0)
    rows = Rows(MemoryStore(), partition=0, partitions=PARTITIONS)
    items = [Item(away * BLOCK, 1, 1), Item(ours * BLOCK, 2, 1), Item(away * BLOCK + 1, 1, 1)]
    changes = Items().update(rows, Batch(items, ()))
    assert (sorted(changes.entities), changes.refused) == (
        ["category:1", "food:2"],
        [(0, "wrong partition"), (2, "wrong partition")],
    )


def test_a_block_takes_a_bit_an_id_and_no_more() -> None:
    """A full one is 1250 bytes; so the known 74 million ids are 9 MB."""
    rows = Rows(MemoryStore())
    Items().update(rows, Batch([Item(number, 1, 1) for number in range(BLOCK)], ()))
    assert rows.dirty_bytes == BITMAP_BYTES + len(b"ids:0") + len(b"food:110000") + len(b"category:110000")
    assert Items().view(rows, "0", "state", {}) == {"block": "0", "items": BLOCK, "first": 0, "last": BLOCK - 1}
    assert list(Items().keys(rows)) == ["0"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id":1,"food_id":2}', "missing required field `food__category_id`"),
        (b'{"id":1,"food_id":2,"category_id":null}', "Expected `int`, got `null`"),
        (b'{"id":1.0,"food_id":2,"category_id":3}', "Expected `int`, got `float`"),
        (b'{"id":true,"food_id":2,"category_id":3}', "Expected `int`, got `bool`"),
        (b'{"id":9223372036854775808,"food_id":2,"category_id":3}', "Expected `int` <= 9223372036854775807"),
        (b'{"id":1,"food_id":2,"category_id":3,"food__category_id":4}', "but `category_id` is 3"),
    ],
)
def test_a_bad_item_says_what_is_wrong_with_it(line: bytes, reason: str) -> None:
    """It becomes a dead letter."""
    with pytest.raises(BadRecord, match=re.escape(reason)):
        ITEMS.decoder.decode_one(line)


def test_partials_decode_as_they_were_published() -> None:
    """The merging stage reads what counting wrote."""
    driver = Driver(ITEMS, Items())
    driver.send(as_json(Item(1, 2, 3)))
    driver.read()
    driver.end_epoch()
    decoded = DECODER.decode([output.value for output in driver.log.outputs])
    assert {partial.entity: partial.share for partial in decoded.records} == naive([Item(1, 2, 3)])
