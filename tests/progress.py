"""How far a stream's workers have counted, as `replay --wait` asks it.

progress = Progress(kafka, SITES.topics)
progress.wait(seconds=60)     # until all that is in the input topic now is counted, and its summaries can be read
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ops.kafka import client_logger, connect
from producers.processed import Processed
from schemas.errors import StreamgaugeError
from schemas.wire import Topics
from sinks.committed import committed_spans

ANSWER_S = 10.0


class Behind(Exception):
    """Not everything is counted; the text says how much is not."""


class Progress:
    """The input's ends and what the group makes of them.

    Args:
        kafka: client properties.
        topics: of the stream.
    """

    def __init__(self, kafka: Mapping[str, str], topics: Topics) -> None:
        self._kafka: dict[str, Any] = dict(kafka)
        self._topics = topics

    def ends(self) -> dict[int, int]:
        """The committed end of each input partition; a leader that is away for a moment is asked again.

        Raises:
            KafkaException: the broker cannot be asked.
        """
        admin = connect(self._kafka)
        topic = self._topics.input
        count = len(admin.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions)
        return {partition: span.end for (_, partition), span in committed_spans(admin, {topic: count}).items()}

    def wait(self, seconds: float, look: Callable[[], None] = lambda: None) -> None:
        """Wait until what is in the input now is counted and readable.

        Args:
            seconds: how long.
            look: called some times a second meanwhile; what it raises ends the wait.

        Raises:
            Behind: it is not, after ``seconds``, or no broker answers.
            KafkaException: the broker cannot be asked.
        """

        def tick(_: int) -> bool:
            look()
            return True

        try:
            spans = {partition: [[0, end]] for partition, end in self.ends().items() if end}
            Processed(self._kafka, self._topics, client_logger()).wait(spans, seconds, tick)
        except StreamgaugeError as error:
            raise Behind(str(error)) from error
