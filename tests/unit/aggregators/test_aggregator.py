"""The contract of aggregators: what one that is written anew must define, and what it need not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from aggregators.aggregator import Aggregator, Batch, Changes
from aggregators.rows import MemoryStore, Rows


class Rest:
    """All that is wanted beside summaries."""

    def update(self, rows: Rows, batch: Batch[Any]) -> Changes:
        return Changes()

    def keys(self, rows: Rows) -> Iterator[str]:
        yield from ()

    def view(self, rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        return None


class One(Rest, Aggregator[Any]):
    """Says what one is."""

    def summary(self, rows: Rows, entity: str) -> dict[str, Any] | None:
        return {"id": entity}


class Many(Rest, Aggregator[Any]):
    """Says what many are."""

    def summaries(self, rows: Rows, entities: Sequence[str]) -> list[dict[str, Any] | None]:
        return [{"id": entity} for entity in entities]


@pytest.mark.parametrize("aggregator", [One(), Many()])
def test_of_summary_and_summaries_either_is_enough(aggregator: Aggregator[Any]) -> None:
    rows = Rows(MemoryStore())
    assert aggregator.summary(rows, "a") == {"id": "a"}
    assert aggregator.summaries(rows, ["a", "b"]) == [{"id": "a"}, {"id": "b"}]


def test_a_class_that_defines_neither_is_refused_by_name() -> None:
    """Each would ask the other, without an end, in the first epoch."""
    with pytest.raises(TypeError, match="Neither must define summary, or summaries"):
        type("Neither", (Aggregator,), {})
