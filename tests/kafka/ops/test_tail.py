"""`tail`: which summaries it shows, from where, and until when."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from ops.topics import ensure
from schemas.sites import SITES
from schemas.wire import partition_of
from tests.waiting import until

from .conftest import PARTITIONS, Engine, Program

Start = Callable[..., "subprocess.Popen[str]"]


def shown(lines: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Site and revision of each summary."""
    return [(line["site_id"], line["revision"]) for line in lines]


def test_only_committed_summaries_are_shown(engine: Engine, streamgauge: Program, sites: dict[str, Any]) -> None:
    """Sums: 3 committed, 2 aborted between them, 2 in a transaction that is open: 3 lines, as they were published."""
    engine.commit("1", "2")
    engine.abort("1", "3")
    engine.commit("2")
    other = Engine(sites)
    other.begin("1", "4")
    other.flush()
    ended = streamgauge("tail", "sites", "-o", "beginning", "-e")
    assert ended.code == 0
    assert sorted(shown(ended.lines)) == [("1", 1), ("2", 2), ("2", 5)]
    assert ended.lines[0].keys() == {"site_id", "messages", "emails", "operators", "visitors", "revision"}
    assert ended.err == ""
    other.commit()
    assert len(streamgauge("tail", "sites", "-o", "beginning", "-e").lines) == 5


def test_by_default_it_starts_at_the_end(engine: Engine, streamgauge: Program) -> None:
    engine.commit("1")
    assert streamgauge("tail", "sites", "-e").lines == []


def test_it_follows_until_enough_are_shown(engine: Engine, start: Start, sites: dict[str, Any]) -> None:
    """It starts at the end, so what is shown was published while it ran."""
    engine.commit("1", "2")
    tail = start(sites["bootstrap.servers"], "tail", "-c", "3")

    def publish() -> bool:
        engine.commit("3", "3")
        return tail.poll() is not None

    until(publish, "enough are shown")
    out, err = tail.communicate()
    assert (tail.returncode, err) == (0, "")
    assert [site for site, _ in shown([json.loads(line) for line in out.splitlines()])] == ["3", "3", "3"]


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_the_last_n_of_each_partition_are_exactly_n(count: int, engine: Engine, streamgauge: Program) -> None:
    """Markers and aborted records have offsets, too: end minus N would show fewer."""
    everything: dict[int, list[tuple[str, int]]] = {}
    for _ in range(12):
        engine.commit("1", "2", "3")
        for site, revision in (("1", engine.revision - 2), ("2", engine.revision - 1), ("3", engine.revision)):
            everything.setdefault(partition_of(site.encode(), PARTITIONS), []).append((site, revision))
        engine.abort(*["1", "2", "3"] * 10)
    ended = streamgauge("tail", "sites", "-o", f"-{count}", "-e")
    wanted = [summary for _, part in sorted(everything.items()) for summary in part[-count:] if count]
    assert shown(ended.lines) == wanted


def test_a_key_is_followed_alone(engine: Engine, streamgauge: Program) -> None:
    """Its last N are its own, however many others share its partition; a key may hold colons."""
    engine.commit("a:b")
    engine.commit(*(str(number) for number in range(100)))
    assert shown(streamgauge("tail", "sites:a:b", "-o", "-1", "-e").lines) == [("a:b", 1)]
    assert shown(streamgauge("tail", "sites:a:b", "-o", "beginning", "-e").lines) == [("a:b", 1)]
    assert streamgauge("tail", "sites:nobody", "-o", "beginning", "-e").lines == []


def test_stored_goes_on_behind_what_was_shown(engine: Engine, streamgauge: Program) -> None:
    """The first time nothing was seen, so all is shown; a key has a position of its own."""
    engine.commit("1", "1", "1")
    assert [r for _, r in shown(streamgauge("tail", "sites", "-o", "stored", "-c", "2").lines)] == [1, 2]
    assert [r for _, r in shown(streamgauge("tail", "sites", "-o", "stored", "-e").lines)] == [3]
    assert streamgauge("tail", "sites", "-o", "stored", "-e").lines == []
    engine.commit("1")
    assert [r for _, r in shown(streamgauge("tail", "sites", "-o", "stored", "-e").lines)] == [4]
    assert [r for _, r in shown(streamgauge("tail", "sites:1", "-o", "stored", "-e").lines)] == [1, 2, 3, 4]


def test_latest_shows_the_newest_of_each_key(engine: Engine, streamgauge: Program) -> None:
    """A removed entity is there with a count of 0, as it is everywhere in `tail`."""
    engine.commit("1", "2", "3")
    engine.commit("1")
    engine.remove("2")
    lines = streamgauge("tail", "sites", "--latest", "-e").lines
    assert {line["site_id"]: line.get("revision") for line in lines} == {"1": 4, "2": None, "3": 3}
    assert {"site_id": "2", "count": 0} in lines


def test_kcats_format_and_envelope(engine: Engine, streamgauge: Program) -> None:
    engine.commit("7")
    partition = partition_of(b"7", PARTITIONS)
    plain = streamgauge("tail", "sites", "-o", "beginning", "-e", "-f", r"%k@%p/%o %% %h|%s\n")
    assert plain.out.startswith(f"7@{partition}/0 % |{{")
    assert streamgauge("tail", "sites", "-o", "beginning", "-e", "-f", "%k").out == "7"
    (envelope,) = streamgauge("tail", "sites", "-o", "beginning", "-e", "-J").lines
    assert list(envelope) == ["topic", "partition", "offset", "ts", "key", "headers", "payload"]
    assert (envelope["topic"], envelope["partition"], envelope["key"]) == ("sites.summaries", partition, "7")
    assert json.loads(envelope["payload"])["site_id"] == "7"
    engine.remove("7")
    assert streamgauge("tail", "sites", "--latest", "-e", "-f", "%s").out == '{"site_id":"7","count":0}'
    (envelope,) = streamgauge("tail", "sites", "--latest", "-e", "-J").lines
    assert envelope["payload"] is None  # what the record is, as kcat tells it


def test_it_rides_out_a_broker_that_dies(fresh_broker: Callable[[], Any], start: Start) -> None:
    """What was shown before is not shown again, what comes after is."""
    broker = fresh_broker()
    ensure(broker.kafka, SITES, PARTITIONS)
    engine = Engine(broker.kafka)
    engine.commit("1")
    tail = start(broker.kafka["bootstrap.servers"], "tail", "sites", "-o", "beginning", "-c", "2")
    if tail.stdout is None:
        raise RuntimeError("no pipe")
    assert json.loads(tail.stdout.readline())["revision"] == 1
    broker.kill()
    broker.restart()
    again = Engine(broker.kafka)
    again.revision = 1
    again.commit("1")
    out, _ = tail.communicate(timeout=60)
    assert tail.returncode == 0
    assert json.loads(out)["revision"] == 2
