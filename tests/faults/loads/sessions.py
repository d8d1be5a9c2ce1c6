"""Sessions that overlap and end, their records delayed and repeated, each within the grace, so that none is too late.

>>> load = make(seed=1, sessions=4)
>>> load.schema.name, load.records > 1000, len(load.answer)
('sessions', True, 4)

What arrives later than it happened by less than the grace is never refused, whatever has been folded meanwhile.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections import defaultdict
from fractions import Fraction
from typing import Any

from schemas.sessions import SESSIONS
from tests.faults.workload import Step, Workload, bad_values

Record = dict[str, Any]
FILE = "sessions.jsonl"
STATES = ("unknown", "start", "login", "sync", "running", "shutdown", "over")
BEGIN_MS = 1_636_000_000_000
GRACE_MS, IDLE_MS = 60_000, 120_000
APART_MS = 4_000
"""From the beginning of one session to that of the next."""
DELAY_MS = 50_000
WINDOW_MS = 5_000
THRESHOLD = 0.3


def make(seed: int, sessions: int, duplicates: float = 0.05, bad: float = 0.005) -> Workload:
    """Make so many sessions of some 270 records.

    Args:
        seed: the same one gives the same workload.
        sessions: how many.
        duplicates: the share of records that are sent once more.
        bad: the share, in records, of bad values beside them.
    """
    rng = random.Random(seed)
    made = [record for number in range(sessions) for record in _session(rng, number)]
    sent = made + [rng.choice(made) for _ in range(int(len(made) * duplicates))]
    sent.sort(key=lambda record: record["timestamp"] + rng.randrange(DELAY_MS))
    return Workload(
        schema=SESSIONS,
        steps=[Step(("replay", "sessions", FILE), len(sent))],
        files={FILE: b"".join(json.dumps(record).encode() + b"\n" for record in sent)},
        answer=answer_of(made),
        bad=bad_values(seed, int(len(made) * bad)),
        options=("--grace", f"{GRACE_MS}ms", "--idle", f"{IDLE_MS}ms", "--threshold", str(THRESHOLD)),
    )


def _session(rng: random.Random, number: int) -> list[Record]:
    """Two to six minutes of a client: longer than the grace, so that its windows are folded while it is alive."""
    name, now = f"s{rng.getrandbits(64):016x}", BEGIN_MS + number * APART_MS + rng.randrange(APART_MS)
    records: list[Record] = []
    for state in STATES[1:6]:
        said: Record = {"sessionID": name, "timestamp": now, "state": state}
        if state == "start":
            said["version"] = rng.choice(("604", "605", "700"))
        elif state == "login":
            said["userID"] = rng.choice(("Sally", "Bob", "Ann"))
        if rng.random() < 0.2:
            said["cpu"] = rng.randrange(1000) / 1000
        records.append(said)
        for _ in range(rng.randrange(30, 75)):
            records.append({"sessionID": name, "timestamp": now, "cpu": rng.randrange(1000) / 1000})
            now += rng.choice((500, 1000, 2000))
    if rng.random() < 0.7:  # the others end by being idle
        records.append({"sessionID": name, "timestamp": now, "state": "over"})
    return records


def answer_of(records: list[Record]) -> dict[str, dict[str, Any]]:
    """The right summary of each session, by the rules read literally: sort, look up, average."""
    by_session: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        by_session[record["sessionID"]][json.dumps(record, sort_keys=True)] = record
    return {name: _summary(name, list(of_session.values())) for name, of_session in by_session.items()}


def _summary(name: str, records: list[Record]) -> dict[str, Any]:
    # At one moment the state later in the table applies.
    changes = sorted((one["timestamp"], STATES.index(one["state"])) for one in records if "state" in one)
    moments = [moment for moment, _ in changes]
    by_state: dict[str, list[float]] = defaultdict(list)
    windows: dict[int, list[float]] = defaultdict(list)
    samples = [(one["timestamp"], one["cpu"]) for one in records if "cpu" in one]
    for moment, cpu in samples:
        at = bisect_right(moments, moment)
        by_state[STATES[changes[at - 1][1]] if at else STATES[0]].append(cpu)
        windows[moment // WINDOW_MS].append(cpu)
    return {
        "sessionID": name,
        "version": _latest(records, "version"),
        "user": _latest(records, "userID"),
        "start": min(one["timestamp"] for one in records),
        "end": max(one["timestamp"] for one in records),
        "samples": len(samples),
        "mean": _mean([cpu for _, cpu in samples]),
        "peak": max(map(_mean, windows.values())),
        "max": {state: max(cpus) for state, cpus in by_state.items()},
        "above": {state: sum(cpu > THRESHOLD for cpu in cpus) / len(cpus) for state, cpus in by_state.items()},
    }


def _latest(records: list[Record], field: str) -> str | None:
    said = [(one["timestamp"], one[field]) for one in records if field in one]
    return max(said)[1] if said else None


def _mean(values: list[float]) -> float:
    return float(sum(map(Fraction, values), Fraction()) / len(values))
