"""What people see beside the result: progress, notes, colour."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from ops import console
from ops.console import Progress


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    yield
    console.configure(quiet=False, verbose=0, color="auto")


def test_progress_off_a_terminal_is_a_line_every_10_s(capsys: pytest.CaptureFixture[str]) -> None:
    """Sums: 25 s with a call each second show 2 lines, after 10 s and after 20 s."""
    clock = HandClock()
    with Progress("sending", total=100, clock=clock) as progress:
        for second in range(25):
            clock.now += 1
            progress.set(second + 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "sending   10%  10 of 100 records  1 records/s  1m30s left",
        "sending   20%  20 of 100 records  1 records/s  1m20s left",
    ]


def test_progress_on_a_terminal_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("os.get_terminal_size", lambda _fd: __import__("os").terminal_size((60, 20)))
    clock = HandClock()
    with Progress("loading", total=4096, unit="bytes", clock=clock) as progress:
        clock.now += 1
        progress.advance(2048)
    shown = screen.getvalue()
    assert "loading  ████████████░░░░░░░░░░░░   50%  2.0 KiB" in shown
    assert max(len(piece) for piece in shown.split("\r")) < 60 + len("\x1b[K")
    assert shown.endswith("\r\x1b[K")


def test_quiet_silences_notes_and_progress_but_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(quiet=True, verbose=2, color="auto")
    clock = HandClock()
    with Progress("sending", clock=clock) as progress:
        clock.now += 60
        progress.set(1)
    console.say("accepted 1")
    console.detail("a detail")
    console.warn("12 lines were rejected")
    assert capsys.readouterr().err == "12 lines were rejected\n"


@pytest.mark.parametrize(
    ("color", "no_color", "terminal", "wanted"),
    [
        ("auto", "", True, True),
        ("auto", "", False, False),
        ("auto", "1", True, False),
        ("always", "1", False, True),
        ("never", "", True, False),
    ],
)
def test_colour_follows_the_option_then_no_color_then_the_terminal(
    color: str, no_color: str, terminal: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--color always`` beats NO_COLOR: an option is said later than a variable."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    console.configure(quiet=False, verbose=0, color=color)
    stream = Terminal() if terminal else io.StringIO()
    assert console.wants_color(stream) is wanted
    assert console.paint("x", "red", stream) == ("\x1b[31mx\x1b[0m" if wanted else "x")


def test_a_note_that_nobody_can_read_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """When stderr is on a full disk: the work itself goes on."""

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    console.say("accepted 1")
