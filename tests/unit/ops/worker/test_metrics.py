"""The Prometheus text of a worker."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ops.worker.metrics import COUNTERS, lag_of, render, restored_of

LINE = re.compile(r'[a-z_]+\{([a-z_]+="(\\.|[^"\\])*",?)+\} -?[0-9.e+]+')


def worker(**counters: Any) -> dict[str, Any]:
    partition = {"role": "active", "state": "restoring", "stamp": 10, "log_end": 15, "restored": 4, "restore_end": 8}
    engine = {"stream": "sites", "instance": "a-0", "state": "ready", "restarts": 0, "counters": counters}
    return {"worker": "a", "version": "1", "engines": [{**engine, "partitions": {"3": partition}}]}


def test_every_line_is_of_the_format() -> None:
    """HELP and TYPE once before the values of a metric, then its values (exposition format 0.0.4)."""
    text = render(worker(records=7, epochs=2))
    seen: set[str] = set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in seen
            seen.add(name)
        elif not line.startswith("# TYPE "):
            assert LINE.fullmatch(line), line
            assert line.partition("{")[0] in seen


def test_dead_letters_come_by_reason() -> None:
    """A counter ``dead_letters:REASON`` becomes a label, escaped."""
    text = render(worker(**{"dead_letters:too late": 3, 'dead_letters:a "b" \\ \n': 1}))
    assert 'streamgauge_dead_letters_total{stream="sites",instance="a-0",reason="too late"} 3\n' in text
    assert 'reason="a \\"b\\" \\\\ \\n"} 1\n' in text


def test_lag_and_restore_progress_come_by_partition() -> None:
    """Lag is the log's end minus the stamp; progress a share of one."""
    text = render(worker())
    assert 'streamgauge_partition_lag_records{stream="sites",instance="a-0",partition="3"} 5\n' in text
    assert 'streamgauge_partition_restored_ratio{stream="sites",instance="a-0",partition="3"} 0.5\n' in text


def test_a_metric_that_nobody_knows_is_left_out() -> None:
    """No made-up zero."""
    assert "streamgauge_epochs_total" not in render(worker(records=1))


@pytest.mark.parametrize("metric", COUNTERS.values(), ids=COUNTERS)
def test_names_end_in_their_unit(metric: Any) -> None:
    """Counters end in ``_total``, gauges in a unit."""
    assert metric.name.endswith("_total" if metric.kind == "counter" else ("_bytes", "_ratio", "_seconds"))


@pytest.mark.parametrize(
    ("partition", "lag"),
    [
        ({"role": "active", "stamp": 10, "log_end": 15}, 5),
        ({"role": "active", "stamp": 15, "log_end": 15}, 0),
        ({"role": "active", "stamp": 15, "log_end": 14}, 0),  # the end was read a moment before
        ({"role": "active", "stamp": None, "log_end": 15}, None),
        ({"role": "standby", "stamp": 10, "log_end": 15}, None),
    ],
)
def test_lag_is_never_negative_and_known_of_active_partitions_only(partition: dict[str, Any], lag: int | None) -> None:
    """A standby has no lag of input."""
    assert lag_of(partition) == lag


def test_an_empty_changelog_is_restored() -> None:
    """Nothing to restore is all of it."""
    assert restored_of({"restored": 0, "restore_end": 0}) == 1.0
    assert restored_of({}) is None
    assert restored_of({"state": "active"}) == 1.0
