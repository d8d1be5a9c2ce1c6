"""What a line costs that comes over HTTP (`collect`), beside one of a file (`replay`).

    for table in collect(Bench(Path("/tmp/bench"))):
        print(table.markdown())

The cost of a line is that of its validation and sending, and its share of what a request, a packet and a wake-up cost.
So the same lines come in different bodies, by different numbers of clients. Whatever way a line came, the server must
have accepted it and the topic must hold it; and since all send lines of one file, a worker that counts what was sent by
all of them must come to that file's answer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from ops.broker.launch import free_port
from tests.bench.cases import SITES_COUNT, Bench
from tests.bench.clients import SLOW_RATE
from tests.bench.figures import Cell, Table
from tests.bench.measure import Tree, core, module
from tests.bench.rig import Rig, WrongAnswer
from tests.waiting import until

CLIENTS = (1, 10, 100, 1_000)
READY_S = 60.0


def collect(bench: Bench) -> list[Table]:
    """Lines over HTTP by 1 to 1,000 clients: whole bodies, small ones, single lines, and bit by bit."""
    lines = max(bench.events // 10, CLIENTS[-1])
    slow = max(bench.events // 200, CLIENTS[-1])
    single = max(bench.events // 1_000, CLIENTS[-1])  # one client alone waits for the broker after each
    path = bench.inputs.many_sites(lines, SITES_COUNT)
    ways = {
        "one request each": (lines, lines),
        "requests of 100 lines": (lines, 100),
        "requests of one line": (single, 1),
        f"one request each, a line at a time, {SLOW_RATE:,} lines/s together": (slow, 0),
    }
    rows: list[tuple[Cell, ...]] = []
    with bench.rig().running() as rig:
        loading = rig.load(path)
        with _collecting(rig) as (tree, port):
            _sent(rig, port, path, 1, 1, 1)  # the first request makes the stream ready
            for what, (count, body) in ways.items():
                costs: list[float] = []
                for clients in CLIENTS:
                    cpu_s = tree.cpu_s()
                    _sent(rig, port, path, count, clients, body)
                    costs.append((tree.cpu_s() - cpu_s) / count * 1e6)
                rows.append((what, f"{count:,}", *costs))
            peak_mb = tree.peak_mb()
        rig.drain()
        rig.check(bench.right(path))
    columns = ("how they come", "lines", *(f"{clients:,} client{'s' * (clients > 1)}" for clients in CLIENTS))
    note = (
        f"`replay` of {lines:,} lines: {loading.us_per_event:.3g} µs a line, its start included. "
        f"`collect` at its largest: {peak_mb:.0f} MB. All lines were accepted, and all sites' summaries are right."
    )
    return [Table("Lines over HTTP: CPU µs a line in `collect`", columns, rows, [note])]


@contextmanager
def _collecting(rig: Rig) -> Generator[tuple[Tree, int]]:
    """`streamgauge collect` on the core for what is measured; its process, and its port."""
    port = free_port()
    command = rig.cluster.command("collect", "--listen", f"127.0.0.1:{port}", "--quiet")
    with core(measured=True):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or _answers(port), "collect answers", READY_S)
        if process.poll() is not None:
            raise RuntimeError(f"collect ended with exit code {process.returncode}")
        yield Tree(process.pid), port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/ready", timeout=READY_S) as answer:
            return answer.status == HTTPStatus.OK
    except URLError:
        return False


def _sent(rig: Rig, port: int, path: Path, count: int, clients: int, body: int) -> None:
    """Send the first lines of ``path``.

    Raises:
        WrongAnswer: not all of them were accepted, or not all are in the topic.
    """
    before = sum(rig.progress().ends().values())
    words = (str(port), str(path), str(count), str(clients), str(body))
    accepted = module("tests.bench.clients", *words, measured=False)["accepted"]
    arrived = sum(rig.progress().ends().values()) - before
    if not count == accepted == arrived:
        raise WrongAnswer(f"of {count} lines by {clients} clients {accepted} were accepted, {arrived} are in the topic")
