"""Where an engine's CPU goes: one engine, in this process, with a stopwatch around each stage.

    python -m tests.bench.split BOOTSTRAP STATE_DIR RECORDS     # {"events": …, "cpu_s": {"decode": …, …}}

Stages that run in the engine's loop are timed by their thread's clock; the consumer, the sends and librdkafka have
threads of their own, whose CPU the kernel tells. What is left is Faust, asyncio and the start.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop

from aggregators.aggregator import Counting
from ops.registry import stream
from processors import Engine, EngineSettings
from processors.partition import Partition
from processors.store import RocksStore
from schemas.decode import RunDecoder

PARTITIONS = 4
LOOK_EVERY_S = 0.05
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")

spent_ns: defaultdict[str, int] = defaultdict(int)


def timed(owner: Any, method: str, stage: str, inside: str | None = None) -> None:
    """Count the CPU of ``owner.method`` as ``stage``; where it runs within stage ``inside``, not as that."""
    act: Callable[..., Any] = getattr(owner, method)

    def run(*arguments: Any, **named: Any) -> Any:
        begin = time.thread_time_ns()
        try:
            return act(*arguments, **named)
        finally:
            took = time.thread_time_ns() - begin
            spent_ns[stage] += took
            if inside:
                spent_ns[inside] -= took

    setattr(owner, method, run)


def threads_s() -> dict[str, float]:
    """CPU seconds of this process so far, by what its threads are for."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    used: defaultdict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        head, _, rest = (task / "stat").read_text().rpartition(")")
        fields = rest.split()
        seconds = (int(fields[11]) + int(fields[12])) * TICKS_S
        comm = head.partition("(")[2]
        used[_purpose(names.get(int(task.name), ""), comm)] += seconds
    return dict(used)


def _purpose(name: str, comm: str) -> str:
    if name == "MainThread":
        return "loop"
    if comm.startswith("rdk:") or name.startswith("epoch"):
        return "send"
    if comm.startswith("rocksdb"):
        return "store"
    return "fetch" if "Consumer" in name or name.startswith("Thread") else "other"


async def measure(bootstrap: str, state_dir: Path, records: int) -> dict[str, Any]:
    """Run the engine until it has counted ``records``; its CPU by stage, in seconds."""
    sites = stream("sites")
    aggregator = sites.aggregator(Counting())
    timed(RunDecoder, "decode", "decode", inside="seal")
    timed(aggregator, "update", "aggregate", inside="seal")
    timed(aggregator, "summary", "summaries", inside="seal")
    timed(Partition, "seal", "seal")
    timed(RocksStore, "write", "store write")
    settings = EngineSettings({"bootstrap.servers": bootstrap}, state_dir, "bench", "bench-0", PARTITIONS)
    engine = Engine(sites.schema, aggregator, settings)
    running = asyncio.ensure_future(engine.run())
    while engine.counters.get("records", 0) < records:
        if running.done():
            await running
        await asyncio.sleep(LOOK_EVERY_S)
    total, threads = time.process_time(), threads_s()
    stages = {stage: ns / 1e9 for stage, ns in spent_ns.items()}
    engine.stop()
    await running
    in_loop = sum(stages.values())
    cpu_s = {
        "fetch (socket, protocol, runs)": threads.get("fetch", 0.0),
        "decode": stages["decode"],
        "aggregate": stages["aggregate"],
        "summaries": stages["summaries"] + max(stages["seal"], 0.0),
        "send (changelog, summaries: librdkafka)": threads.get("send", 0.0),
        "store (RocksDB)": stages["store write"] + threads.get("store", 0.0),
        "start, Faust, asyncio": total - in_loop - sum(threads.get(part, 0.0) for part in ("fetch", "send", "store")),
    }
    return {"events": records, "cpu_s": cpu_s, "threads_s": threads}


def main() -> None:
    """Measure against the broker and the state directory that the command line names."""
    bootstrap, state_dir, records = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(bootstrap, state_dir, records))
    sys.stdout.write(orjson.dumps(found).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads of Kafka clients are of no further interest


if __name__ == "__main__":
    main()
