"""The events in the topic, and the right answer for as many of them as were sent.

>>> answer = Answer()
>>> answer.count(b'{"type":"message","from":"anna","site_id":"7"}')
b'7'
>>> answer.count(b'{"type":"status","from":"otto","site_id":"7"}')
b'7'
>>> answer.of("7"), answer.messages
((1, 1), 1)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import orjson
from confluent_kafka import Producer

from schemas.wire import partition_of

TICK_S = 0.02
CHUNK = 10_000
MOST_QUEUED = 1_000_000
"""Events that wait to be sent: the client's queue holds a gigabyte, a large backlog has more."""


class Answer:
    """What the summaries must say once all that was counted here is counted there."""

    def __init__(self) -> None:
        self.messages = 0
        self.sites: dict[str, int] = {}
        """Messages by site."""
        self._visitors: dict[str, set[str]] = {}

    def count(self, value: bytes) -> bytes:
        """Count one event; its key."""
        event = orjson.loads(value)
        site: str = event["site_id"]
        if event["type"] == "message":
            self.messages += 1
            self.sites[site] = self.sites.get(site, 0) + 1
            self._visitors.setdefault(site, set()).add(event["from"])
        return site.encode()

    def of(self, site: str) -> tuple[int, int]:
        """Messages and distinct visitors of a site."""
        return self.sites.get(site, 0), len(self._visitors.get(site, ()))


class Loader:
    """Sends the lines of a file, in their order, one after the other: the topic always holds a prefix of the file.

    Args:
        kafka: client properties.
        path: of the events.
        topic: where they go.
        partitions: of the topic.
    """

    def __init__(self, kafka: Mapping[str, str], path: Path, topic: str, partitions: int) -> None:
        self.answer = Answer()
        self.sent = 0
        self._lines = _lines(path)
        self._topic = topic
        self._partitions = partitions
        self._homes: dict[bytes, int] = {}
        self._producer = Producer({**kafka, "acks": "all", "queue.buffering.max.messages": 0, "log_level": 0})

    def load_up_to(self, events: int) -> None:
        """Send until the topic holds ``events`` of them; at once."""
        while self.sent < events:
            self._send(min(CHUNK, events - self.sent))
            while len(self._producer) > MOST_QUEUED:
                self._producer.poll(TICK_S)
        self._producer.flush()

    def trickle(self, rate: float, ending: threading.Event) -> None:
        """Send ``rate`` events a second until ``ending`` is set."""
        begin, before = time.monotonic(), self.sent
        while not ending.wait(TICK_S):
            self._send(before + int((time.monotonic() - begin) * rate) - self.sent)
            self._producer.poll(0)
        self._producer.flush()

    def _send(self, events: int) -> None:
        count, homes, before = self.answer.count, self._homes, self.sent
        for value in islice(self._lines, max(events, 0)):
            key = count(value)
            home = homes.get(key)
            if home is None:
                home = homes[key] = partition_of(key, self._partitions)
            self._producer.produce(self._topic, value, key, home)
            self.sent += 1
        if self.sent - before < events:
            raise EOFError(f"all {self.sent} events of the file are sent")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip()
