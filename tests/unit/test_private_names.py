"""Every private name of Faust, mode and aiokafka that the engine uses, held here.

An upgrade that moves one of them fails in this file, with its name, and not in production at night. Each entry says
where it is used. (`processors.frames`, `processors.fetch`, `processors.transport`, `processors.control` use no private
name that is not listed: the last test reads their sources.)
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
from pathlib import Path
from typing import Any

import aiokafka.conn
import faust
import mode
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from aiokafka.record.memory_records import MemoryRecords
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

ATTRIBUTES: list[tuple[Any, str]] = [
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
    (driver.AIOKafkaConsumerThread, "_fetch_records"),
    (driver.AIOKafkaConsumerThread, "_commit"),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer"),
    (driver.AIOKafkaConsumerThread, "_consumer"),
    (driver.Consumer, "_new_consumer_thread"),
    (driver.Consumer, "_to_message"),
    (faust_consumer.Consumer, "_add_gap"),
    (faust_consumer.Consumer, "_filter_tps_with_pending_acks"),
    (faust_consumer.Consumer, "_new_offset"),
    (faust_consumer.Consumer, "_commit_offsets"),
    (faust_consumer.Consumer, "_should_commit"),
    (faust_consumer.Consumer, "_get_active_partitions"),
    (faust_consumer.Consumer, "_getmany"),
    (faust_consumer.Consumer, "_wait_next_records"),
    (faust_consumer.Consumer, "perform_seek"),
    (faust_consumer.Consumer, "resume_partitions"),
    (faust_consumer.Consumer, "verify_all_partitions_active"),
    (faust_consumer.ThreadDelegateConsumer, "_seek"),
    (Collection, "_new_store"),
    (Collection, "_new_changelog_topic"),
    (Collection, "_changelog_topic_name"),
    (TableManager, "_update_channels"),
    (mode.Service, "_crash"),
    (aiokafka_fetcher.FetchResult, "check_assignment"),
    (aiokafka_fetcher.FetchResult, "has_more"),
    (aiokafka_fetcher.FetchResult, "_update_position"),
    (aiokafka_fetcher.FetchError, "check_raise"),
    (aiokafka_fetcher.PartitionRecords, "_consume_aborted_up_to"),
    (aiokafka_fetcher.PartitionRecords, "_contains_abort_marker"),
    (aiokafka_fetcher.PartitionRecords, "_unpack_records"),
    (aiokafka_fetcher.Fetcher, "_create_fetch_waiter"),
    (aiokafka_fetcher.Fetcher, "_notify"),
    (SubscriptionState, "fetch_context"),
    (SubscriptionState, "reassignment_in_progress"),
    (SubscriptionState, "wait_for_assignment"),
    (SubscriptionState, "is_assigned"),
    (PartitionAssignor, "_get_copartitioned_groups"),
    (MemoryRecords, "has_next"),
    (MemoryRecords, "next_batch"),
    (MemoryRecords, "size_in_bytes"),
    (AIOKafkaConnection, "_read"),
    (AIOKafkaConnection, "_handle_frame"),
]
"""Names that a class has."""

SET_IN: list[tuple[Any, str]] = [
    (aiokafka_fetcher.FetchResult, "_assignment"),
    (aiokafka_fetcher.FetchResult, "_partition_records"),
    (aiokafka_fetcher.PartitionRecords, "_records"),
    (aiokafka_fetcher.PartitionRecords, "next_fetch_offset"),
    (aiokafka_fetcher.PartitionRecords, "_check_crcs"),
    (aiokafka_fetcher.PartitionRecords, "_isolation_level"),
    (aiokafka_fetcher.PartitionRecords, "_aborted_producers"),
    (aiokafka_fetcher.Fetcher, "_records"),
    (aiokafka_fetcher.Fetcher, "_closed"),
    (aiokafka_fetcher.Fetcher, "_subscriptions"),
    (aiokafka_fetcher.Fetcher, "_wait_consume_future"),
    (AIOKafkaConnection, "_protocol"),
    (AIOKafkaConsumer, "_fetcher"),
    (AIOKafkaConsumer, "_closed"),
    (AIOKafkaConsumer, "_coordinator"),
    (GroupCoordinator, "_group_instance_id"),
    (GroupCoordinator, "_pending_exception"),
    (GroupCoordinator, "_coordination_task"),
    (TopicPartitionState, "lso"),
    (TopicPartitionState, "highwater"),
    (faust_consumer.Consumer, "_read_offset"),
    (faust_consumer.Consumer, "_committed_offset"),
    (faust_consumer.ThreadDelegateConsumer, "_thread"),
    (driver.AIOKafkaConsumerThread, "_assignor"),
]
"""Names that objects of a class are given by its methods."""


def test_the_versions_are_the_ones_that_were_read() -> None:
    """What is known of these libraries' insides is known of these versions."""
    assert importlib.metadata.version("faust-streaming") == "0.15.3"
    assert importlib.metadata.version("aiokafka") == "0.14.0"


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES, ids=lambda value: getattr(value, "__name__", value))
def test_a_class_still_has(owner: Any, name: str) -> None:
    """The engine calls or overrides it."""
    assert hasattr(owner, name)


