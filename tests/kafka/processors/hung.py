"""A transaction that hangs, as a coordinator leaves it that lost sight of a partition's leader.

hang(kafka, "streamgauge-sites-state-0", {"streamgauge-sites-state-changelog": [(b"key", b"value")]})

The records are sent in the name of a transactional id without a word to its coordinator. A broker refuses that unless
it is told not to ask; so it is told, for as long as this takes.
"""

# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from tests.waiting import until

VERIFICATION = "transaction.partition.verification.enable"
Rows = Sequence[tuple[bytes, bytes]]


def hang(kafka: dict[str, Any], transactional_id: str, rows: Mapping[str, Rows]) -> None:
    """Leave ``rows`` open in partition 0 of each topic."""
    _verify(kafka, wanted="false")
    try:
        asyncio.run(_send(kafka["bootstrap.servers"], transactional_id, rows))
    finally:
        _verify(kafka, wanted="true")


def _verify(kafka: dict[str, Any], wanted: str) -> None:
    admin = AdminClient(kafka)
    broker = str(next(iter(admin.list_topics(timeout=20).brokers)))
    where = ConfigResource(ConfigResource.Type.BROKER, broker)
    entry = ConfigEntry(VERIFICATION, wanted, incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ConfigResource.Type.BROKER, broker, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([change]).values():
        done.result(20)

    def heard() -> bool:
        (told,) = admin.describe_configs([where]).values()
        return told.result(20)[VERIFICATION].value == wanted

    until(heard, f"{VERIFICATION} is {wanted}")


async def _send(bootstrap: str, transactional_id: str, rows: Mapping[str, Rows]) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        (node,) = {broker.nodeId for broker in client.cluster.brokers()}
        owner: Any = await client.send(node, InitProducerIdRequest(transactional_id, 60_000))
        assert owner.error_code == 0, owner
        topics: list[tuple[str, list[tuple[int, bytes]]]] = []
        for topic, records in rows.items():
            batch = DefaultRecordBatchBuilder(2, 0, 1, owner.producer_id, owner.producer_epoch, 0, 1 << 20)
            for number, (key, value) in enumerate(records):
                batch.append(number, int(time.time() * 1000), key, value, [])
            topics.append((topic, [(0, bytes(batch.build()))]))
        answer: Any = await client.send(node, ProduceRequest(transactional_id, -1, 20_000, topics))
        assert all(part[1] == 0 for _, parts in answer.topics for part in parts), answer
    finally:
        await client.close()
