"""The stages of a stream in one engine process: counting, and merging where entities cut across keys.

    stages = stages_of(stream.schema, aggregator, settings)   # one engine, or two behind the same face
    await stages.run()

The two are engines of their own, with a group, a table and epochs each; they share a process because merging is a
small part of the work. A question about a key goes to the counting stage, which holds the stream's keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from aggregators.aggregator import Aggregator
from processors import Engine, EngineSettings
from schemas.partial import partials_of
from schemas.schema import Schema
from sinks.merge import Merge

COUNTING_SHARE = 0.75
"""Of the memory budget, where there is a merging stage, too."""


class Stages:
    """Both stages of a stream, with the face of one engine.

    Args:
        schema: of the stream.
        aggregator: of the stream.
        settings: of this process.
    """

    def __init__(self, schema: Schema[Any], aggregator: Aggregator[Any], settings: EngineSettings) -> None:
        counting_bytes = int(settings.memory_bytes * COUNTING_SHARE)
        self.counting = Engine(schema, aggregator, replace(settings, memory_bytes=counting_bytes))
        self.merging = Engine(
            partials_of(schema),
            Merge(aggregator),
            replace(
                settings,
                state_dir=settings.state_dir / "merge",
                memory_bytes=settings.memory_bytes - counting_bytes,
            ),
        )

    async def run(self) -> None:
        """Run both until `stop`; counting ends first, so that its last partials may still be merged.

        Raises:
            StreamgaugeError: a stage could not start.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.merging.run())
            await self.counting.run()
            self.merging.stop()

    def stop(self) -> None:
        """Finish the open epochs and end `run`."""
        self.counting.stop()

    @property
    def ready(self) -> bool:
        """Whether both stages are."""
        return not self.why_not_ready

    @property
    def why_not_ready(self) -> str:
        """The reason; empty when both are ready."""
        merging = self.merging.why_not_ready
        return self.counting.why_not_ready or (merging and f"merging: {merging}")

    def status(self) -> dict[str, Any]:
        """The counting stage's status, with the merging stage's partitions beside its own."""
        return {
            **self.counting.status(),
            "merging": self.merging.status()["partitions"],
            "counters": self.counters,
        }

    @property
    def counters(self) -> dict[str, int | float]:
        """The counting stage's, and of the merging stage what people ask for."""
        merging = self.merging.counters
        return {
            **self.counting.counters,
            "merged_partials": merging.get("records", 0),
            "merged_summaries": merging.get("summaries", 0),
        }

    async def view(self, key: str, name: str, arguments: Mapping[str, str]) -> Any:
        """Ask the counting stage (`Engine.view`)."""
        return await self.counting.view(key, name, arguments)

    def views(self, name: str, arguments: Mapping[str, str]) -> AsyncIterator[tuple[str, Any]]:
        """Ask the counting stage (`Engine.views`)."""
        return self.counting.views(name, arguments)


def stages_of(schema: Schema[Any], aggregator: Aggregator[Any], settings: EngineSettings) -> Engine[Any] | Stages:
    """What counts ``schema``: one engine, or two stages with its face."""
    return Stages(schema, aggregator, settings) if schema.merges else Engine(schema, aggregator, settings)
