"""The pages of a worker: of sessions that it has counted, on a real broker; and of a report that fails, without one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil
import pytest

from ops.pages.report import FAULT, Errand
from ops.samples import sample_of
from ops.topics import ensure
from ops.worker.order import Order
from ops.worker.parent import Plan
from ops.worker.reporting import COMMAND, Reporting
from schemas.sessions import SESSIONS
from tests.reading import Seen
from tests.running import Running
from tests.waiting import until

SAMPLE = sample_of("sessions")
FILE = SAMPLE.paths[0] if SAMPLE else Path()
SHARES = ("share_of_parent", "share_of_all", "baseline")


@pytest.fixture(scope="module")
def client(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A worker that has counted the simulated sessions."""
    clean(broker)
    ensure(broker, SESSIONS, partitions=3)
    worker = Running(tmp_path_factory.mktemp("pages"), broker["bootstrap.servers"], "sessions", "--processes", "2")
    with worker.serving() as client:
        client.prints("replay", "sessions", FILE, "--wait")
        yield client


def page(client: Running, path: str, status: int = 200) -> tuple[Seen, str]:
    code, html = client.get(path)
    assert code == status, html
    return Seen(html), html


def tree(client: Running, *words: str) -> dict[str, Any]:
    return json.loads(client.prints("report", "sessions", "--json", "--histograms", *words))


def shares(report: dict[str, Any]) -> list[float]:
    return [value[name] for level in report["levels"] for value in level["values"] for name in SHARES]


def test_the_page_says_version_700_at_login_with_the_shares_of_the_report(client: Running) -> None:
    """The known answer; the same numbers, to the last digit, and the same sentences."""
    seen, html = page(client, "/sessions")
    report = tree(client)
    assert seen.values == shares(report)
    assert seen.titles[1:4] == ["1 · version", "2 · state", "3 · user"]
    assert [table[1][0] for table in seen.tables[:2]] == ["700", "login"]
    assert all(line in html for line in client.prints("report", "sessions").splitlines())
    assert seen.attributes("svg", "aria-label") == [one["title"] for one in report["histograms"]]
    totals = [sum(sum(series["bins"]) for series in one["series"]) for one in report["histograms"]]
    assert totals == [10, 10, 5, 5, 45]


def test_links_choose_other_dimensions_and_the_form_an_interval(client: Running) -> None:
    """As `--dimension`, `--last` and `--threshold` do."""
    seen, _ = page(client, "/sessions?threshold=0.4")
    seen, _ = page(client, seen.link("user"))
    report = tree(client, "--dimension", "user", "--threshold", "0.4")
    assert (seen.titles[1], seen.values) == ("1 · user", shares(report))
    seen, _ = page(client, seen.link("what separates best"))
    assert seen.titles[1] == "1 · version"
    asked = {"last": "2s", "from": "", "to": "", "threshold": "", "version": "604", "state": "running"}
    seen, html = page(client, f"/sessions?{urlencode(asked)}")
    assert seen.values == shares(tree(client, "--last", "2s"))
    assert "over the last 2 seconds" in html
    assert seen.fields["last"] == "2s"


def test_what_cannot_be_answered_is_said_on_the_page(client: Running) -> None:
    """400 for a wrong question, also where only the workers know that it is wrong; 404 for what is not there."""
    for path, reason in {
        "/sessions?last=soon": "last: &#x27;soon&#x27; is no duration",
        "/sessions?dimension=usr": "did you mean &#x27;user&#x27;?",
        "/sessions?from=6&to=5": "from is after to",
    }.items():
        assert reason in page(client, path, 400)[1]
    assert "unknown key" in page(client, "/state?stream=sessions&key=nobody", 404)[1]
    assert "does not serve a stream" in page(client, "/state?stream=%3Cb%3E&key=1", 404)[1]


def test_the_worker_is_shown_with_its_engines_and_a_key_is_looked_up(client: Running) -> None:
    """What a person wants to see first, and where to look next."""
    seen, html = page(client, "/")
    assert seen.titles[0] == "Worker w"
    engines = seen.tables[0][1:]
    assert [row[:2] for row in engines] == [["sessions w-0", "ready"], ["sessions w-1", "ready"]]
    assert sum(int(row[3]) for row in engines) == 610
    assert {"/sessions", "/status", "/metrics"} <= {address for _, address in seen.links}
    assert "3 partitions" not in html, "each engine tells its own"
    session = json.loads(FILE.read_text().splitlines()[0])["sessionID"]
    seen, html = page(client, f"/state?{urlencode({'stream': 'sessions', 'key': session})}")
    assert "&quot;peak_state&quot;: &quot;" in html
    assert json.loads(client.get(seen.link("as JSON"))[1])["sessionID"] == session


