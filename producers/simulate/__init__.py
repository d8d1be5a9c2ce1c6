"""Synthetic input of a stream, in the stream's own file format: the same options give the same bytes.

    for block in simulate("sites", Scenario(events=100_000, keys=1_000, seed=1)):
        file.write(block)

A stream's generator is a module here with a function ``blocks(scenario)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from schemas.errors import UsageError

GENERATORS = {
    "sites": "producers.simulate.sites",
    "sessions": "producers.simulate.sessions",
    "items": "producers.simulate.items",
    "renders": "producers.simulate.renders",
    "products": "producers.simulate.products",
}
"""The module of each stream that has a generator."""


@dataclass(frozen=True)
class Scenario:
    """What to make.

    Args:
        events: lines in all, duplicates and bad ones included.
        keys: how many keys (sites, sessions, …) they are about.
        seed: another one gives other bytes.
        disorder_s: how many seconds a line may come later than its event time says.
        duplicates: share of the lines that were there before.
        bad: share of the lines that are bad records, every kind of them in turn.
    """

    events: int = 100_000
    keys: int = 1_000
    seed: int = 1
    disorder_s: int = 0
    duplicates: float = 0.0
    bad: float = 0.0

    def __post_init__(self) -> None:
        if self.duplicates + self.bad > 1:
            raise UsageError(
                f"--duplicates {self.duplicates:g} and --bad {self.bad:g} are more than all lines together"
            )


def simulate(stream: str, scenario: Scenario) -> Iterator[bytes]:
    """The input of ``stream``, in blocks of whole lines.

    Raises:
        UsageError: the stream has no generator.
    """
    if stream not in GENERATORS:
        raise UsageError(f"no input can be simulated for {stream}; it can for {', '.join(GENERATORS)}")
    return cast("Iterator[bytes]", import_module(GENERATORS[stream]).blocks(scenario))
