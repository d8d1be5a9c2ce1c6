"""`items` with ``--sketch``: what it says of its own error holds, in any order and any number of partitions."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregators import laws
from aggregators.frequent import STANDARD_ERROR, Frequent, distinct
from aggregators.items_sketch import SketchedItems
from schemas.items import Item

FEW = 3

foods = st.lists(st.integers(0, 8), max_size=60)


def items_of(numbers: list[int], first: int = 0) -> list[Item]:
    return [Item(first + at, food, food % 2) for at, food in enumerate(numbers)]


@given(st.lists(foods, min_size=1, max_size=4))
def test_a_count_is_too_small_by_the_stated_error_at_the_most(parts: list[list[int]]) -> None:
    """Each part is a partition; the parts' counts, errors and items add up."""
    aggregator, shares = SketchedItems(FEW), dict[str, list[dict[str, Any]]]()
    for number, part in enumerate(parts):
        for entity, share in laws.outcome(aggregator, items_of(part, 1000 * number)).summaries.items():
            if share is not None:
                shares.setdefault(entity, []).append(share)
    merged = {entity: aggregator.merge(entity, those) for entity, those in shares.items()}
    truth = Counter(food for part in parts for food in part)
    if not truth:
        return
    whole = merged["foods:0"]
    assert whole["count"] == truth.total()
    assert whole["error"] <= sum(len(part) // (FEW + 1) for part in parts)
    assert whole["distinct"] == len(truth)
    for food, count in truth.items():
        said = merged.get(f"food:{food}", {"count": 0})["count"]
        assert said <= count <= said + whole["error"]


@given(foods, st.sets(st.integers(0, 80)))
def test_any_split_leaves_the_same_sketch(numbers: list[int], cuts: set[int]) -> None:
    """Byte for byte, with every third item delivered again."""
    items = items_of(numbers)
    laws.split(SketchedItems(FEW), [*items, *items[::3]], cuts)
    laws.forgetting(SketchedItems(FEW), [*items, *items[::3]], cuts)


def test_the_number_of_different_ones_is_about_right() -> None:
    """Within three standard errors, from few to many; the same numbers in two sketches count once."""
    for count in (10, 5000, 60_000):
        one, two = Frequent(10), Frequent(10)
        one.add(range(count))
        two.add(range(count // 2, count))
        assert abs(distinct([one.registers, two.registers]) - count) <= 3 * STANDARD_ERROR * count
