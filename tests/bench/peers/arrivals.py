"""When a site's summaries came: noted while they come, and looked at afterwards.

    with Arrivals(kafka, topic, partitions=4) as arrivals:
        …                                           # taking them in costs the sender beside it next to nothing
        until(arrivals.is_quiet, …)
        arrivals.digest()
        arrivals.is_right(answer), arrivals.steps["7"]

An event is the n-th message of its site. A site lives in one partition and its events are sent in order, so the first
summary of the site that has n messages or more is the first that counts it, whether an engine tells of every message
or of many at once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from confluent_kafka import Message

from tests.bench.open_loop import Step
from tests.bench.peers.answer import Answer
from tests.bench.peers.reader import Reader

QUIET_S = 0.5


class Arrivals(Reader):
    """Reads a topic of summaries from its beginning; what it says of sites is as of the last `digest`.

    Args:
        kafka: client properties.
        topic: of the summaries.
        partitions: of the topic.
    """

    def __init__(self, kafka: Mapping[str, str], topic: str, partitions: int) -> None:
        self.steps: defaultdict[str, list[Step]] = defaultdict(list)
        """Of each site its summaries that have more messages than any before."""
        self._came: list[tuple[float, list[bytes | None]]] = []
        self._digested = 0
        self._last = time.monotonic()
        self._at = 0.0
        super().__init__(kafka, topic, partitions)

    def take(self, messages: Sequence[Message]) -> None:
        """Keep what came, and when."""
        now = time.monotonic()
        values = [message.value() for message in self.sound(messages)]
        if values:
            self._came.append((now, values))
            self._last = now

    def is_quiet(self) -> bool:
        """Whether nothing came of late.

        Raises:
            Exception: reading broke off.
        """
        if self.broken is not None:
            raise self.broken
        return time.monotonic() > self._last + QUIET_S

    def digest(self) -> None:
        """Look at what came since the last time."""
        for at, values in self._came[self._digested :]:
            self._at = at
            self._digested += 1
            for value in values:
                self.see(value)

    def note(self, site: str, counts: tuple[int, int]) -> None:
        """Note the newest of a site, and that it came."""
        steps = self.steps[site]
        if not steps or steps[-1].counted < counts[0]:
            steps.append(Step(self._at, counts[0]))
        super().note(site, counts)


class Echo(Arrivals):
    """Reads the events as if each were the summary that counts it: no engine's can be seen sooner."""

    def __init__(self, kafka: Mapping[str, str], topic: str, partitions: int) -> None:
        self._answer = Answer()
        super().__init__(kafka, topic, partitions)

    def see(self, value: bytes | None) -> None:
        """Count one event."""
        self.records += 1
        site = self._answer.count(value or b"").decode()
        self.note(site, self._answer.of(site))
