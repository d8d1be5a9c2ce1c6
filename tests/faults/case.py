"""One case from start to verdict: a cluster, a load, a nemesis beside it, the check.

    load = sites.make(seed=7, events=30_000)
    verdict = run(Case(7, load, rate=2_000, strikes=Strikes(kills=3, broker_kills=1)), folder)

Sums of the case in `make test`: 31,500 good records and 150 bad ones are written in some 16 s, while three worker
processes and the broker are killed. What must be read afterwards: the right summary of each of 300 sites, no revision
of a site twice or backwards, 150 dead letters.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from confluent_kafka import KafkaError, Message, Producer

from ops.topics import ensure
from producers.simulate.api import served
from tests.cluster import Cluster
from tests.faults.checker import Place, Right, Unknown, Verdict, judge, observe, read
from tests.faults.nemesis import NO_STRIKES, Nemesis, Strike, Strikes
from tests.faults.workload import Workload

PARTITIONS = 4
COUNTED_S = 120.0
"""Longer than a dead member's session, a restart's back-off and a restore together."""
OK, SOME_REJECTED = 0, 3
THRICE = pytest.mark.parametrize("repetition", range(3))
"""Run a case three times, each with a seed of its own: other records, other moments, other victims."""


@dataclass(frozen=True)
class Case:
    """What is sent and what happens meanwhile.

    Args:
        seed: of what happens.
        load: what is sent, and what must come of it.
        rate: records a second that are sent.
        strikes: what happens while the load is sent.
        workers: how many.
        standbys: of each partition.
        options: of the workers.
        env: of the workers, beside ours.
        more: further strikes, planned for the cluster and the seconds of the case.
        cluster: what the case runs on, made of a folder and the stream's name.
    """

    seed: int
    load: Workload
    rate: int
    strikes: Strikes = NO_STRIKES
    workers: int = 2
    standbys: int = 0
    options: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    more: Callable[[random.Random, Cluster, float], Sequence[Strike]] | None = None
    cluster: Callable[[Path, str], Cluster] = Cluster

    @property
    def lasts_s(self) -> float:
        """How long the load is sent, when nothing happens."""
        return self.load.records / self.rate

    def __str__(self) -> str:
        load = self.load
        return (
            f"{load.schema.name}, seed {self.seed}: {load.records} records at {self.rate}/s, {len(load.bad)} bad ones, "
            f"{len(load.bad_lines)} bad lines, {len(load.answer)} entities, {self.workers} workers, "
            f"{self.standbys} standbys, {self.strikes}"
        )


def run(case: Case, folder: Path) -> Verdict:
    """Run ``case`` below ``folder``; what was done and found is printed."""
    say(f"{case}, in {folder}")
    load = case.load
    with case.cluster(folder, load.schema.name) as cluster:
        ensure(cluster.kafka, load.schema, partitions=PARTITIONS)
        for number in range(case.workers):
            options = ("--epoch", "200ms", "--standbys", str(case.standbys), *load.options, *case.options)
            cluster.start_worker(f"w{number}", *options, env=case.env)
        cluster.wait_until_ready()
        cluster.keep()
        nemesis = Nemesis.plan(case.seed, cluster, case.strikes, case.lasts_s)
        if case.more is not None:
            nemesis.add(case.more(random.Random(case.seed), cluster, case.lasts_s))
        sending = Sending(case, cluster, folder / "files")
        with ThreadPoolExecutor(1, "nemesis") as threads:
            struck = threads.submit(nemesis.run)
            try:
                sending.run()
            finally:
                wait([struck])
                cluster.settle()
                say(*nemesis.diary, f"worker processes started again: {cluster.restarts}")
        struck.result()  # a strike that could not be done is no outcome
        if sending.failures:
            return Verdict(None, [*sending.failures, *logs(folder)])
        return check(case, cluster, sending, folder)


def check(case: Case, cluster: Cluster, sending: Sending, folder: Path) -> Verdict:
    """Wait until all that was sent is counted, read what there is, and judge it."""
    load = case.load
    try:
        seen = observe(cluster.kafka, load.schema.topics, COUNTED_S)
    except Unknown as error:
        return Verdict(None, [str(error), *logs(folder)])
    right = Right(load.answer, {**sending.bad, **load.bad_lines}, load.rows or {}, sending.runs)
    verdict = judge(seen, right)
    epochs = len({summary.revision for summary in seen.summaries})
    say(f"{len(seen.summaries)} summaries of {epochs} epochs and {len(seen.letters)} dead letters: {verdict.valid}")
    if epochs < max(2, 2 * sum(case.strikes)):
        found = f"only {epochs} epochs: the workers were not at work when they were killed"
        return Verdict(None, [found, *logs(folder)])
    return verdict if verdict.valid else Verdict(verdict.valid, [*verdict.findings[:20], *logs(folder)])


class Sending:
    """Sends a load: its steps one after the other, its bad values meanwhile.

    Args:
        case: whose load is sent.
        cluster: where to.
        folder: for its files.
    """

    def __init__(self, case: Case, cluster: Cluster, folder: Path) -> None:
        self.bad: dict[Place, bytes] = {}
        """Where each bad value lies."""
        self.runs = 1
        """How often the command was run that was run most often."""
        self.failures: list[str] = []
        """Commands that did not do what they should have: the case has no outcome."""
        self._case = case
        self._cluster = cluster
        self._folder = folder
        folder.mkdir()
        case.load.write(folder)

    def run(self) -> None:
        """Send all of it."""
        steps = threading.Thread(target=self._steps)
        steps.start()
        try:
            self._send_bad()
        finally:
            steps.join()

    def _steps(self) -> None:
        for step in self._case.load.steps:
            words = [*step.words, "--rate", str(self._case.rate / step.page)]
            with ExitStack() as serving:
                if step.api is not None:
                    words += ["--url", serving.enter_context(served(step.api))]
                sent = self._cluster.send(words, self._folder)
            self.runs = max(self.runs, sent.runs)
            if sent.code not in {OK, SOME_REJECTED} or (sent.runs == 1 and _accepted(sent.result) != step.records):
                self.failures.append(f"{' '.join(words)} ended with {sent.code}: {sent.result} {sent.told[-500:]}")
                return

    def _send_bad(self) -> None:
        """Write the bad values evenly over the time of the case, past every check of ours."""

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            nonlocal taken
            taken += error is None
            partition, offset = message.partition(), message.offset()
            if error is None and partition is not None and offset is not None and offset >= 0:
                self.bad[partition, offset] = message.value() or b""

        taken = 0

        values, within_s = self._case.load.bad, self._case.lasts_s
        topic = self._case.load.schema.topics.input
        producer = Producer(
            {**self._cluster.kafka, "enable.idempotence": True, "message.timeout.ms": 0, "log_level": 0}
        )
        begin = time.monotonic()
        for number, value in enumerate(values):
            producer.poll(max(0.0, begin + within_s * number / len(values) - time.monotonic()))
            producer.produce(topic, value, key=value, on_delivery=acknowledged)
        producer.flush()
        if taken != len(values):
            self.failures.append(f"{len(values) - taken} bad records were not acknowledged")
        elif len(self.bad) != taken:
            # A leader that was lost had stored one, and its successor says that it has it, but not where.
            bad = set(values)
            found = [message for message in read(self._cluster.kafka, topic) if message.value() in bad]
            self.bad = {(one.partition() or 0, one.offset() or 0): one.value() or b"" for one in found}


def _accepted(result: bytes) -> int:
    return orjson.loads(result)["accepted"]


def logs(folder: Path) -> list[str]:
    """The last lines of each worker's log."""
    return [f"{path.name}: {line}" for path in folder.glob("*.log") for line in path.read_text().splitlines()[-15:]]


def say(*lines: str) -> None:
    """To whoever watches (`pytest -s`), or reads a failure."""
    for line in lines:
        sys.stderr.write(line + "\n")


def must_be_exact(case: Case, folder: Path) -> None:
    """Run ``case`` below ``folder``; a failure says what was found, and the seed to repeat it with."""
    verdict = run(case, folder)
    assert verdict.valid is True, f"--seed {case.seed}: {verdict}"
