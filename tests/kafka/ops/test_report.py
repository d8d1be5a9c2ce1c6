"""`report sites`: from the summary topic, and from the workers that own what no summary says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ops.ask import COVERED
from ops.pages.report import Errand, report
from ops.topics import ensure
from ops.worker.directory import Entry, publish
from schemas.sessions import SESSIONS
from schemas.wire import partition_of

from .conftest import PARTITIONS, Engine, Program


def test_the_newest_committed_summaries_are_reported(
    engine: Engine, streamgauge: Program, sites: dict[str, Any]
) -> None:
    """Sorted by site_id as a text; what was aborted, is still open or was removed is not there."""
    engine.commit("2", "10", "1", "9")
    engine.commit("1", messages=4)
    engine.abort("2", "3")
    engine.remove("9")
    other = Engine(sites)
    other.begin("10", messages=99)
    other.flush()
    ended = streamgauge("report", "sites")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "1,messages=4,emails=1,operators=2,visitors=3\n"
        "10,messages=1,emails=1,operators=2,visitors=3\n"
        "2,messages=1,emails=1,operators=2,visitors=3\n"
    )
    assert streamgauge("report", "sites", "--rank", "messages").out.splitlines()[0].startswith("1,messages=4")
    assert streamgauge("report", "sites", "1", "--coverage").out == "1,0.8\n"
    assert json.loads(streamgauge("report", "sites", "1", "--json").out) == [
        {"site_id": "1", "messages": 4, "emails": 1, "operators": 2, "visitors": 3}
    ]
    assert (
        streamgauge("report", "sites", "1", "--csv").out.splitlines()[0] == "site_id,messages,emails,operators,visitors"
    )


def test_a_site_that_has_no_summary_is_exit_1(engine: Engine, streamgauge: Program) -> None:
    """Those that have one are shown all the same."""
    engine.commit("1")
    ended = streamgauge("report", "sites", "1", "2")
    assert ended.code == 1
    assert ended.out.startswith("1,")
    assert ended.err == "streamgauge: no such site: 2\n"


def test_a_stream_without_summaries_reports_nothing(streamgauge: Program) -> None:
    """Not even its topics exist: they are not made by looking."""
    assert streamgauge("report", "sites") == (0, "", "")
    assert streamgauge("report", "sites", "--json").out == "[\n]\n"


@pytest.mark.usefixtures("sites")
def test_a_view_whose_owner_is_not_running_is_exit_1(streamgauge: Program) -> None:
    ended = streamgauge("report", "sites", "--by", "day")
    assert (ended.code, ended.out) == (1, "")
    assert "partition 0 of sites is served by no worker; start one: streamgauge worker sites" in ended.err


Answer = Callable[[dict[str, list[str]]], tuple[str, list[tuple[str, Any]]]]


@pytest.fixture
def worker(sites: dict[str, Any]) -> Iterator[Callable[..., str]]:
    """Enter a worker that owns some partitions into the directory; it answers as a test says."""
    servers: list[ThreadingHTTPServer] = []

    def enter(name: str, active: list[int], answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                covered, lines = answer(parse_qs(urlsplit(self.path).query))
                self.send_response(200)
                self.send_header(COVERED, covered)
                self.end_headers()
                for line in lines:
                    self.wfile.write(json.dumps(line).encode() + b"\n")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class has it so)
                """Say nothing on stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        http = f"127.0.0.1:{server.server_address[1]}"
        publish(sites, Entry(name, f"{name}-0", "sites", http, 1, "host", active=active))
        return http

    yield enter
    for server in servers:
        server.shutdown()
        server.server_close()


def summary(site: str) -> dict[str, Any]:
    return {"site_id": site, "messages": 1, "emails": 0, "operators": 1, "visitors": 1}


def test_a_moment_is_asked_of_every_owner(worker: Callable[..., str], streamgauge: Program) -> None:
    """A partition that moved meanwhile is answered by both: the one that the directory names counts, once."""
    asked: list[dict[str, list[str]]] = []
    keys = [str(number) for number in range(40)]

    def answer(query: dict[str, list[str]]) -> tuple[str, list[tuple[str, Any]]]:
        asked.append(query)
        return "0,1,2,3", [(key, summary(key)) for key in keys]

    worker("a", [0, 1], answer)
    worker("b", [2, 3], answer)
    ended = streamgauge("report", "sites", "--at", "7391")
    assert [line.split(",")[0] for line in ended.out.splitlines()] == sorted(keys)
    assert asked == [{"name": ["at"], "ts": ["7391"]}] * 2


def test_one_site_is_asked_of_its_owner_alone(worker: Callable[..., str], streamgauge: Program, engine: Engine) -> None:
    """And for this key alone: a walk over a million others would hold the worker up."""
    engine.commit("7")
    asked: list[str] = []

    def owner(name: str) -> Answer:
        def answer(query: dict[str, list[str]]) -> tuple[str, list[tuple[str, Any]]]:
            asked.append(name)
            return "0,1,2,3", [(key, [{"operator": "o", "from": 5, "to": None}]) for key in query["key"]]

        return answer

    mine = partition_of(b"7", PARTITIONS)
    worker("mine", [mine], owner("mine"))
    worker("others", [p for p in range(PARTITIONS) if p != mine], owner("others"))
    assert streamgauge("report", "sites", "7", "--operators").out == "7,o,5,\n"
    assert asked == ["mine"]


def test_an_answer_that_does_not_cover_its_partitions_is_refused(
    worker: Callable[..., str], streamgauge: Program
) -> None:
    """During a rebalance a worker may have lost what the directory still gives it: half an answer is none."""
    worker("a", [0, 1, 2, 3], lambda _query: ("0,1,2", [("1", summary("1"))]))
    ended = streamgauge("report", "sites", "--at", "5")
    assert (ended.code, ended.out) == (1, "")
    assert "partitions 3 of sites are moving to another worker; try again in a moment" in ended.err


def test_the_page_of_sessions_names_a_partition_without_an_owner(kafka: dict[str, Any]) -> None:
    """In one line and with what to do, never a report of the others alone."""
    ensure(kafka, SESSIONS, PARTITIONS)
    code, html = report(Errand(kafka, ["sessions"], 0.3, [("last", "12h")], "json", 20))
    reason = "partition 0 of sessions is served by no worker; start one: streamgauge worker sessions"
    assert (code, reason in html.decode()) == (1, True)
