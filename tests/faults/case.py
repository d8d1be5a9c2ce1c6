"""One case from start to verdict: a cluster, a load, a nemesis beside it, the check.

    verdict = run(Case(seed=7, events=30_000, rate=2_000, strikes=Strikes(kills=3, broker_kills=1)), folder)

Sums of the case in `make test`: 31,500 good records and 150 bad ones are written in some 16 s, while three worker
processes and the broker are killed. What must be read afterwards: the right summary of each of 300 sites, no revision
of a site twice or backwards, 150 dead letters.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from ops.topics import ensure
from schemas.sites import SITES
from tests.cluster import Cluster
from tests.faults.checker import Offset, Unknown, Verdict, judge, observe
from tests.faults.nemesis import Nemesis, Strikes
from tests.faults.workload import Workload

PARTITIONS = 4
COUNTED_S = 120.0
"""Longer than a dead member's session, a restart's back-off and a restore together."""


@dataclass(frozen=True)
class Case:
    """What is sent and what happens meanwhile.

    Args:
        seed: of everything random.
        events: different events.
        rate: records a second that `replay` sends.
        strikes: what happens while the load is sent.
        workers: how many.
        standbys: of each partition.
    """

    seed: int
    events: int
    rate: int
    strikes: Strikes
    workers: int = 2
    standbys: int = 0


def run(case: Case, folder: Path) -> Verdict:
    """Run ``case`` below ``folder``; what was done and found is printed."""
    load = Workload.make(case.seed, case.events)
    path = folder / "events.jsonl"
    path.write_bytes(b"\n".join(load.events) + b"\n")
    say(f"{case}: {len(load.events)} records, {len(load.bad)} bad ones, {len(load.answer)} sites, in {folder}")
    with Cluster(folder) as cluster:
        ensure(cluster.kafka, SITES, partitions=PARTITIONS)
        for number in range(case.workers):
            cluster.start_worker(f"w{number}", "--epoch", "200ms", "--standbys", str(case.standbys))
        cluster.wait_until_ready()
        cluster.keep()
        within_s = len(load.events) / case.rate
        nemesis = Nemesis.plan(case.seed, cluster, case.strikes, within_s)
        striking = threading.Thread(target=nemesis.run)
        striking.start()
        try:
            command = cluster.command("replay", "sites", str(path), "--rate", str(case.rate))
            replay = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            sent_bad = send_bad(cluster.kafka, load.bad, within_s)
            _, told = replay.communicate(timeout=within_s + COUNTED_S)
        finally:
            striking.join()
            cluster.settle()
            say(*nemesis.diary, f"worker processes started again: {cluster.restarts}")
        if replay.returncode != 0 or f"accepted {len(load.events)}" not in told.replace(",", ""):
            return Verdict(valid=False, findings=[f"replay ended with {replay.returncode}: {told[-500:]}"])
        try:
            seen = observe(cluster.kafka, SITES.topics, sent_bad, COUNTED_S)
        except Unknown as error:
            return Verdict(None, [str(error), *logs(folder)])
        verdict = judge(seen, load.answer)
        epochs = len({summary.revision for summary in seen.summaries})
        say(f"{len(seen.summaries)} summaries of {epochs} epochs and {len(seen.letters)} dead letters: {verdict.valid}")
        if epochs < 2 * sum(case.strikes):
            return Verdict(
                None, [f"only {epochs} epochs: the workers were not at work when they were killed", *logs(folder)]
            )
        return verdict if verdict.valid else Verdict(verdict.valid, [*verdict.findings[:20], *logs(folder)])


def send_bad(kafka: Mapping[str, str], values: list[bytes], within_s: float) -> dict[Offset, bytes]:
    """Write ``values`` evenly over ``within_s`` seconds, past every check of ours; where each of them lies."""
    sent: dict[Offset, bytes] = {}

    def acknowledged(error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is None and partition is not None and offset is not None:
            sent[partition, offset] = message.value() or b""

    producer = Producer({**kafka, "enable.idempotence": True, "message.timeout.ms": 0, "log_level": 0})
    begin = time.monotonic()
    for number, value in enumerate(values):
        producer.poll(max(0.0, begin + within_s * number / len(values) - time.monotonic()))
        producer.produce(SITES.topics.input, value, key=value, on_delivery=acknowledged)
    producer.flush()
    if len(sent) != len(values):
        raise Unknown(f"{len(values) - len(sent)} bad records were not acknowledged")
    return sent


def logs(folder: Path) -> list[str]:
    """The last lines of each worker's log."""
    return [f"{path.name}: {line}" for path in folder.glob("*.log") for line in path.read_text().splitlines()[-15:]]


def say(*lines: str) -> None:
    """To whoever watches (`pytest -s`), or reads a failure."""
    for line in lines:
        sys.stderr.write(line + "\n")
