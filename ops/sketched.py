"""What a sketch of `items` may say: published summaries held against exact ones, within the bound that is stated.

>>> exact = {"food:7": {"kind": "food", "id": 7, "count": 9_000}, "food:8": {"kind": "food", "id": 8, "count": 2}}
>>> said = {"food:7": {"kind": "food", "id": 7, "count": 8_998}, "foods:0": {"kind": "foods", "id": 0, "count": 9_002,
...     "error": 2, "distinct": 2}}
>>> allowed(said, exact) == said
True

A sketch depends on the order of arrival and on partitions, so it cannot be made again from files; its bound can be
checked against them: a count is never too great, and too small by the error at the most; all items are counted; the
error is a thousandth of them at the most; the number of different ones is near the real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aggregators.frequent import STANDARD_ERROR
from aggregators.items_sketch import COUNTERS
from schemas.items import WHOLES, entity_of

DEVIATIONS = 5
"""So many standard errors the number of different ones may be off."""

Summaries = Mapping[str, dict[str, Any]]


def allowed(published: Summaries, exact: Summaries) -> dict[str, dict[str, Any]]:
    """What may be published: what is, where the bound allows it, else the exact summary."""
    expected: dict[str, dict[str, Any]] = {}
    for kind, whole in WHOLES.items():
        counts = {entity: summary for entity, summary in exact.items() if summary["kind"] == kind}
        if not counts:
            continue
        items = sum(summary["count"] for summary in counts.values())
        key = entity_of(whole, 0)
        told = published.get(key, {})
        error = min(told.get("error", 0), items // COUNTERS)
        right = {"kind": whole, "id": 0, "count": items, "error": error, "distinct": len(counts)}
        near = abs(told.get("distinct", 0) - len(counts)) <= 1 + DEVIATIONS * STANDARD_ERROR * len(counts)
        expected[key] = {**right, "distinct": told["distinct"]} if near else right
        for entity, summary in counts.items():
            said = published.get(entity)
            if not summary["count"] - error <= (0 if said is None else said["count"]) <= summary["count"]:
                expected[entity] = summary
            elif said is not None:
                expected[entity] = said
    return expected
