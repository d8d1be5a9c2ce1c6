"""Where partitions begin and end, asked on a connection of its own.

A fetch that waits for data holds up every later request on its connection, so that each question to the consumer
takes as long as a fetch may wait; a restore asks five times. Here an answer takes milliseconds.

    offsets = Offsets(kafka)
    await offsets.ends([("sites", 0), ("sites", 1)])   # {("sites", 0): 42, ("sites", 1): 0}: committed ends
"""

# confluent_kafka types its admin results as Future[Unknown] and exports names that its stubs call private.
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from processors.connecting import connect
from schemas.errors import StateError

ANSWER_S = 40.0
"""A broker's absence is ridden out for so long, as the consumer's own requests are."""

AGAIN_S = 0.2
CONNECT_S = 5.0

Place = tuple[str, int]
"""A topic and a partition's number."""


class Offsets:
    """Asks for the log's start and the ends of partitions.

    Args:
        kafka: librdkafka client properties.
    """

    def __init__(self, kafka: Mapping[str, str]) -> None:
        self._kafka: dict[str, str | int | float | bool] = {**kafka, "log_level": 0}
        self._admin: AdminClient | None = None

    async def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that each partition still holds.

        Raises:
            StateError: no answer.
        """
        return await asyncio.to_thread(self._ask, list(places), OffsetSpec.earliest())

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The end of each partition's committed part: an open transaction is beyond it.

        Raises:
            StateError: no answer.
        """
        return await asyncio.to_thread(self._ask, list(places), OffsetSpec.latest())

    async def heads(self, places: Iterable[Place]) -> dict[Place, int]:
        """The end of each partition, open transactions included.

        Raises:
            StateError: no answer.
        """
        return await asyncio.to_thread(self._ask, list(places), OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def _ask(
        self, places: list[Place], spec: Any, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> dict[Place, int]:
        if not places:
            return {}
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                return self._ask_once(places, spec, isolation)
            except (KafkaException, TimeoutError) as error:
                # A broker that came back without its last leader epochs is believed only by a client that forgot them.
                self._admin = None
                if time.monotonic() > deadline:
                    raise StateError(
                        f"the broker does not say where {places[0][0]} begins and ends: {error}"
                    ) from error
                time.sleep(AGAIN_S)

    def _ask_once(self, places: list[Place], spec: Any, isolation: IsolationLevel) -> dict[Place, int]:
        if self._admin is None:
            self._admin = AdminClient(self._kafka)
            connect(self._admin, places[0][0], CONNECT_S)
        wanted = {TopicPartition(topic, number): spec for topic, number in places}
        futures = self._admin.list_offsets(wanted, isolation_level=isolation, request_timeout=ANSWER_S)
        return {(tp.topic, tp.partition): future.result(ANSWER_S + 5).offset for tp, future in futures.items()}
