"""Both stages of `renders`, in memory: counting in partitions, merging their shares, crashes anywhere in between."""

from __future__ import annotations

import random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.aggregator import Counting
from aggregators.renders import Renders
from processors.driver import STEPS, Driver
from schemas.partial import partials_of
from schemas.renders import RENDERS, Render, cell_of
from schemas.wire import partition_of
from sinks.merge import Merge
from tests.unit.aggregators import naive_renders as naive

PARTITIONS = 2
RECORDS = st.lists(
    st.builds(
        Render,
        uid=st.sampled_from("abcdefg"), app=st.sampled_from("xy"), renderer=st.just("r"), frames=st.just(1),
        success=st.booleans(), day=st.sampled_from(["2024-01-01", "2024-01-02", "2024-01-03"]), line=st.integers(1, 3),
        elapsed_time=st.integers(0, 5), maxram=st.sampled_from([0.1, 0.2, 0.3]), maxcpu=st.floats(0, 100),
    ),
    max_size=25,
)  # fmt: skip


@given(RECORDS, st.randoms(use_true_random=False), st.lists(st.sampled_from((*STEPS, "epoch")), max_size=6))
@settings(max_examples=60, deadline=None)
def test_crashes_of_either_stage_and_partials_out_of_order_leave_every_cell_exact(
    records: list[Render], shuffle: random.Random, steps: list[str]
) -> None:
    """Stale partials, partials again, partials before older ones: what is published last is the reference's."""
    counting = [Driver(RENDERS, Renders(Counting()), partition=n, partitions=PARTITIONS) for n in range(PARTITIONS)]
    for record in records:
        value = orjson.dumps({name: getattr(record, name) for name in record.__struct_fields__})
        counting[partition_of(record.uid.encode(), PARTITIONS)].send(value)
    for step in [*steps, "epoch"]:
        for driver in counting:
            driver.read(shuffle.randint(1, 6) if step != "epoch" else 100)
            driver.crash(step) if step in STEPS else driver.end_epoch()
    for driver in counting:
        driver.read()
        driver.end_epoch()
    partials = [output.value for driver in counting for output in driver.log.outputs if output.value is not None]
    partials += shuffle.sample(partials, len(partials) // 2)
    shuffle.shuffle(partials)
    merging = Driver(partials_of(RENDERS), Merge(Renders(Counting())))
    merging.send(*partials)
    for step in steps:
        merging.read(shuffle.randint(1, 6))
        merging.crash(step) if step in STEPS else merging.end_epoch()
    merging.read()
    merging.end_epoch()
    expected: dict[str, Any] = {cell_of(*where): figures for where, figures in naive.cells(records).items()}
    assert merging.newest.keys() == expected.keys()
    for entity, summary in merging.newest.items():
        assert summary["count"] == expected[entity]["count"]
        for name in naive.MEASURES:
            assert {key: summary[name][key] for key in expected[entity][name]} == expected[entity][name]
    assert not merging.dead_letters
