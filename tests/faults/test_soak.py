"""A worker at half load for an hour: every summary exact, memory and open files as they were (`make soak`).

Fresh events of fresh sites come all the time, so the state outgrows the worker's budget many times over. So do its
tables on the disk, of which each store has as many open as there are, up to a limit: they are counted apart.
"""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from ops.topics import ensure
from processors.store import OPEN_TABLES
from schemas.sites import SITES
from tests.cluster import Cluster, tree_of
from tests.faults.case import COUNTED_S, PARTITIONS, say
from tests.faults.checker import Right, judge, observe
from tests.faults.loads import sites
from tests.faults.workload import Answer

RATE = 20_000
"""Records a second. Each takes a worker 18 µs of CPU at the most: a third of a core, as broker and sender do."""
ROUND_S = 30.0
SITES_A_ROUND = 300
SAMPLE_S = 5.0
GROWTH = 0.10
"""So much more resident memory, in the last third than in the middle one, is the noise of an allocator."""
MORE_FILES = 4


class Sample(NamedTuple):
    """What the worker's processes hold together."""

    at_s: float
    resident_mb: float
    files: int
    """Open ones, connections and pipes included, without tables."""
    tables: int
    """Open tables of the state."""


@pytest.mark.long
@pytest.mark.timeout(0)
def test_an_hour_at_half_load_is_exact_and_takes_no_more_memory_or_files(
    tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    """Of three thirds of the time the first one is to warm up; the last must not need more than the middle one."""
    minutes = request.config.getoption("--minutes")
    assert isinstance(minutes, float)
    samples: list[Sample] = []
    ended = threading.Event()
    with Cluster(tmp_path) as cluster, ThreadPoolExecutor(1) as threads:
        ensure(cluster.kafka, SITES, partitions=PARTITIONS)
        cluster.start_worker("w0", "--memory", "64MiB")
        cluster.wait_until_ready()
        watching = threads.submit(watch, cluster.workers["w0"].pid, samples, ended)
        try:
            answer = send_for(cluster, tmp_path, seed, 60 * minutes)
            seen = observe(cluster.kafka, SITES.topics, COUNTED_S)
        finally:
            ended.set()
            watching.result()
        verdict = judge(seen, Right(answer))
    say(*report(samples, len(answer)))
    assert verdict.valid is True, f"--seed {seed}: {verdict}"
    middle, last = thirds(samples)[1:]
    assert mean_mb(last) <= (1 + GROWTH) * mean_mb(middle)
    assert max(sample.files for sample in last) <= max(sample.files for sample in middle) + MORE_FILES
    assert max(sample.tables for sample in samples) <= PARTITIONS * OPEN_TABLES


def send_for(cluster: Cluster, folder: Path, seed: int, lasts_s: float) -> Answer:
    """Send round after round, each of sites that were not there before; what must come of all of them."""
    answer: dict[str, dict[str, object]] = {}
    first = sites.make(seed, int(RATE * ROUND_S), SITES_A_ROUND, bad=0.0)
    begin, number = time.monotonic(), 0
    while time.monotonic() - begin < lasts_s:
        load = sites.again(first, number)
        load.write(folder)
        sent = cluster.send([*load.steps[0].words, "--rate", str(RATE)], folder)
        assert sent.code == 0, sent.told
        answer.update({key: dict(fields) for key, fields in load.answer.items()})
        number += 1
    return answer


def watch(pid: int, samples: list[Sample], ended: threading.Event) -> None:
    """Look every few seconds."""
    begin = time.monotonic()
    while not ended.wait(SAMPLE_S):
        tree = tree_of(pid)
        try:
            resident = sum(process.memory_info().rss for process in tree) / 1e6
            tables = sum(file.path.endswith(".sst") for process in tree for file in process.open_files())
            files = sum(process.num_fds() for process in tree) - tables
        except psutil.NoSuchProcess:
            continue
        samples.append(Sample(time.monotonic() - begin, resident, files, tables))


def thirds(samples: list[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """In the order of time."""
    size = len(samples) // 3
    return samples[:size], samples[size : 2 * size], samples[2 * size :]


def mean_mb(samples: list[Sample]) -> float:
    """Resident memory."""
    return statistics.fmean(sample.resident_mb for sample in samples)


def report(samples: list[Sample], entities: int) -> list[str]:
    """What is told of it, for a table."""
    later = samples[len(samples) // 3 :]
    slope, _ = statistics.linear_regression([s.at_s for s in later], [s.resident_mb for s in later])
    means = ", ".join(f"{mean_mb(third):.0f}" for third in thirds(samples))
    files = ", ".join(str(max(sample.files for sample in third)) for third in thirds(samples))
    tables = ", ".join(str(max(sample.tables for sample in third)) for third in thirds(samples))
    return [
        f"{samples[-1].at_s / 60:.0f} min at {RATE} records/s, {entities} sites",
        f"resident MB by thirds {means}; slope of the last two {slope * 3600:+.1f} MB/h",
        f"most open files {files}, and tables of the state {tables}",
    ]
