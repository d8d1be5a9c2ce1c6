"""A backlog of each stream but `sites`: beside the batch script, what it writes, and where its CPU goes.

    for table in renders(Bench(Path("/tmp/bench"))):
        print(table.markdown())

As with `sites`, each begins with an empty broker, and there are no figures unless what readers see is what the batch
script found.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from aggregators.sketch import RELATIVE_ERROR, quantile
from ops.kafka import client_logger, connect
from ops.registry import stream as stream_named
from producers.simulate import Scenario, simulate
from producers.simulate.api import served
from producers.simulate.items import Synthetic
from sinks.committed import CommittedReader, committed_spans
from tests.bench.cases import COST, Bench, row, split_table
from tests.bench.figures import Cell, Table
from tests.bench.measure import Cost, module
from tests.bench.rig import Drained, Rig, Written, WrongAnswer
from tests.bench.split import FETCH, OPEN
from tests.bench.streams.entries import costs_of, floor_of, steps_of
from tests.bench.streams.scripts import PERCENTS

ROUNDED = 1e-15
"""The script rounds the sum before it divides; a worker rounds once."""
NIGHTS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04", "2024-03-05")


@dataclass(frozen=True)
class Job:
    """The input of a stream.

    Args:
        stream: its name.
        what: in words.
        files: scenarios of the simulation, by name of the file.
        polled: whether the producer reads the API instead.
    """

    stream: str
    what: str
    files: dict[str, Scenario]
    polled: bool = False

    @property
    def events(self) -> int:
        """Records in all."""
        return sum(scenario.events for scenario in self.files.values())

    def paths(self, folder: Path) -> list[Path]:
        """The files, made where they are not there yet."""
        folder = folder / f"{self.stream}-{self.events}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, scenario in self.files.items():
            unfinished = folder / f"{name}.part"
            if not (folder / name).exists():
                with unfinished.open("wb") as file:
                    file.writelines(simulate(self.stream, scenario))
                unfinished.rename(folder / name)
        return [folder / name for name in self.files]


def renders(bench: Bench) -> list[Table]:
    """Five nights of a render farm, the last one first."""
    each = bench.events // 10
    nights = {
        f"renders_{day}.csv": Scenario(events=each, keys=each, seed=seed, duplicates=0.01)
        for seed, day in reversed(list(enumerate(NIGHTS)))
    }
    return _tables(bench, Job("renders", "five nights, the last one first, 20 cells each", nights))


def sessions(bench: Bench) -> list[Table]:
    """Sessions that overlap, each record up to 30 s late, one in a hundred sent twice."""
    events = bench.events // 2
    scenario = Scenario(events=events, keys=max(1, events // 200), disorder_s=30, duplicates=0.01)
    what = f"{scenario.keys:,} sessions, up to 30 s out of order"
    return _tables(bench, Job("sessions", what, {"sessions.jsonl": scenario}))


def products(bench: Bench) -> list[Table]:
    """A catalogue of the everyday size, inserted."""
    rows = bench.events // 4
    scenario = Scenario(events=rows, keys=max(1, rows * 466_693 // 500_000), duplicates=0.000012)
    return _tables(bench, Job("products", "a file of the shape of the real one, inserted", {"products.csv": scenario}))


def items(bench: Bench) -> list[Table]:
    """Items of an API, in order of their ids, few foods eaten often."""
    events = bench.events // 4
    scenario = Scenario(events=events, keys=min(20_000, events))
    return _tables(bench, Job("items", f"{scenario.keys:,} foods, 146 categories", {"items.jsonl": scenario}, True))


CASES: dict[str, Callable[[Bench], list[Table]]] = {
    "renders": renders,
    "sessions": sessions,
    "products": products,
    "items": items,
}
WITH_FLOOR = {"products", "items"}
"""Where one record makes several durable entries, so that a batch script is no measure."""


def _tables(bench: Bench, job: Job) -> list[Table]:
    schema = stream_named(job.stream).schema
    paths = job.paths(bench.inputs.folder)
    answer = bench.folder / f"{job.stream}.json"
    before = _script(job, paths, answer)
    bench.rigs += 1
    with Rig(bench.folder / f"rig-{bench.rigs}", schema=schema).running() as rig:
        _, start_s = rig.start_idle()
        rig.stop()
        rig.forget()
        loading = _load(rig, job, paths)
        drained = rig.drain()
        after = _script(job, paths, answer)
        check(rig, answer)
        counting = replace(drained.cost, cpu_s=drained.cost.cpu_s - start_s)
        written = {topic: rig.written(topic) for topic in steps_of(schema)}
        input_bytes = sum(path.stat().st_size for path in paths)
        tables = [_written(job, drained, written, input_bytes)]
        costs = costs_of(schema, rig.cluster.bootstrap) if job.stream in WITH_FLOOR else []
        rig.uncount()
        arguments = rig.cluster.bootstrap, str(rig.folder / "split"), str(drained.cost.events), job.stream
        split: dict[str, float] = module("tests.bench.split", *arguments)["cpu_s"]
    if costs:
        entries = {topic: one.entries for topic, one in written.items()}
        tables.append(floor_of(schema, costs, entries, counting, split[FETCH] + split[OPEN]))
    return [
        _beside(job, before, after, loading, drained.cost, counting),
        *tables,
        split_table(split, drained.cost.events, job.stream),
    ]


def _script(job: Job, paths: list[Path], answer: Path) -> Cost:
    """Run the batch script."""
    begin = time.monotonic()
    found = module("tests.bench.streams.scripts", job.stream, str(answer), *map(str, paths))
    return Cost(found["events"], found["cpu_s"], time.monotonic() - begin, found["peak_mb"])


def _load(rig: Rig, job: Job, paths: list[Path]) -> Cost:
    """Fill the input topic."""
    if not job.polled:
        return rig.load(*paths)
    (scenario,) = job.files.values()
    with served(Synthetic(scenario)) as url:
        return rig.send("poll", job.stream, "--url", url, "--rate", "1000000")


def _beside(job: Job, before: Cost, after: Cost, loading: Cost, drained: Cost, counting: Cost) -> Table:
    script = (before.events_per_cpu_s + after.events_per_cpu_s) / 2
    rows = [
        row("batch script, before", before),
        row("batch script, after", after),
        row("worker, from its start", drained),
        row("worker, without its start", counting),
        row(f"`{'poll' if job.polled else 'replay'}`", loading),
    ]
    note = (
        f"The worker (durable, exactly once) reaches {drained.events_per_cpu_s / script:.2f} of the batch script's "
        f"records per CPU-second; {counting.events_per_cpu_s / script:.2f} without its start. All that it publishes is "
        "what the script found."
    )
    return Table(f"{job.stream}: {drained.events:,} records, {job.what}", COST, rows, [note])


def _written(job: Job, drained: Drained, written: Mapping[str, Written], input_bytes: int) -> Table:
    events = drained.cost.events
    rows: list[tuple[Cell, ...]] = [
        (topic, one.entries / events, one.nbytes / events, one.nbytes / input_bytes) for topic, one in written.items()
    ]
    epochs = drained.counters["epochs"]
    note = (
        f"The files have {input_bytes / events:.0f} bytes a record; changelogs take "
        f"{drained.changelog_bytes / input_bytes:.2f} bytes an input byte. State at the end: "
        f"{drained.state_bytes / events:.0f} bytes of rows a record. {epochs:,} epochs of counting."
    )
    columns = ("topic", "entries a record", "bytes in the broker a record", "÷ bytes of the files")
    return Table(f"What {job.stream} wrote meanwhile", columns, rows, [note])


def check(rig: Rig, answer: Path) -> None:
    """Compare what is published with what the script found.

    Raises:
        WrongAnswer: they differ.
    """
    topics = rig.schema.topics
    seen = {"summaries": newest(rig, topics.summaries), "rows": newest(rig, topics.rows) if topics.rows else {}}
    wrong: list[str] = []
    with answer.open("rb") as lines:
        for line in lines:
            what, key, right = orjson.loads(line)
            value = seen[what].pop(key.encode(), b"{}")
            if not _same(right, orjson.loads(value)):
                wrong.append(f"{what}: {key}: {value.decode()}, not {right}")
    wrong += [f"{what}: {key.decode()}, of which there is nothing" for what, left in seen.items() for key in left]
    if wrong:
        raise WrongAnswer(f"{len(wrong)} are wrong, such as {wrong[0]}")


def newest(rig: Rig, topic: str) -> dict[bytes, bytes]:
    """The newest values of a topic by key, as they were sent: of ten millions, decoded ones would not fit."""
    admin = connect(rig.kafka)
    spans = committed_spans(admin, {topic: rig.partitions})
    values: dict[bytes, bytes] = {}
    with CommittedReader(rig.kafka, client_logger()) as reader:
        for messages in reader.read({place: span.start for place, span in spans.items()}, spans):
            for message in messages:
                key, value = message.key() or b"", message.value()
                if value is None:
                    values.pop(key, None)
                else:
                    values[key] = value
    return values


def _same(right: Any, seen: Any) -> bool:
    """Whether all that the script says is published: floats as exactly as the script can tell."""
    if isinstance(right, dict):
        fields: dict[str, Any] = right
        return all(
            _quantiles_fit(value, seen) if name == "quantiles" else _same(value, seen.get(name))
            for name, value in fields.items()
        )
    if isinstance(right, float) and isinstance(seen, float):
        return math.isclose(right, seen, rel_tol=ROUNDED)
    return right == seen


def _quantiles_fit(right: list[float], measure: dict[str, Any]) -> bool:
    flat: list[int] = measure["bins"]
    bins = dict(zip(flat[::2], flat[1::2], strict=True))
    return all(
        math.isclose(value, quantile(bins, percent), rel_tol=RELATIVE_ERROR)
        for percent, value in zip(PERCENTS, right, strict=True)
    )
