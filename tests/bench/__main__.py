"""Every figure of DESIGN.md that concerns speed and memory, as tables.

    make bench                                  # all of it: some minutes
    python -m tests.bench drain --events 500000
    python -m tests.bench split | hot | memory

CPU figures of a shared machine differ by a third between sittings: compare within one. Each run begins with an empty
broker; the report that readers see is compared with the batch script's answer, and a wrong one is an error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from tests.bench import inputs
from tests.bench.drain import Cost, Rig
from tests.cluster import ROOT

SITES = 20_000
HOT = 2_000_000
SMALL = 2_000
LARGE = 10_000_000


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Figures of the worker.")
    parser.add_argument("what", nargs="*", choices=["drain", "split", "hot", "memory", []], help="default: all of it")
    parser.add_argument("--events", type=int, default=2_000_000, help="of drain and split")
    options = parser.parse_args()
    benchmarks = {
        "drain": lambda: drain(options.events),
        "split": lambda: split(options.events),
        "hot": hot,
        "memory": memory,
    }
    for name in options.what or benchmarks:
        benchmarks[name]()


def drain(events: int) -> None:
    """A worker beside the batch script, on the same file."""
    with tempfile.TemporaryDirectory(prefix="streamgauge-bench-") as folder:
        path = inputs.many_sites(Path(folder), events, SITES)
        floor = run_floor(path, Path(folder) / "floor.txt")
        with Rig(Path(folder) / "rig").running() as rig:
            loading = rig.load(path)
            cost = rig.drain("bench")
            check(rig.report(), (Path(folder) / "floor.txt").read_text())
    print(f"\n### Draining {events:,} events of {SITES:,} sites, 4 partitions, shuffled over a week\n")
    print("| what | CPU s per million events | events per CPU-second | events/s | peak MB |\n|---|---|---|---|---|")
    row("batch script, nothing durable", floor)
    row("worker, exactly once", cost)
    row("worker, without its start", Cost(events, cost.cpu_s - cost.start_s, 0, cost.wall_s, cost.peak_mb))
    row("`replay` of the same file", loading)
    print(f"\nThe worker reaches {cost.events_per_cpu_s / floor.events_per_cpu_s:.2f} of the script's rate.")


def split(events: int) -> None:
    """Where the CPU of an engine goes."""
    with tempfile.TemporaryDirectory(prefix="streamgauge-bench-") as folder:
        path = inputs.many_sites(Path(folder), events, SITES)
        with Rig(Path(folder) / "rig").running() as rig:
            rig.load(path)
            found = run_module("tests.bench.split", rig.cluster.bootstrap, str(Path(folder) / "state"), str(events))
    total = sum(found["cpu_s"].values())
    print(f"\n### Where an engine's CPU goes, {events:,} events of {SITES:,} sites, 4 partitions\n")
    print("| stage | µs per event | share |\n|---|---|---|")
    for stage, seconds in found["cpu_s"].items():
        print(f"| {stage} | {seconds / events * 1e6:.2f} | {seconds / total:.0%} |")
    print(f"| all | {total / events * 1e6:.2f} | |")


def hot() -> None:
    """One site with millions of messages against many small ones: the cost law."""
    costs: list[Cost] = []
    for each in (HOT, SMALL):
        with tempfile.TemporaryDirectory(prefix="streamgauge-bench-") as folder:
            path = inputs.equal_sites(Path(folder), HOT, each)
            with Rig(Path(folder) / "rig").running() as rig:
                rig.load(path)
                costs.append(rig.drain("bench"))
    print(f"\n### A site of {HOT:,} events against sites of {SMALL:,}\n")
    print("| what | CPU s per million events | events per CPU-second | events/s | peak MB |\n|---|---|---|---|---|")
    row("one site", costs[0])
    row(f"{HOT // SMALL:,} sites", costs[1])
    print(
        f"\nAn event of the large site costs {costs[1].events_per_cpu_s / costs[0].events_per_cpu_s:.2f} times as much."
    )
    print(f"Large ÷ small, in events per CPU-second: {costs[0].events_per_cpu_s / costs[1].events_per_cpu_s:.2f}")


def memory() -> None:
    """Ten million events under the default budget."""
    with tempfile.TemporaryDirectory(prefix="streamgauge-bench-") as folder:
        path = inputs.many_sites(Path(folder), LARGE, SITES)
        with Rig(Path(folder) / "rig").running() as rig:
            rig.load(path)
            path.unlink()
            cost = rig.drain("bench")
    print(f"\n### {LARGE:,} events of {SITES:,} sites\n")
    print("| what | CPU s per million events | events per CPU-second | events/s | peak MB |\n|---|---|---|---|---|")
    row("worker", cost)


def row(what: str, cost: Cost) -> None:
    """One line of a table of costs."""
    cpu_us = cost.cpu_s / cost.events * 1e6
    rate = f"{cost.events / cost.wall_s:,.0f}" if cost.wall_s else ""
    print(f"| {what} | {cpu_us:.2f} | {cost.events_per_cpu_s:,.0f} | {rate} | {cost.peak_mb:,.0f} |")


def check(report: str, right: str) -> None:
    """Refuse to quote the speed of a wrong answer."""
    if report != right:
        wrong = [pair for pair in zip(report.splitlines(), right.splitlines(), strict=False) if pair[0] != pair[1]]
        sys.exit(f"the worker's report differs from the batch script's: {wrong[:3]}")


def run_floor(path: Path, report: Path) -> Cost:
    """The batch script, in a process of its own."""
    found = run_module("tests.bench.floor", str(path), str(report))
    return Cost(found["events"], found["cpu_s"], 0.0, 0.0, found["peak_mb"])


def run_module(module: str, *arguments: str) -> dict[str, Any]:
    """What ``python -m module`` prints as its last line."""
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return orjson.loads(ended.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
