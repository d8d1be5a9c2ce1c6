"""Wait for a condition, never for time: how every test waits for another process.

>>> until(lambda: "there")
'there'
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
"""So long a busy machine may take; a quick one takes no longer than it needs."""
LOOK_EVERY_S = 0.05


def until(condition: Callable[[], T], what: str = "", seconds: float = PATIENCE_S, every_s: float = LOOK_EVERY_S) -> T:
    """Wait until ``condition`` gives something true, and return that.

    Args:
        condition: what is waited for.
        what: it is, in words.
        seconds: how long.
        every_s: how often it is looked at, where the moment is measured.

    Raises:
        TimeoutError: it did not within ``seconds``; the text says ``what`` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what or condition}")
        time.sleep(every_s)
    return found
