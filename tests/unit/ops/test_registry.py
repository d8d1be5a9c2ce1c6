"""A sixth stream comes from a package of its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from aggregators.aggregator import Counting
from ops import registry
from ops.registry import Stream
from schemas.errors import StreamgaugeError, UsageError
from schemas.schema import Schema
from schemas.sites import SITES

from .conftest import Program


def downloads() -> Stream:
    schema: Schema[Any] = Schema("downloads", SITES.record, SITES.summary, SITES.key, SITES.entity)
    return Stream(schema, registry.stream("sites").aggregator, None)


DOWNLOADS = downloads()
NOT_A_STREAM = "downloads"


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a package that is installed name streams by its entry points."""

    def forget() -> None:
        registry.stream.cache_clear()
        registry._plug_ins.cache_clear()  # pyright: ignore[reportPrivateUsage]

    forget()
    yield monkeypatch
    forget()


def installed(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [EntryPoint(name, value, group)])


def test_a_plug_in_adds_a_stream(plug_in: pytest.MonkeyPatch, streamgauge: Program) -> None:
    """It is known by name to every command, and `topics` knows its topics."""
    built_in = registry.names()
    registry._plug_ins.cache_clear()  # pyright: ignore[reportPrivateUsage]
    installed(plug_in, "downloads", f"{__name__}:DOWNLOADS")
    assert registry.names() == (*built_in, "downloads")
    assert registry.stream("downloads").name == "downloads"
    assert list(registry.streams(["sites", "downloads", "sites"])) == ["sites", "downloads"]
    assert "there is no" not in streamgauge("schema", "downloads").err


def test_a_plug_in_without_a_report_is_told_apart_from_a_wrong_word(
    plug_in: pytest.MonkeyPatch, streamgauge: Program
) -> None:
    """The help of `report` lists those that have one."""
    installed(plug_in, "downloads", f"{__name__}:DOWNLOADS")
    wrong = streamgauge("report", "downloads")
    assert "downloads has no report; its summaries are shown by: streamgauge tail downloads" in wrong.err
    assert "downloads" not in streamgauge("report", "--help").out


def test_a_built_in_stream_is_not_replaced(plug_in: pytest.MonkeyPatch) -> None:
    installed(plug_in, "sites", f"{__name__}:DOWNLOADS")
    assert registry.stream("sites").schema is SITES


@pytest.mark.parametrize("value", ["no_such_module:X", f"{__name__}:NOT_A_STREAM", f"{__name__}:DOWNLOADS"])
def test_a_broken_plug_in_is_named(value: str, plug_in: pytest.MonkeyPatch) -> None:
    """The last one is a stream, but of another name."""
    installed(plug_in, "broken", value)
    with pytest.raises(StreamgaugeError, match=f"the plug-in {value} of an unknown package"):
        registry.stream("broken")


def test_an_unknown_stream_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="no such stream 'site'; did you mean 'sites'"):
        registry.stream("site")


def test_a_streams_aggregator_is_made_for_what_was_set() -> None:
    aggregator = registry.stream("sites").aggregator(Counting(retention_ms=1000))
    assert aggregator.version >= 1
