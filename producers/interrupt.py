"""Ctrl-C (and SIGTERM) as a question that is asked between two steps, so that no count is torn.

    with Interrupt() as interrupt:
        while not interrupt.asked:
            with interrupt.breaking():       # a read that may block for hours ends at once
                block = file.read()
            send(block)

Python's own KeyboardInterrupt may strike between "sent" and "counted as sent". A second Ctrl-C strikes anywhere:
whoever asks twice does not want to wait.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Takes the signals over while it is entered (main thread only)."""

    def __init__(self) -> None:
        self.asked = False
        """Whether somebody wants this to end."""
        self.terminated = False
        """Whether it was SIGTERM that asked first: a supervisor's good end, where Ctrl-C is a person's."""
        self._breaking = False
        self._before: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> Self:
        self._before = [(number, signal.signal(number, self._strike)) for number in SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    @contextmanager
    def breaking(self) -> Generator[None]:
        """Within, the signal raises KeyboardInterrupt: for calls that block and change nothing that counts.

        Raises:
            KeyboardInterrupt: the signal came, now or before.
        """
        self._breaking = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._breaking = False

    def _strike(self, number: int, _frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        self.terminated = self.terminated if again else number == signal.SIGTERM
        if again or self._breaking:
            raise KeyboardInterrupt
