"""Whether a broker can be reached at all, without a Kafka client.

    await any_answers("a:9092,b:9092")

A connection and no Kafka request: a worker's parent holds no client, and an engine's own may be busy trying. A broker
that hangs counts as answering.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

TIMEOUT_S = 2.0


async def any_answers(brokers: str) -> bool:
    """Whether any of ``HOST:PORT,…`` takes a connection within 2 s."""
    for broker in brokers.split(","):
        host, _, port = broker.strip().rpartition("://")[2].rpartition(":")
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
    return False
