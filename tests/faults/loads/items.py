"""Items of an API that is served meanwhile: ids with gaps, over many blocks, polled twice.

>>> load = make(seed=1, items=300)
>>> lines, following = load.steps[0].api.page(0, 100)
>>> len(lines), following is None, sum(food["count"] for key, food in load.answer.items() if key.startswith("food:"))
(100, False, 300)
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter

from schemas.items import ITEMS
from tests.faults.workload import Step, Workload, bad_values

FIRST = 658_330_693
PAGE = 100
SPREAD = 8
"""One id in so many exists."""


class Api:
    """Pages of items.

    Args:
        items: JSON by id, in order of ids.
    """

    def __init__(self, items: dict[int, bytes]) -> None:
        self._ids = list(items)
        self._lines = list(items.values())

    def page(self, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        """The first ``limit`` items at or after the id ``offset``, and the id of the one after them."""
        begin = bisect_left(self._ids, offset)
        end = begin + limit
        return self._lines[begin:end], self._ids[end] if end < len(self._ids) else None


def make(seed: int, items: int, bad: float = 0.005) -> Workload:
    """Make ``items`` items, few foods eaten often; each is delivered twice, and more often where a poll is killed.

    Args:
        seed: the same one gives the same workload.
        items: how many.
        bad: the share, in items, of bad values beside them.
    """
    rng = random.Random(seed)
    ids = sorted(rng.sample(range(FIRST, FIRST + SPREAD * items), items))
    eaten = [(int(5_000 * rng.random() ** 4), rng.randrange(40)) for _ in ids]
    lines = {
        number: b'{"%b":%d,"food_id":%d,"id":%d}'
        % (rng.choice((b"food__category_id", b"category_id")), category, food, number)
        for number, (food, category) in zip(ids, eaten, strict=True)
    }
    counts = Counter(("food", food) for food, _ in eaten) + Counter(("category", category) for _, category in eaten)
    step = Step(("poll", "items", "--limit", str(PAGE)), items, Api(lines), PAGE)
    return Workload(
        schema=ITEMS,
        steps=[step, step],
        files={},
        answer={f"{kind}:{number}": {"kind": kind, "id": number, "count": n} for (kind, number), n in counts.items()},
        bad=bad_values(seed, int(items * bad)),
    )
