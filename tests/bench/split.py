"""Where an engine's CPU goes: one engine, in this process, with a stopwatch around each stage.

    python -m tests.bench.split BOOTSTRAP STATE_DIR RECORDS [STREAM]    # {"events": …, "cpu_s": {"decode": …, …}}

Nothing is sampled or guessed. What the engine calls is wrapped here, from outside, and timed by the clock of the
thread in which it runs, without the stages that it calls in turn; the kernel tells what each thread has used. So
the stages add up to the process, and what is left of a thread is what the thread is for. Only what is called once a
batch or an epoch has a stopwatch: around what is called for each record, such as a row that is read, it would cost
more than the call.

* the consumer's thread is fetching: socket, protocol, checksums, runs (and the group's heartbeats);
* packets are opened, decompressed and parsed, when their epoch ends;
* the epochs' threads and librdkafka's send the changelog and the summaries;
* RocksDB's flush and compact;
* the loop, less the stages, is Faust and asyncio, and what the engine does between the stages.

Where a stream has a merging stage, that runs in the same process, as in a worker: `MERGE` is what it aggregates, and
its fetching, decoding, changelog and store are added to those of counting.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import uvloop

from aggregators.aggregator import Counting
from ops.registry import stream as stream_named
from ops.worker.stages import stages_of
from processors import EngineSettings
from processors.packets import Fetched
from processors.partition import Partition
from processors.store import RocksStore
from schemas.decode import RunDecoder
from sinks.merge import Merge

PARTITIONS = 4
LOOK_EVERY_S = 0.05
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")

START, FETCH, OPEN, DECODE, AGGREGATE = "start", "fetch", "open", "decode", "aggregate"
PARTIALS, MERGE, SUMMARIES = "partials", "merge", "summaries"
CHANGELOG, STORE, REST = "changelog", "store", "Faust, asyncio"
STAGES = (FETCH, OPEN, DECODE, AGGREGATE, PARTIALS, MERGE, SUMMARIES, CHANGELOG, STORE, REST)


class Stopwatch:
    """CPU by stage and thread; what a stage calls is not part of it."""

    def __init__(self) -> None:
        self.spent_ns: defaultdict[tuple[int, str], int] = defaultdict(int)
        """By native thread id and stage."""
        self._inner = threading.local()

    def wrap(self, owner: Any, method: str, stage: str) -> None:
        """Count the CPU of ``owner.method`` as ``stage`` from now on."""
        act: Callable[..., Any] = getattr(owner, method)
        clock, inner = time.thread_time_ns, self._inner

        def run(*arguments: Any, **named: Any) -> Any:
            outside = getattr(inner, "ns", 0)
            inner.ns = 0
            begin = clock()
            try:
                return act(*arguments, **named)
            finally:
                took = clock() - begin
                self.spent_ns[threading.get_native_id(), stage] += took - inner.ns
                inner.ns = outside + took

        setattr(owner, method, run)

    def stages(self) -> dict[str, float]:
        """CPU seconds of this process so far, by stage."""
        seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        for task in Path("/proc/self/task").iterdir():
            head, _, rest = (task / "stat").read_text().rpartition(")")
            fields = rest.split()
            used = (int(fields[11]) + int(fields[12])) * TICKS_S
            for (thread, stage), ns in list(self.spent_ns.items()):
                if thread == int(task.name):
                    seconds[stage] += ns / 1e9
                    used -= ns / 1e9
            seconds[_purpose(names.get(int(task.name), ""), head.partition("(")[2])] += max(used, 0.0)
        return seconds


def _purpose(python_name: str, name: str) -> str:
    """The stage that a thread is for, by its name in Python and in the kernel."""
    if name.startswith("rdk:") or python_name.startswith("epoch"):
        return CHANGELOG
    if name.startswith("rocksdb"):
        return STORE
    return FETCH if python_name.startswith("Thread-") else REST  # mode leaves the consumer's thread unnamed


async def measure(bootstrap: str, state_dir: Path, records: int, name: str) -> dict[str, Any]:
    """Run the stages of a stream until they have counted ``records`` and merged that; CPU seconds by stage."""
    stream = stream_named(name)
    aggregator = stream.aggregator(Counting())
    watch = Stopwatch()
    watch.wrap(Fetched, "records", OPEN)
    watch.wrap(RunDecoder, "decode", DECODE)
    watch.wrap(aggregator, "update", AGGREGATE)
    columns = aggregator.columns()
    if columns is not None:
        watch.wrap(type(columns), "extend", AGGREGATE)
    watch.wrap(Merge, "update", MERGE)
    watch.wrap(Partition, "_partials", PARTIALS)
    watch.wrap(Partition, "_summaries", SUMMARIES)
    watch.wrap(RocksStore, "write", STORE)
    settings = EngineSettings({"bootstrap.servers": bootstrap}, state_dir, "bench", "bench-0", PARTITIONS)
    start_s = time.process_time()
    stages = stages_of(stream.schema, aggregator, settings)
    running = asyncio.ensure_future(stages.run())
    while not _done(stages.counters, records, merges=stream.schema.merges):
        if running.done():
            await running
        await asyncio.sleep(LOOK_EVERY_S)
    cpu_s = watch.stages()  # before the stop: threads that have ended tell nothing
    stages.stop()
    await running
    cpu_s[REST] -= start_s
    return {"events": records, "cpu_s": {START: start_s, **{stage: s for stage, s in cpu_s.items() if s}}}


def _done(counters: Mapping[str, float], records: int, *, merges: bool) -> bool:
    """Whether so many records are counted, and what was published of them is merged."""
    if counters.get("records", 0) < records:
        return False
    return not merges or counters["merged_partials"] >= counters["summaries"]


def main() -> None:
    """Measure against the broker and the state directory that the command line names."""
    bootstrap, state_dir, records, *stream = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(bootstrap, Path(state_dir), int(records), *(stream or ["sites"])))
    sys.stdout.write(orjson.dumps(found).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads of Kafka clients are of no further interest


if __name__ == "__main__":
    main()
