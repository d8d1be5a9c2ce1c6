"""What a person set about counting, as aggregators take it; `worker` and `verify` must agree on it.

>>> from ops.settings import resolve
>>> counting(resolve({}, {}, {"STREAMGAUGE_RETENTION": "7d"})).retention_ms
604800000
"""

from __future__ import annotations

from typing import Any

from aggregators.aggregator import Counting
from ops.settings import DIMENSIONS, GRACE, IDLE, MAX_AHEAD, RETENTION, SKETCH, THRESHOLD, Setting, Settings

COUNTING: tuple[Setting[Any], ...] = (RETENTION, MAX_AHEAD, IDLE, GRACE, THRESHOLD, DIMENSIONS, SKETCH)
"""The settings that `counting` reads."""


def counting(settings: Settings) -> Counting:
    """The counting rules that ``settings`` say."""
    return Counting(
        retention_ms=settings[RETENTION],
        max_ahead_ms=settings[MAX_AHEAD],
        idle_ms=settings[IDLE],
        grace_ms=settings[GRACE],
        threshold=settings[THRESHOLD],
        dimensions=settings[DIMENSIONS],
        sketch=settings[SKETCH],
    )
