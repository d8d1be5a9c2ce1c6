"""The two shapes of a log line."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from ops.worker.logs import HumanLines, JsonLines, Sparingly, WholeLines


def record(event: str, level: int = logging.INFO, name: str = "streamgauge.engine", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, event, (), None)
    made.__dict__.update(fields)
    made.created = 1.5
    return made


def test_a_json_line_holds_time_level_event_and_fields() -> None:
    """The event is constant text, what varies is in members of its own."""
    line = JsonLines({"stream": "sites"}).format(record("partition restored", partition=3, seconds=0.25))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "info",
        "event": "partition restored",
        "partition": 3,
        "seconds": 0.25,
        "stream": "sites",
    }


def test_a_json_line_stays_one_line_whatever_it_holds() -> None:
    """Line ends, quotes, other scripts and tracebacks are inside of the JSON."""
    bad = record("engine failed", logging.ERROR, reason='first "line"\nsecond\r ä')
    try:
        raise ValueError("two\nlines")
    except ValueError:
        bad.exc_info = sys.exc_info()
    line = JsonLines({}).format(bad)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["reason"] == 'first "line"\nsecond\r ä'
    assert "ValueError" in json.loads(line)["traceback"]


def test_a_line_of_a_library_names_it() -> None:
    """What others log can be told from what we do."""
    assert json.loads(JsonLines({}).format(record("oops", name="aiokafka.conn")))["logger"] == "aiokafka.conn"
    assert "warning: aiokafka.conn: oops" in HumanLines({}, color=False).format(
        record("oops", logging.WARNING, "aiokafka.conn")
    )


def test_a_line_for_people_says_what_happened_first() -> None:
    """The event, then the fields; texts with spaces are quoted."""
    waits = record("engine waits", reason="no broker", seconds=0.1234)
    line = HumanLines({"stream": "sites"}, color=False).format(waits)
    assert line[8:] == ' engine waits  reason="no broker" seconds=0.123 stream=sites'


def test_color_only_paints() -> None:
    """Without its escapes a painted line is the plain one."""
    plain = HumanLines({}, color=False).format(record("x", logging.ERROR, a=1))
    painted = HumanLines({}, color=True).format(record("x", logging.ERROR, a=1))
    for escape in ("\x1b[2m", "\x1b[31m", "\x1b[0m"):
        assert escape in painted
        painted = painted.replace(escape, "")
    assert painted == plain


def test_a_closed_stderr_costs_the_line_only() -> None:
    """A worker whose log reader went away goes on."""
    reader, writer = os.pipe()
    os.close(reader)
    WholeLines(writer).handle(record("x"))
    os.close(writer)


def test_libraries_are_let_through_sparingly() -> None:
    """One line in ten seconds for a library and all its parts; the next one says how many were left out."""
    now = [100.0]
    sparingly = Sparingly(10.0, lambda: now[0])
    lines = [record("x", logging.ERROR, f"aiokafka.part{n % 3}") for n in range(100)]
    assert [sparingly.filter(line) for line in lines] == [True, *[False] * 99]
    assert sparingly.filter(record("x", logging.ERROR, "faust"))
    now[0] = 110.0
    line = record("x", logging.ERROR, "aiokafka")
    assert sparingly.filter(line)
    assert json.loads(JsonLines({}).format(line))["left_out"] == 99


def test_our_own_lines_are_never_left_out() -> None:
    """And they are no complaint of a library."""
    sparingly = Sparingly(10.0, lambda: 5.0)
    assert all(sparingly.filter(record("x")) for _ in range(5))
    assert sparingly.complained is None
    sparingly.filter(record("x", name="aiokafka"))
    assert sparingly.complained == 5.0
