"""The demo, as a newcomer runs it: what it prints, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psutil

from ops.registry import names
from ops.samples import sample_of
from tests.waiting import until

PROGRAM = Path(sys.executable).with_name("streamgauge")
PATIENCE_S = 100


@contextmanager
def demo(folder: Path, *words: str) -> Generator[subprocess.Popen[str]]:
    """A demo whose temporary files lie in ``folder``."""
    running = subprocess.Popen(
        [PROGRAM, "demo", *words],
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()  # all that it started ends with it
        running.communicate()


def test_the_demo_prints_the_known_answer_and_leaves_nothing(tmp_path: Path) -> None:
    """Exit 0, the reports of all streams alone on stdout, all processes and files gone."""
    samples = [sample for sample in map(sample_of, names()) if sample is not None]
    with demo(tmp_path) as running:
        out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, out) == (0, b"".join(sample.answer() for sample in samples).decode()), err
    assert "each report is its known answer" in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_and_a_kill_leave_nothing_of_the_demo(tmp_path: Path) -> None:
    """Ctrl-C is exit 130; after ``kill -9`` broker and worker find out by themselves."""
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        with demo(tmp_path) as running:
            assert running.stderr is not None
            while "a worker counts" not in running.stderr.readline():
                pass
            others = psutil.Process(running.pid).children(recursive=True)
            running.send_signal(number)
            running.communicate(timeout=PATIENCE_S)
            assert running.returncode == code
        _, left = psutil.wait_procs(others, timeout=30)
        assert left == []
        until(lambda: not list(tmp_path.iterdir()))


def test_a_demo_that_is_kept_has_a_page_and_is_ended_by_the_line_that_it_says(tmp_path: Path) -> None:
    """As pasted into a shell, in which the program is on the path."""
    with demo(tmp_path, "sessions", "--keep") as running:
        _, err = running.communicate(timeout=PATIENCE_S)
    end = err.rpartition("remove all of it: ")[2].strip()
    try:
        with urlopen(err.partition("in a browser: ")[2].split()[0], timeout=10) as answer:  # noqa: S310 - http
            assert b"Worker demo" in answer.read()
    finally:
        path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(end, shell=True, env=os.environ | {"PATH": path}, timeout=PATIENCE_S, check=True)  # noqa: S602
    until(lambda: not list(tmp_path.iterdir()))
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]
