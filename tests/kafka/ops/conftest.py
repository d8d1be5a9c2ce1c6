"""Commands against a real broker, and a writer that publishes summaries as an engine does: in transactions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient

from ops import console
from ops.cli import run
from ops.topics import ensure
from schemas.sites import SITES
from schemas.wire import partition_of
from sinks.committed import Place, committed_spans, place_of

ROOT = Path(__file__).parents[3]
PARTITIONS = 4


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


Program = Callable[..., Ended]


@pytest.fixture
def streamgauge(kafka: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """Run the words in this process, against the shared broker."""

    def call(*words: str) -> Ended:
        capsys.readouterr()
        code = run([*words, "-b", kafka["bootstrap.servers"], "--data", str(tmp_path)])
        console.configure(quiet=False, verbose=0, color="auto")
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program as a process of its own; whatever still runs at the end is killed."""
    with ExitStack() as stack:

        def begin(bootstrap: str, *words: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "ops.start", *words, "-b", bootstrap, "--data", str(tmp_path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


class Engine:
    """Publishes summaries of sites as an engine does.

    Args:
        kafka: client properties.
    """

    def __init__(self, kafka: dict[str, Any]) -> None:
        self.revision = 0
        self._producer = Producer({**kafka, "transactional.id": f"engine-{id(self)}", "linger.ms": 0})
        self._producer.init_transactions(20)
        self._open = False
        self._ends: dict[Place, int] = {}
        self._admin = AdminClient(kafka)

    def begin(self, *sites: str, messages: int = 1) -> None:
        """Send a summary of each site, and leave the transaction open."""
        if not self._open:
            self._producer.begin_transaction()
            self._open = True
        for site in sites:
            self.revision += 1
            summary = {"site_id": site, "messages": messages, "emails": 1, "operators": 2, "visitors": 3}
            self._send(site, json.dumps({**summary, "revision": self.revision}, separators=(",", ":")).encode())

    def commit(self, *sites: str, messages: int = 1) -> None:
        """Publish a summary of each site."""
        self.begin(*sites, messages=messages)
        self._producer.commit_transaction(20)
        self._open = False
        self._settle()

    def abort(self, *sites: str) -> None:
        """Send summaries that never count."""
        self.begin(*sites)
        self._producer.flush(20)
        self._producer.abort_transaction(20)
        self._open = False
        self._settle()

    def remove(self, site: str) -> None:
        """Publish a tombstone."""
        self._producer.begin_transaction()
        self._send(site, None)
        self._producer.commit_transaction(20)
        self._settle()

    def flush(self) -> None:
        """Let the broker have what is in the open transaction."""
        self._producer.flush(20)

    def _send(self, site: str, value: bytes | None) -> None:
        key = site.encode()
        self._producer.produce(
            SITES.topics.summaries, value, key, partition_of(key, PARTITIONS), on_delivery=self._delivered
        )

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._ends[place_of(message)] = (message.offset() or 0) + 2

    def _settle(self) -> None:
        """Wait for the markers of the transaction: a commit is acknowledged before they are in the topic."""
        while any(
            span.end < self._ends.get(place, 0)
            for place, span in committed_spans(self._admin, {SITES.topics.summaries: PARTITIONS}).items()
        ):
            pass


@pytest.fixture
def sites(kafka: dict[str, Any]) -> dict[str, Any]:
    """The shared broker with the topics of sites."""
    ensure(kafka, SITES, PARTITIONS)
    return kafka


@pytest.fixture
def engine(sites: dict[str, Any]) -> Engine:
    """A writer of summaries."""
    return Engine(sites)
