"""The plainest batch scripts for the answers of the streams: a file, csv or orjson, dicts. Nothing durable.

    python -m tests.bench.streams.scripts renders answer.json renders_2024-03-01.csv …
    {"events": …, "cpu_s": …, "peak_mb": …}

What a worker costs is measured against these; and what it publishes is compared with what they find: a line of JSON
for each entity, ``["summaries" or "rows", key, fields]``.
"""

from __future__ import annotations

import csv
import math
import resource
import sys
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

Found = dict[str, dict[str, Any]]
PERCENTS = (50, 95, 99)
STATES = ("unknown", "start", "login", "sync", "running", "shutdown", "over")
WINDOW_MS = 5_000
THRESHOLD = 0.3


class Answer(NamedTuple):
    """What a script finds.

    Args:
        events: records read.
        summaries: fields by entity.
        rows: of what is published beside the summaries.
    """

    events: int
    summaries: Found
    rows: Found


def renders(paths: list[Path]) -> Answer:
    """Each uid once, by cell: counts, means, extremes, quantiles."""
    events = 0
    seen: set[str] = set()
    cells: defaultdict[tuple[str, str, str, str], list[tuple[str, list[str]]]] = defaultdict(list)
    for path in sorted(paths):  # days in their order, so the first one seen is the first one there is
        day = path.name[8:18]
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                events += 1
                uid = row[0]
                if uid not in seen:
                    seen.add(uid)
                    cells[day, row[1], row[2], row[4]].append((uid, row[5:]))
    summaries: Found = {}
    for key, rows in cells.items():
        cell: dict[str, Any] = {"count": len(rows)}
        summaries[",".join(key)] = cell
        for place, name in enumerate(("elapsed_time", "maxram", "maxcpu")):
            number = float if place else int
            having = [(number(fields[place]), uid) for uid, fields in rows if fields[place]]
            values = sorted(value for value, _ in having)
            if values:
                best = max(having, key=lambda pair: pair[0])  # the first of equals
                cell[name] = {
                    "n": len(values),
                    "mean": math.fsum(values) / len(values),
                    "min": values[0],
                    "max": best[0],
                    "uid": best[1],
                    "quantiles": [values[max(1, -(-percent * len(values) // 100)) - 1] for percent in PERCENTS],
                }
    return Answer(events, summaries, {})


def sessions(paths: list[Path]) -> Answer:
    """Each record once, by session: states sorted, samples looked up in them and averaged by window."""
    events = 0
    by_session: defaultdict[str, dict[bytes, dict[str, Any]]] = defaultdict(dict)
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                events += 1
                record = orjson.loads(line)
                by_session[record["sessionID"]][line] = record
    return Answer(events, {name: _session(list(found.values())) for name, found in by_session.items()}, {})


def _session(records: list[dict[str, Any]]) -> dict[str, Any]:
    changes = sorted((record["timestamp"], STATES.index(record["state"])) for record in records if "state" in record)
    moments = [moment for moment, _ in changes]
    states: defaultdict[str, list[float]] = defaultdict(list)
    windows: defaultdict[int, list[float]] = defaultdict(list)
    versions: list[tuple[int, str]] = []
    users: list[tuple[int, str]] = []
    samples: list[float] = []
    times: list[int] = []
    for record in records:
        moment = record["timestamp"]
        times.append(moment)
        if "cpu" in record:
            cpu = record["cpu"]
            at = bisect_right(moments, moment)
            states[STATES[changes[at - 1][1]] if at else STATES[0]].append(cpu)
            windows[moment // WINDOW_MS].append(cpu)
            samples.append(cpu)
        if "version" in record:
            versions.append((moment, record["version"]))
        if "userID" in record:
            users.append((moment, record["userID"]))
    return {
        "version": max(versions)[1] if versions else None,
        "user": max(users)[1] if users else None,
        "start": min(times),
        "end": max(times),
        "samples": len(samples),
        "mean": math.fsum(samples) / len(samples) if samples else None,
        "peak": max((math.fsum(of_window) / len(of_window) for of_window in windows.values()), default=None),
        "max": {state: max(cpus) for state, cpus in states.items()},
        "above": {state: sum(cpu > THRESHOLD for cpu in cpus) / len(cpus) for state, cpus in states.items()},
    }


def products(paths: list[Path]) -> Answer:
    """The first row of each pair, and pairs by name."""
    events = 0
    pairs: dict[tuple[str, str], str] = {}
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            next(reader)
            for name, sku, description in reader:
                events += 1
                pairs.setdefault((sku, name), description)
    counts = Counter(name for _, name in pairs)
    rows = {f"{sku}\0{name}": {"sku": sku, "name": name, "description": text} for (sku, name), text in pairs.items()}
    return Answer(events, {name: {"count": count} for name, count in counts.items()}, rows)


def items(paths: list[Path]) -> Answer:
    """Each id once, by food and by category."""
    events = 0
    seen: set[int] = set()
    foods: Counter[int] = Counter()
    categories: Counter[int] = Counter()
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                events += 1
                item = orjson.loads(line)
                if item["id"] not in seen:
                    seen.add(item["id"])
                    foods[item["food_id"]] += 1
                    categories[item["food__category_id"] if "food__category_id" in item else item["category_id"]] += 1
    summaries = {f"food:{number}": {"count": count} for number, count in foods.items()}
    return Answer(events, summaries | {f"category:{number}": {"count": n} for number, n in categories.items()}, {})


SCRIPTS: dict[str, Callable[[list[Path]], Answer]] = {
    "renders": renders,
    "sessions": sessions,
    "products": products,
    "items": items,
}


def main() -> None:
    """Count the files that the command line names, and write what was found."""
    stream, target, *paths = sys.argv[1:]
    begin = time.process_time()
    answer = SCRIPTS[stream]([Path(path) for path in paths])
    cpu_s = time.process_time() - begin
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    with Path(target).open("wb") as file:
        for what, found in (("summaries", answer.summaries), ("rows", answer.rows)):
            file.writelines(orjson.dumps((what, key, one)) + b"\n" for key, one in found.items())
    sys.stdout.write(orjson.dumps({"events": answer.events, "cpu_s": cpu_s, "peak_mb": peak_mb}).decode() + "\n")


if __name__ == "__main__":
    main()
