"""Runs out of aiokafka's buffers: what is left of a fetch response when it was taken."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any, cast

from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.structs import TopicPartition

from processors.fetch import take_run
from processors.packets import RecordBatches
from tests.unit.processors.test_packets import batch_of

TP = TopicPartition("sites", 3)


def response_of(*batches: bytes) -> Any:
    """A partition's part of a fetch response, made as aiokafka's fetcher makes it: by the names of its module."""
    made = cast("Any", fetcher).PartitionRecords
    return made(TP, RecordBatches(b"".join(batches)), [], 0, None, None, True, fetcher.READ_COMMITTED)


def test_a_response_is_freed_when_it_is_taken_and_does_not_wait_for_the_garbage_collector() -> None:
    """It was held in a circle: 100 KB a fetch, hundreds of megabytes in an hour."""
    gc.disable()
    try:
        asyncio.run(take())
    finally:
        gc.enable()


async def take() -> None:
    """What aiokafka makes wants a loop."""
    assignment = Assignment({TP})
    state: Any = assignment.state_value(TP)
    state.reset_to(0)
    state.lso = state.highwater = 3
    response = response_of(batch_of([b"1", b"2"]), batch_of([b"3"], first=2))
    result = fetcher.FetchResult(TP, assignment=assignment, partition_records=response, backoff=0.0)
    freed = weakref.ref(response)
    del response
    run = take_run(TP, result, 10)
    assert run is not None
    assert [record.value for record in run.records()] == [b"1", b"2", b"3"]
    assert freed() is None
