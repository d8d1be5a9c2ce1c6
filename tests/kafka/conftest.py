"""Real brokers for tests: one that the whole run shares, and further ones for tests that kill theirs.

    def test_…(kafka): …                  # the shared broker, emptied; client properties
    def test_…(fresh_broker):
        mine = fresh_broker()             # its own data, its own port
        mine.kill(); mine.restart()       # the same data and port again

All end with the test run, however that ends. With xdist each worker process has a shared broker of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from ops.broker import LocalBroker, ephemeral_broker

LEAVE_GROUP = 13
ANSWER_S = 20


class RealBroker:
    """A broker of one test, which may be killed and started again.

    Args:
        data: its data directory.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.local = LocalBroker(data)
        self.local.port = self.local.start(foreground=True).port

    @property
    def kafka(self) -> dict[str, Any]:
        """Client properties; they hold after a restart, too."""
        return {"bootstrap.servers": f"127.0.0.1:{self.local.port}"}

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.local.pid, signal.SIGKILL)
        self.local.wait()

    def restart(self) -> None:
        """Start it again on its data and its port."""
        self.local.start(foreground=True)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Client properties of the broker that the whole run shares."""
    with ephemeral_broker(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield {"bootstrap.servers": bootstrap}


@pytest.fixture
def kafka(broker: dict[str, Any]) -> dict[str, Any]:
    """Client properties of the shared broker, without a topic or a group that an earlier test left."""
    clean_broker(broker)
    return broker


@pytest.fixture(scope="session")
def clean() -> Callable[[dict[str, Any]], None]:
    """What empties a broker in the middle of a test."""
    return clean_broker


@pytest.fixture
def fresh_broker(tmp_path: Path) -> Iterator[Callable[[], RealBroker]]:
    """Start further brokers, each with data of its own; all are stopped at the end of the test."""
    with ExitStack() as stack:

        def start() -> RealBroker:
            made = RealBroker(tmp_path / f"broker-{len(started)}")
            started.append(made)
            stack.callback(made.local.stop, wipe=True)
            return made

        started: list[RealBroker] = []
        yield start


def clean_broker(kafka: dict[str, Any]) -> None:
    """Remove all topics and groups; a member that a stopped worker left behind is sent away first."""
    admin = AdminClient(kafka)
    topics = [name for name in admin.list_topics(timeout=ANSWER_S).topics if not name.startswith("__")]
    if topics:
        for deleted in admin.delete_topics(topics, operation_timeout=ANSWER_S).values():
            deleted.result()
        while not admin.list_topics(timeout=ANSWER_S).topics.keys().isdisjoint(topics):
            pass  # the broker's view of itself lags behind what it has removed
    groups = [group.group_id for group in admin.list_consumer_groups().result().valid]
    if groups:
        for group, described in admin.describe_consumer_groups(groups).items():
            members = [(member.member_id, member.group_instance_id) for member in described.result().members]
            if members:
                expel(kafka["bootstrap.servers"], group, members)
        for deleted in admin.delete_consumer_groups(groups).values():
            try:
                deleted.result()
            except KafkaException as error:
                # With its topics a group may lose its last offsets, and so end by itself.
                if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise


def expel(bootstrap: str, group: str, members: list[tuple[str, str | None]]) -> None:
    """Make members leave their group at once: static ones would hold their partitions until their session ends.

    No Python client sends this request (LeaveGroup, version 3), which Java's admin client calls
    removeMembersFromConsumerGroup.
    """

    def text(value: str | None) -> bytes:
        encoded = (value or "").encode()
        return struct.pack(">h", -1) if value is None else struct.pack(">h", len(encoded)) + encoded

    body = text(group) + struct.pack(">i", len(members)) + b"".join(text(m) + text(i) for m, i in members)
    request = struct.pack(">hhi", LEAVE_GROUP, 3, 1) + text("tests") + body
    host, _, port = bootstrap.partition(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.recv(4096)
    # length, correlation id, throttle time, error code
    (error,) = struct.unpack_from(">h", answer, 12)
    if error:
        raise KafkaException(KafkaError(error))
