"""Ten million records of ten million keys in the default budget, and a kill -9 of the state that they leave.

    for table in millions(Bench(Path("/tmp/bench"), events=20_000)):    # five times as many records
        print(table.markdown())

No two records have anything in common that a batch could share, so this is what a record costs at the most. Nobody
wants to hold ten million reports in memory to compare them: each site has one event, so its summary must say so, and
each site must have exactly one that does.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from schemas.sites import SITES
from tests.bench.cases import Bench
from tests.bench.figures import Cell, Table
from tests.bench.recovery import TRICKLE_RATE, TRICKLE_S, recovered
from tests.bench.rig import Rig, WrongAnswer, size_of

TIMES = 5
AT_ONCE = 10_000
SILENCE_S = 10.0


def millions(bench: Bench) -> list[Table]:
    """Ten million keys: CPU a record, memory, disk; then kills, and a restore of all of them."""
    keys = TIMES * bench.events
    path = bench.inputs.all_sites(keys, keys)
    trickle = bench.inputs.equal_sites(TRICKLE_RATE * TRICKLE_S, TRICKLE_S)
    with bench.rig().running() as rig:
        rig.load(path)
        drained = rig.drain()
        check(rig, path, keys)
        disk_mb = size_of(rig.folder / "data", "*.sst") / 1e6
        cost, counters = drained.cost, drained.counters
        rows: list[tuple[Cell, ...]] = [
            ("CPU µs a record", cost.us_per_event),
            ("records/s", cost.events / cost.wall_s),
            ("resident MB, at the highest", cost.peak_mb),
            ("changelog rows a record", counters["rows"] / cost.events),
            ("changelog, bytes in the broker a record", drained.changelog_bytes / cost.events),
            ("state, bytes of rows a record", drained.state_bytes / cost.events),
            ("state, MB on the disk", disk_mb),
            ("epochs", counters["epochs"]),
        ]
        note = "With `--memory 1GiB`, the default, from the worker's start. Each site has the summary of its event."
        title = f"{cost.events:,} records of as many keys, {rig.partitions} partitions"
        tables = [Table(title, ("what", ""), rows, [note])]
        tables.append(recovered(rig, trickle, f"{keys:,} sites of one event", counters["row_bytes"]))
    return tables


def check(rig: Rig, path: Path, keys: int) -> None:
    """Compare every summary with the one event of its site.

    Raises:
        WrongAnswer: a site has no summary, a wrong one, or different ones.
    """
    statuses, told = bytearray(keys), bytearray(keys)
    with path.open("rb") as file:
        for line in file:
            event = orjson.loads(line)
            statuses[int(event["site_id"])] = event["type"] == "status"
    consumer = Consumer({**rig.kafka, "group.id": "tests-bench", "isolation.level": "read_committed", "log_level": 0})
    topic = SITES.topics.summaries
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(rig.partitions)])
    try:
        while messages := consumer.consume(AT_ONCE, SILENCE_S):
            for message in messages:
                summary = orjson.loads(message.value() or b"{}")
                site = int(summary["site_id"])
                chats = summary["messages"] + summary["emails"]
                right = (0, 1, 0) if statuses[site] else (1, 0, 1)
                if (chats, summary["operators"], summary["visitors"]) != right:
                    raise WrongAnswer(f"site {site} has {summary}")
                told[site] += 1
    finally:
        consumer.close()
    if told.count(1) != keys:
        raise WrongAnswer(f"of {keys} sites {told.count(1)} have one summary, {told.count(0)} have none")