def test_pages_are_html_that_may_do_nothing(client: Running) -> None:
    for path in ("/", "/sessions", "/state?stream=sessions&key=" + "x"):
        with suppress(OSError), urlopen(client.wait_for("worker started")["http"] + path) as answer:  # noqa: S310 - http
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"


def test_a_killed_engine_costs_no_session_of_the_page(client: Running) -> None:
    """While it is away the page is refused, never smaller; then it is what it was."""
    before = page(client, "/sessions")[0].values
    client.engine().kill()
    until(lambda: client.get("/ready")[0] == 503)
    answers = [client.get("/sessions")]
    client.wait_for("ready", 2)
    answers.append(until(lambda: answer if (answer := client.get("/sessions"))[0] == 200 else None) or (0, ""))
    assert [Seen(html).values for status, html in answers if status == 200][-1] == before
    assert all(status == 503 or Seen(html).values == before for status, html in answers)


# -- a report that fails, without a broker


def reporting(code: str = "", limit_s: float = 60.0) -> Reporting:
    """Whose process runs ``code`` instead; without, the real one, which finds no broker."""
    order = Order("", "", "", 0, {"bootstrap.servers": "127.0.0.1:1"}, Path())
    plan = Plan("w", Path(), ["sessions"], 1, ("127.0.0.1", 0), None, order)
    return Reporting(plan, (sys.executable, "-c", code) if code else COMMAND, limit_s)


def somebody_waits() -> bool:
    return False


def test_without_a_broker_the_page_says_so() -> None:
    """503 after ten seconds, and how to get one."""
    status, html = asyncio.run(reporting().page([], somebody_waits))
    assert (status, b"no Kafka broker answered at 127.0.0.1:1" in html) == (503, True)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 503, b"was killed by SIGKILL"),
        ("raise SystemExit(3)", 503, b"ended with exit code 3"),
        ("raise SystemExit(1)", 503, b"ended with exit code 1"),
        ("print('x' * (17 << 20))", 503, b"became too large"),
        (f"print('page'); raise SystemExit({FAULT})", 500, b"page"),
        ("print('page'); raise SystemExit(2)", 400, b"page"),
        ("import sys; print(sys.stdin.readline())", 200, b'"last", "12h"'),
    ],
)
def test_however_the_process_ends_there_is_a_page(code: str, status: int, reason: bytes) -> None:
    """It may be killed where memory is short: nobody is left waiting, and the worker goes on."""
    got, html = asyncio.run(reporting(code).page([("last", "12h")], somebody_waits))
    assert (got, reason in html) == (status, True)


HANGS = (
    "import os, sys; print(os.getpid(), file=open(sys.stdin.readline() and PATH, 'w'), flush=True); sys.stdin.read()"
)


def hanging(path: Path) -> str:
    return HANGS.replace("PATH", repr(str(path)))


def pid_in(path: Path) -> int:
    return int(until(lambda: path.exists() and path.read_text().strip()) or 0)


def test_a_page_that_takes_too_long_is_given_up() -> None:
    status, html = asyncio.run(reporting("input(); input()", limit_s=0.2).page([], somebody_waits))
    assert (status, b"was not made within 0.2 s; ask for a shorter interval" in html) == (503, True)


def test_the_process_ends_when_the_reader_goes_away_and_the_next_one_is_served(tmp_path: Path) -> None:
    """One at a time: who comes meanwhile and waits in vain is told when to come again."""

    async def run() -> None:
        made = reporting(hanging(tmp_path / "pid"))
        gone = asyncio.Event()
        first = asyncio.create_task(made.page([], gone.is_set))
        pid = await asyncio.to_thread(pid_in, tmp_path / "pid")
        status, html = await made.page([], somebody_waits)
        assert (status, b"another page of sessions is being made" in html) == (503, True)
        gone.set()
        await first
        assert not psutil.pid_exists(pid)
        (tmp_path / "pid").unlink()
        second = asyncio.create_task(made.page([], somebody_waits))
        pid = await asyncio.to_thread(pid_in, tmp_path / "pid")
        second.cancel()  # as the worker's end does
        with suppress(asyncio.CancelledError):
            await second
        assert not psutil.pid_exists(pid)

    asyncio.run(run())


def test_a_report_ends_with_the_worker_that_was_killed() -> None:
    """Its stdin ends; it does not wait for the broker that it is asking."""
    errand = Errand({"bootstrap.servers": "127.0.0.1:1"}, ["sessions"], 0.3, [], "json", 20)
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(errand.line())
        process.stdin.close()
        assert process.wait(5) == FAULT
