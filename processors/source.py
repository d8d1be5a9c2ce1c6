"""What the table asks about the logs, and what it makes of the answer: does a transaction hang in one?

    await source.changelog_ends([0, 3])        # {0: 42, 3: 7}: committed ends
    await hanging(source, [0, 3])              # {}: nothing is open behind them

A coordinator decides about a transaction, and writes a marker into each of its partitions. Of one that has no leader it
believes that it was deleted, and leaves it out: Kafka 4.3.1 does where the only broker stood still for longer than its
session in such a moment. Then that partition's committed end stays where it is for ever. Nobody reads what comes behind
it, and the marker of the next epoch would make durable what hung together with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Protocol

PATIENCE_S = 2.0
"""After a fence nothing of a former owner is open; a follower that hears of a marker a moment later is waited for."""
LOOK_S = 0.1


class Source(Protocol):
    """What the table asks of the consumer."""

    async def log_starts(self, partitions: Iterable[int]) -> dict[int, int]:
        """The first offset that the input topic still holds, by partition."""
        ...

    async def log_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """The committed end of the input topic, by partition."""
        ...

    async def changelog_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """The committed end of the changelog, by partition."""
        ...

    async def changelog_heads(self, partitions: Iterable[int]) -> dict[int, int]:
        """The end of the changelog, what is open included, by partition."""
        ...

    async def seek(self, partition: int, offset: int) -> None:
        """Read the input partition from ``offset`` on."""
        ...


async def hanging(source: Source, partitions: Collection[int]) -> dict[int, int]:
    """Where transactions hang in the changelog of ``partitions``, all of which are fenced: their first offsets."""
    found: dict[int, int] = {}
    for _ in range(int(PATIENCE_S / LOOK_S)):
        ends, heads = await asyncio.gather(source.changelog_ends(partitions), source.changelog_heads(partitions))
        found = {number: ends[number] for number in partitions if ends[number] < heads[number]}
        if not found:
            return {}
        await asyncio.sleep(LOOK_S)
    return found
