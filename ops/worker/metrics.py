"""A worker's figures as Prometheus text.

Names end in their unit; ``_total`` only rises (and begins at 0 when an engine process starts). Every engine has the
labels ``stream`` and ``instance``; a partition's figures have ``partition``, too.

>>> print(render({"worker": "a", "version": "1", "engines": [
...     {"stream": "sites", "instance": "a-0", "state": "ready", "restarts": 2, "counters": {"records": 7}}]}))
# HELP streamgauge_worker_info What this worker is; always 1.
# TYPE streamgauge_worker_info gauge
streamgauge_worker_info{worker="a",version="1"} 1
# HELP streamgauge_engine_ready Whether all partitions of the engine process are restored.
# TYPE streamgauge_engine_ready gauge
streamgauge_engine_ready{stream="sites",instance="a-0"} 1
# HELP streamgauge_engine_restarts_total How often the worker started the engine process again.
# TYPE streamgauge_engine_restarts_total counter
streamgauge_engine_restarts_total{stream="sites",instance="a-0"} 2
# HELP streamgauge_records_total Input records counted or dead-lettered.
# TYPE streamgauge_records_total counter
streamgauge_records_total{stream="sites",instance="a-0"} 7
<BLANKLINE>
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One metric.

    Args:
        name: without the program's prefix; ends in the unit.
        kind: ``counter`` or ``gauge``.
        help: what it says, one line.
        label: of a metric whose counters come by kind (``dead_letters:too late``), the label that holds the kind.
    """

    name: str
    kind: str
    help: str
    label: str = ""


COUNTERS: dict[str, Metric] = {
    "records": Metric("records_total", "counter", "Input records counted or dead-lettered."),
    "replayed": Metric("replayed_records_total", "counter", "Input records read again and not counted again."),
    "dead_letters": Metric("dead_letters_total", "counter", "Records that could not be counted, by reason.", "reason"),
    "epochs": Metric("epochs_total", "counter", "Epochs committed, each one transaction of one partition."),
    "summaries": Metric("summaries_total", "counter", "Summaries published."),
    "merged_partials": Metric("merged_partials_total", "counter", "Partials merged, where entities cut across keys."),
    "merged_summaries": Metric("merged_summaries_total", "counter", "Summaries published by merging."),
    "rows": Metric("changelog_rows_total", "counter", "Rows written to the changelog."),
    "row_bytes": Metric("changelog_bytes_total", "counter", "Bytes of rows written to the changelog."),
    "kept_bytes": Metric("rows_cache_bytes", "gauge", "Memory of decoded rows that are kept for the next touch."),
    "evictions": Metric("rows_cache_evictions_total", "counter", "Decoded rows dropped to stay within --memory."),
    "store_cache_bytes": Metric("store_cache_bytes", "gauge", "Memory of RocksDB's block cache and memtables."),
    "database_rows": Metric("database_rows_total", "counter", "Rows written to, or removed from, the database."),
    "database_refused": Metric("database_refused_rows_total", "counter", "Rows that the database cannot hold."),
    "database_away": Metric("database_away_seconds", "gauge", "How long the database has not answered; 0: it does."),
    "memory_bytes": Metric("resident_memory_bytes", "gauge", "Resident memory of the engine process."),
    "cpu_seconds": Metric("cpu_seconds_total", "counter", "CPU time of the engine process, user and system."),
}
"""Metrics by the engine's counter."""

MOST_KINDS = 50
"""A reason may hold what the record says; Prometheus keeps a series for each for ever."""

_INFO = Metric("worker_info", "gauge", "What this worker is; always 1.")
_READY = Metric("engine_ready", "gauge", "Whether all partitions of the engine process are restored.")
_RESTARTS = Metric("engine_restarts_total", "counter", "How often the worker started the engine process again.")
_LAG = Metric("partition_lag_records", "gauge", "Input records of the partition that are not counted yet.")
_STAMP = Metric("partition_stamp_offset", "gauge", "The next input offset to count.")
_RESTORED = Metric("partition_restored_ratio", "gauge", "How much of the partition's state is restored, 0 to 1.")
_STATE = Metric("partition_info", "gauge", "Role and state of the partition in this engine process; always 1.")


def render(worker: Mapping[str, Any]) -> str:
    """The figures of ``worker`` (the JSON of ``/status``) as text; a metric without a value is left out."""
    engines: list[dict[str, Any]] = worker["engines"]
    lines: list[str] = []
    _put(lines, _INFO, [({"worker": worker["worker"], "version": worker["version"]}, 1)])
    _put(lines, _READY, [(_labels(engine), int(engine["state"] == "ready")) for engine in engines])
    _put(lines, _RESTARTS, [(_labels(engine), engine["restarts"]) for engine in engines])
    for counter, metric in COUNTERS.items():
        _put(lines, metric, _counted(engines, counter, metric.label))
    partitions = list(_partitions(engines))
    _put(lines, _STATE, [(labels | {"role": p["role"], "state": p["state"]}, 1) for labels, p in partitions])
    _put(lines, _STAMP, [(labels, p["stamp"]) for labels, p in partitions])
    _put(lines, _LAG, [(labels, lag_of(p)) for labels, p in partitions])
    _put(lines, _RESTORED, [(labels, restored_of(p)) for labels, p in partitions])
    return "\n".join(lines) + "\n"


def lag_of(partition: Mapping[str, Any]) -> int | None:
    """Records of an active partition that are not counted yet; None where nothing is known."""
    stamp, end = partition.get("stamp"), partition.get("log_end")
    if partition.get("role") != "active" or stamp is None or end is None or end < 0:
        return None
    return max(0, end - max(stamp, 0))


def restored_of(partition: Mapping[str, Any]) -> float | None:
    """How much of the state is there, 0 to 1; None where nothing is known."""
    if partition.get("state") == "active":
        return 1.0
    at, end = partition.get("restored"), partition.get("restore_end")
    if at is None or end is None:
        return None
    return min(1.0, at / end) if end > 0 else 1.0


def _labels(engine: Mapping[str, Any]) -> dict[str, Any]:
    return {"stream": engine["stream"], "instance": engine["instance"]}


def _partitions(engines: Iterable[Mapping[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for engine in engines:
        for number, partition in cast("dict[str, dict[str, Any]]", engine.get("partitions", {})).items():
            yield _labels(engine) | {"partition": number}, partition


def _counted(engines: Iterable[Mapping[str, Any]], counter: str, label: str) -> Iterator[tuple[dict[str, Any], Any]]:
    for engine in engines:
        values = cast("dict[str, Any]", engine.get("counters", {}))
        if not label:
            if counter in values:
                yield _labels(engine), values[counter]
            continue
        kinds = {name.partition(":")[2]: n for name, n in values.items() if name.startswith(f"{counter}:")}
        largest = sorted(kinds, key=lambda kind: kinds[kind], reverse=True)
        for kind in largest[:MOST_KINDS]:
            yield _labels(engine) | {label: kind}, kinds[kind]
        if rest := largest[MOST_KINDS:]:
            yield _labels(engine) | {label: "other"}, sum(kinds[kind] for kind in rest)


def _put(lines: list[str], metric: Metric, values: Iterable[tuple[Mapping[str, Any], Any]]) -> None:
    known = [(labels, value) for labels, value in values if value is not None]
    if not known:
        return
    name = f"streamgauge_{metric.name}"
    lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
    for labels, value in known:
        inside = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
