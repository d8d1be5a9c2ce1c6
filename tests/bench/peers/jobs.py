"""The job of the comparison, given to one engine after the other: each time from nothing, and nothing is left.

    with jobs(folder) as broker, broker.job(engine) as (job, log):
        with broker.reading(job.output, Reader) as reader, Running(engine, job, log) as running:
            until(lambda: reader.is_right(answer), "the right answer", 900, running)
            running.stop()
        records = broker.check(job, answer)

The engine has one core, the broker, who sends and who reads have the others.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # where its stubs have it

from ops.topics import ensure
from tests.bench.measure import core
from tests.bench.peers.answer import Answer
from tests.bench.peers.engines import COMMIT_S, Engine, Job
from tests.bench.peers.install import Unavailable
from tests.bench.peers.ours.streamgauge_visitors import SCHEMA
from tests.bench.peers.reader import Reader
from tests.bench.peers.running import Wrong, until
from tests.cluster import Cluster

PARTITIONS = 4
END_LIMIT_S = 30.0
READ_LIMIT_S = 900.0
"""For all summaries to be read again: of ten million events, some engines publish four."""
STAMPED = {"message.timestamp.type": "LogAppendTime"}
"""Engines give a summary the time of the event, or their own; when it was appended, the broker knows."""

R = TypeVar("R", bound=Reader)


class Jobs:
    """A broker with the topics of our stream, and of whatever else runs.

    Args:
        cluster: the broker.
        folder: for the engines' states and logs.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.kafka: Mapping[str, str] = cluster.kafka
        self.folder = folder
        self._runs = 0
        self._admin = AdminClient({**self.kafka, "log_level": "0"})
        self._create_ours()

    @contextmanager
    def job(
        self, engine: Engine | None, *, commit_s: float = COMMIT_S, own_input: bool = False
    ) -> Generator[tuple[Job, Path]]:
        """A run of an engine, with nothing left of earlier ones; and its log.

        Args:
            engine: which one; None where nobody does the job.
            commit_s: how often it commits.
            own_input: whether it reads an empty topic of its own, not the one that all share.
        """
        self._runs += 1
        name, ours = f"peer-{self._runs}-{engine.name if engine else 'nobody'}", engine is not None and engine.ours
        output = SCHEMA.topics.summaries if ours else f"{name}-summaries"
        source = f"{name}-events" if own_input and not ours else SCHEMA.topics.input
        job = Job(self.kafka["bootstrap.servers"], source, output, name, self.folder / name, commit_s)
        before = self._topics()
        self._create({source, output} - before)
        if engine is not None:
            engine.prepare(job)
        try:
            yield job, self.folder / f"{name}.log"
        finally:
            made = self._topics() - before
            if ours:
                made |= {SCHEMA.topics.summaries, SCHEMA.topics.changelog}
                made |= {SCHEMA.topics.input} if own_input else set()
            self._delete(made)
            if ours:
                self._create_ours()
            shutil.rmtree(job.state, ignore_errors=True)

    @contextmanager
    def reading(self, topic: str, reader: Callable[[Mapping[str, str], str, int], R]) -> Generator[R]:
        """Read a topic all the while, as ``reader`` does; not on the core of what is measured."""
        with ExitStack() as stack:
            with core(measured=False):
                found = stack.enter_context(reader(self.kafka, topic, PARTITIONS))
            yield found
        if found.broken is not None:
            raise found.broken

    def check(self, job: Job, answer: Answer) -> int:
        """Read all summaries again; how many there are.

        Raises:
            Wrong: the last ones are not the answer.
        """
        with self.reading(job.output, Reader) as again:
            until(lambda: not again.unread, "the end of its summaries", READ_LIMIT_S)
        wrong = again.wrong(answer)
        if wrong:
            raise Wrong(f"of {len(wrong)} sites its last summaries are wrong: {sorted(wrong.items())[:2]}")
        return again.records

    def _topics(self) -> set[str]:
        return {name for name in self._admin.list_topics(timeout=30).topics if not name.startswith("__")}

    def _create_ours(self) -> None:
        """The topics of our stream."""
        self._create({SCHEMA.topics.summaries}, **{"cleanup.policy": "compact"})
        ensure(self.kafka, SCHEMA, partitions=PARTITIONS, admin=self._admin)

    def _create(self, names: set[str], **config: str) -> None:
        if not names:
            return
        topics = [NewTopic(name, PARTITIONS, 1, config={**STAMPED, **config}) for name in names]
        for answer in self._admin.create_topics(topics).values():
            answer.result()

    def _delete(self, names: set[str]) -> None:
        """Delete topics, and wait until they are gone."""
        if not names:
            return
        for answer in self._admin.delete_topics(sorted(names)).values():
            answer.result()
        until(lambda: names.isdisjoint(self._topics()), "the end of the topics", END_LIMIT_S)


@contextmanager
def jobs(folder: Path) -> Generator[Jobs]:
    """A broker for jobs, below ``folder``."""
    folder.mkdir()
    with core(measured=False):
        cluster = Cluster(folder)
        cluster.__enter__()
    try:
        yield Jobs(cluster, folder)
    finally:
        cluster.__exit__(*sys.exc_info())


@contextmanager
def telling(troubles: list[str], title: str) -> Generator[None]:
    """What one engine cannot do is told below the table, and the others go on."""
    try:
        yield
    except (Wrong, Unavailable) as error:
        troubles.append(str(error))
        print(f"peers: {title}: {error}", file=sys.stderr, flush=True)
