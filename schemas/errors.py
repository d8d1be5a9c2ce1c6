"""Every failure that a person is told of, as one tree.

    StreamgaugeError            exit 1: could not be done
    ├── UsageError              exit 2: the words were wrong, nothing was tried
    ├── BrokerUnreachable       no broker answered
    ├── TopicMismatch           a topic is not as this stream needs it
    └── StateError              doubt about state: the process must end (fail-stop)
        ├── Fenced              another owner took the partition over
        ├── Stalled             no progress, or a coordinator that gave up
        └── StateRefused        state, topics and program do not fit: no restart mends it, a person decides
            ├── StoreAhead      the local store holds what its changelog does not
            └── LostInput       retention removed input that was never counted
    BadRecord                   one record; it becomes a dead letter and stops nothing

A message is one line: what happened, where, and what to do about it.

>>> LostInput("sites", 3, stamp=10, log_start=25).exit_code
1
"""

from __future__ import annotations


class StreamgaugeError(Exception):
    """Could not be done. ``str(error)`` is the one line that people read."""

    exit_code = 1


class UsageError(StreamgaugeError):
    """The command's words are wrong; raised before anything is tried."""

    exit_code = 2


class BrokerUnreachable(StreamgaugeError):
    """No broker answered in time."""

    def __init__(self, brokers: str, seconds: float, detail: str = "") -> None:
        super().__init__(
            f"no Kafka broker answered at {brokers} within {seconds:g} s{detail and f' ({detail})'}; "
            "start one (streamgauge broker start) or name yours (--brokers HOST:PORT)"
        )


class TopicMismatch(StreamgaugeError):
    """A topic exists, but not as the stream needs it (partition count, clean-up policy)."""


class StateError(StreamgaugeError):
    """Doubt about state. The process ends; its parent restarts it from the last stamp."""


class Fenced(StateError):
    """A newer owner of the partition has fenced this one; nothing of the open epoch was published."""


class Stalled(StateError):
    """No progress where there must be some: a parked group coordinator, a stop that hangs."""


class StateRefused(StateError):
    """State, topics and program do not fit together. No restart mends it; the message says what a person can do."""


class StoreAhead(StateRefused):
    """The local store is ahead of its changelog, so it is no prefix of it."""


class LostInput(StateRefused):
    """Offsets ``[stamp, log_start)`` of a source partition were removed before they were counted."""

    def __init__(self, topic: str, partition: int, stamp: int, log_start: int) -> None:
        self.topic, self.partition, self.stamp, self.log_start = topic, partition, stamp, log_start
        super().__init__(
            f"input lost: {topic}-{partition} begins at offset {log_start}, but only [0, {stamp}) is counted; "
            f"retention removed [{stamp}, {log_start}). Restart with --skip-lost to go on without it "
            "(a dead letter will name the gap)"
        )


class BadRecord(Exception):
    """One record that cannot be counted. ``str(error)`` is the dead letter's reason."""
