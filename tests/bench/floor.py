"""The floor: the plainest batch script for the same answer. No Kafka, nothing durable, all of it in memory.

    python -m tests.bench.floor events.jsonl      # {"events": …, "cpu_s": …, "peak_mb": …}

A worker does the same and keeps it through a crash. What it may cost is measured against this.
"""

from __future__ import annotations

import resource
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson


def lines_of(path: Path) -> tuple[int, list[str]]:
    """Count the events of a file; their number, and the report's lines."""
    ids: set[str] = set()
    messages: defaultdict[str, list[int]] = defaultdict(list)
    visitors: defaultdict[str, set[str]] = defaultdict(set)
    statuses: defaultdict[str, list[tuple[int, str, str, bool]]] = defaultdict(list)
    events = 0
    with path.open("rb") as file:
        for line in file:
            events += 1
            event: dict[str, Any] = orjson.loads(line)
            if event["id"] in ids:
                continue
            ids.add(event["id"])
            site = event["site_id"]
            if event["type"] == "message":
                messages[site].append(event["timestamp"])
                visitors[site].add(event["from"])
            else:
                online = event["data"]["status"] == "online"
                statuses[site].append((event["timestamp"], event["id"], event["from"], online))
    report: list[str] = []
    for site in sorted(messages.keys() | statuses.keys()):
        changes = sorted(statuses[site])
        moments: list[int] = []
        states: list[bool] = []
        on: set[str] = set()
        for moment, _, operator, online in changes:
            (on.add if online else on.discard)(operator)
            moments.append(moment)
            states.append(bool(on))
        sent = messages[site]
        chats = sum(1 for moment in sent if (at := bisect_right(moments, moment)) and states[at - 1])
        operators = len({operator for _, _, operator, _ in changes})
        report.append(
            f"{site},messages={chats},emails={len(sent) - chats},operators={operators},visitors={len(visitors[site])}"
        )
    return events, report


def main() -> None:
    """Count the file that the command line names."""
    path = Path(sys.argv[1])
    begin = time.process_time()
    events, report = lines_of(path)
    cpu_s = time.process_time() - begin
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text("\n".join(report) + "\n")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    sys.stdout.write(orjson.dumps({"events": events, "cpu_s": cpu_s, "peak_mb": peak_mb}).decode() + "\n")


if __name__ == "__main__":
    main()
