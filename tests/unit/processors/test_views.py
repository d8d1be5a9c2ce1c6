"""A view of all keys leaves the loop to others in between, however long a key takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aggregators.rows import MemoryStore, Rows
from processors import engine as module
from processors.engine import Engine
from processors.settings import EngineSettings
from schemas.sites import SITES


class Slow:
    """An aggregator of ten keys, each of which takes as long to view as a turn may last."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """The clock, which only views move."""
        return self.now

    def keys(self, rows: Rows) -> list[str]:
        """Ten."""
        return [str(number) for number in range(10)]

    def view(self, rows: Rows, key: str, name: str, arguments: dict[str, str]) -> str:
        """What takes long."""
        self.now += module.VIEW_SLICE_S
        return key


def test_between_two_keys_that_take_long_others_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: Any = Slow()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=slow.monotonic))
    engine = Engine(SITES, slow, EngineSettings({}, tmp_path, "a", "a-0", partitions=1))
    held = SimpleNamespace(rows=Rows(MemoryStore()))
    table: Any = SimpleNamespace(slots={0: None}, active=lambda _number: held)
    monkeypatch.setattr(engine, "_app", SimpleNamespace(partition_table=table))

    async def main() -> list[int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        seen = [turns async for _ in engine.views("by", {})]
        task.cancel()
        return seen

    seen = asyncio.run(main())
    assert len(set(seen)) == len(seen) == 10
