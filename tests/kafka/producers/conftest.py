"""The program's producers as a person runs them, and what is in the topics afterwards."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.topics import ensure
from schemas.sites import SITES

PROGRAM = Path(sys.executable).with_name("streamgauge")
PATIENCE_S = 60


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]


class Running:
    """A command under way.

    Args:
        words: after ``streamgauge``.
        folder: where it runs; its stderr goes to a file there.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        self._stderr = folder / "stderr"
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [PROGRAM, *words], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            )

    @property
    def stderr(self) -> str:
        """What it has said."""
        return self._stderr.read_text()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Shell:
    """Runs the program against one broker, in one folder.

    Args:
        kafka: client properties.
        folder: the working directory; ``--data`` lies in it.
    """

    def __init__(self, kafka: dict[str, Any], folder: Path) -> None:
        ensure(kafka, SITES)  # here, and not by the first command: what looks into a topic needs one with a leader
        self.kafka = kafka
        self.folder = folder
        self._stack = ExitStack()

    @property
    def options(self) -> list[str]:
        """The global options of every command here."""
        return ["--brokers", self.kafka["bootstrap.servers"], "--data", str(self.folder / "data")]

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return subprocess.run(
            [PROGRAM, *words, *self.options],
            cwd=self.folder, input=stdin, capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> Running:
        """Leave a command running; it ends with the test."""
        running = Running([*words, *self.options], self.folder)
        self._stack.callback(running.close)
        return running

    def again(self, stderr: str) -> subprocess.CompletedProcess[bytes]:
        """Run the command that a message says goes on, to the letter."""
        (line,) = [line for line in stderr.splitlines() if "go on with: " in line]
        command = shlex.split(line.partition("go on with: ")[2])
        assert command[0] == "streamgauge"
        return subprocess.run(
            [PROGRAM, *command[1:]],
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def records(self, topic: str) -> list[Record]:
        """All committed records of a topic, by partition and offset."""
        found = AdminClient(self.kafka).list_topics(timeout=10).topics[topic]
        settings = {
            **self.kafka,
            "group.id": "test",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in found.partitions])
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in found.partitions}
        left, records = {partition for partition, end in ends.items() if end}, list[Record]()
        while left:
            for message in consumer.consume(1000, timeout=0.05):  # returns after the time, not when some are there
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error  # pyright: ignore[reportPrivateUsage]
                    left.discard(message.partition() or 0)
                else:
                    headers: dict[str, Any] = dict(message.headers() or [])
                    partition, offset = message.partition() or 0, message.offset() or 0
                    if offset + 1 >= ends[partition]:  # where somebody goes on writing, the end may never be seen
                        left.discard(partition)
                    records.append(Record(partition, offset, message.key(), message.value() or b"", headers))
        consumer.close()
        return sorted(records)

    def values(self) -> list[bytes]:
        """The values in the topic of `sites`, sorted."""
        return sorted(record.value for record in self.records("sites"))

    def close(self) -> None:
        """End what is still running."""
        self._stack.close()


@pytest.fixture
def shell(kafka: dict[str, Any], tmp_path: Path) -> Iterator[Shell]:
    """A shell on the shared, empty broker."""
    opened = Shell(kafka, tmp_path)
    yield opened
    opened.close()


def result(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """The object that ``--json`` printed."""
    return json.loads(done.stdout)


def event(number: int, site: str = "7", **changes: Any) -> bytes:
    """A good line."""
    record = {"id": f"e{number}", "type": "message", "from": "v", "site_id": site, "timestamp": number, "data": {}}
    return json.dumps(record | changes).encode()
