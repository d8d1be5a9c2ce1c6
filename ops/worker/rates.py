"""How many records a second an engine counts, from the readings that somebody asks for anyway.

>>> rates = Rates()
>>> rates.read(0.0, {"sites/a-0": 100}), rates.read(10.0, {"sites/a-0": 350})
({}, {'sites/a-0': 25.0})
>>> rates.read(20.0, {"sites/a-0": 7})      # the engine started again
{}

No clock ticks for it: a reading is compared with the oldest one of the last minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

WINDOW_S = 60.0
LEAST_S = 1.0
"""Two readings that are closer say nothing: records are counted in epochs."""


class Rates:
    """Remembers readings."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, dict[str, int]]] = deque()

    def read(self, now: float, counts: Mapping[str, int]) -> dict[str, float]:
        """Records a second by engine; one of which there is no older reading is left out.

        Args:
            now: seconds, only rising.
            counts: records counted so far, by engine.
        """
        while self._readings and self._readings[0][0] < now - WINDOW_S:
            self._readings.popleft()
        rates: dict[str, float] = {}
        if self._readings and now - self._readings[0][0] >= LEAST_S:
            at, before = self._readings[0]
            rates = {
                engine: (count - before[engine]) / (now - at)
                for engine, count in counts.items()
                if engine in before and count >= before[engine]
            }
        # Readers who look all the time do not make the list grow.
        if not self._readings or now - self._readings[-1][0] >= LEAST_S:
            self._readings.append((now, dict(counts)))
        return rates