@pytest.mark.parametrize(("owner", "name"), SET_IN, ids=lambda value: getattr(value, "__name__", value))
def test_objects_still_get(owner: Any, name: str) -> None:
    """The engine reads or sets it."""
    sources = "".join(inspect.getsource(base) for base in owner.__mro__ if base is not object)
    assert f"self.{name} = " in sources or f"self.{name}: " in sources


def test_a_connection_is_made_of_what_is_put_in_its_place() -> None:
    """`processors.fetch` gives it `processors.frames`: the protocol, who reads from it, and what reads a frame."""
    source = inspect.getsource(aiokafka.conn)
    assert "protocol = AIOKafkaProtocol(self._closed_fut, reader, loop=loop)" in source
    assert "create_task(self._read(self_ref))" in source
    assert re.findall(r"\bio\.\w+.*", source) == ["io.BytesIO(resp)"]


def test_answers_are_decoded_by_nothing_but_reading_on() -> None:
    """`processors.frames.Answer` can do nothing else."""
    package = Path(aiokafka.conn.__file__).parent / "protocol"
    sources = [path.read_text() for path in package.glob("*.py")]
    used = {name for source in sources for name in re.findall(r"\bdata\.(\w+)\(", source)}
    assert used == {"read", "get_item"}  # the latter builds requests


def test_the_fetcher_reads_record_batches_through_its_memory_records() -> None:
    """`processors.packets` stands in for them."""
    source = inspect.getsource(aiokafka_fetcher.Fetcher)
    assert "records = MemoryRecords(part_data[-1])" in source
    used = set(re.findall(r"\brecords\.(\w+)", inspect.getsource(aiokafka_fetcher)))
    assert {name for name in used if hasattr(MemoryRecords, name)} <= {"has_next", "next_batch", "size_in_bytes"}


def test_recovery_applies_a_table_by_its_buffer_and_ends_by_offsets() -> None:
    """`ChangelogTable` relies on both: a run is one event, its offset the last that it accounts for."""
    source = inspect.getsource(Recovery)
    assert "if len(buf) >= bufsize:" in source
    assert "table.apply_changelog_batch(buf)" in source
    assert "offset > seen_offset" in source
    assert inspect.signature(faust.Table.on_recovery_completed).parameters.keys() >= {"active_tps", "standby_tps"}


def test_no_private_name_is_used_that_is_not_held_here() -> None:
    """The list above is whole."""
    held = {name for _, name in ATTRIBUTES + SET_IN}
    root = Path(__file__).parents[2] / "processors"
    own: set[str] = set()
    used: set[tuple[str, str]] = set()
    for module in ("frames", "fetch", "transport", "control"):
        tree = ast.parse((root / f"{module}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own.add(node.name)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                own.add(node.target.id)
            if module == "frames" and isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
                continue  # its classes take nothing private from those that they extend
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                used.add((module, node.attr))
    ours = {"_app", "_ask", "_asked_at", "_found_little", "_fetch_runs", "_take_runs", "_waiting"} & own | {"_app"}
    assert {(module, name) for module, name in used if name not in held | ours} == set()
