r"""Where words for people go: results to stdout, everything else to stderr, progress as a bar or a line every 10 s.

    say("accepted 8, rejected 0")                       # silent with -q
    warn("12 lines were rejected; see: streamgauge dlq list sites")
    write(b'{"site_id":"1"}\n')                         # the result: bytes as they are
    with Progress("sending", total=size, unit="bytes") as progress:
        progress.set(done, note="31,000 records/s")

A process has one stderr, so what holds for it (-q, -v, --color) is kept here once, by `configure`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TextIO

from ops.units import format_duration, format_size
from schemas.errors import StreamgaugeError

LINE_EVERY_S = 10.0
REDRAW_EVERY_S = 0.1
BAR_WIDTH = 24
BUFFER_BYTES = 1 << 16


@dataclass
class _Console:
    quiet: bool = False
    verbose: int = 0
    color: str = "auto"
    result: bytearray = field(default_factory=bytearray)


_console = _Console()


def configure(*, quiet: bool, verbose: int, color: str) -> None:
    """Set what holds for this process: -q, -v, --color."""
    _console.quiet, _console.verbose, _console.color = quiet, verbose, color


def say(line: str) -> None:
    """A note on stderr: counts, what is being waited for."""
    if not _console.quiet:
        _stderr(line)


def detail(line: str) -> None:
    """A note that only ``-v`` shows."""
    if _console.verbose and not _console.quiet:
        _stderr(line)


def warn(line: str) -> None:
    """What must be seen, even with -q."""
    _stderr(paint(line, "yellow", sys.stderr))


def fail(line: str) -> None:
    """The one line with which a command that could not be done ends."""
    _stderr(paint(f"streamgauge: {line}", "red", sys.stderr))


def chatty() -> bool:
    """Whether ``-vv`` asks for what libraries have to say."""
    return _console.verbose > 1


def open_what_is_closed() -> None:
    """See that stdin, stdout and stderr are open: ``>&-`` closes one, and the next connection would get its number.

    Reading from and writing to what stands in fails as it does on what is closed ("Bad file descriptor"); notes that
    nobody wants are lost.
    """
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free number: this one, since those below are open
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def write(data: bytes | str) -> None:
    """A piece of the result, as it is, to stdout (buffered: see `flush`)."""
    _console.result += data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace")
    if len(_console.result) >= BUFFER_BYTES:
        flush()


def flush() -> None:
    """Hand the result over now: a reader at the other end of a pipe may be waiting.

    The buffer is our own because Python's is gone where ``PYTHONUNBUFFERED`` is set, as containers like to do.

    Raises:
        StreamgaugeError: stdout takes no more (a full disk).
        BrokenPipeError: nobody reads it any more.
    """
    data, _console.result = _console.result, bytearray()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StreamgaugeError(f"cannot write the result to stdout: {error.strerror}") from error


_PAINT = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def paint(text: str, style: str, stream: TextIO) -> str:
    """``text`` in red, green, yellow, bold or dim, where ``stream`` wants colour."""
    return f"\x1b[{_PAINT[style]}m{text}\x1b[0m" if text and wants_color(stream) else text


def wants_color(stream: TextIO) -> bool:
    """What ``--color`` says; ``auto`` is yes on a terminal unless ``NO_COLOR`` is set (https://no-color.org)."""
    if _console.color != "auto":
        return _console.color == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def _stderr(line: str) -> None:
    with suppress(OSError):  # nobody reads stderr any more (closed, disk full): the work itself goes on
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class Progress:
    """How far a long command is: a bar on a terminal, otherwise a line every 10 s; nothing with ``-q``.

    Args:
        what: the doing, such as ``sending``.
        total: how much there is, or None when nobody knows.
        unit: ``bytes`` are written as KiB and MiB; any other word follows the number.
        clock: seconds, for tests.
    """

    def __init__(
        self, what: str, total: int | None = None, unit: str = "records", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.note = ""
        self._clock = clock
        self._started = self._shown = clock()
        self._bar = sys.stderr.isatty()
        self._drawn = False

    def set(self, done: int, *, total: int | None = None, note: str | None = None) -> None:
        """Say how far it is; cheap enough to be called for every batch."""
        self.done = done
        if total is not None:
            self.total = total
        if note is not None:
            self.note = note
        now = self._clock()
        if now - self._shown >= (REDRAW_EVERY_S if self._bar else LINE_EVERY_S):
            self._shown = now
            self._show(now)

    def advance(self, more: int, *, note: str | None = None) -> None:
        """Say how much more is done."""
        self.set(self.done + more, note=note)

    def close(self) -> None:
        """Take the bar away, so that the next line stands alone."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _show(self, now: float) -> None:
        if _console.quiet:
            return
        if self._bar:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write("\r" + self._line(now)[: max(width - 1, 10)] + "\x1b[K")
            sys.stderr.flush()
            self._drawn = True
        else:
            _stderr(self._line(now))

    def _line(self, now: float) -> str:
        parts = [self.what]
        share = min(self.done / self.total, 1.0) if self.total else None
        if share is not None and self._bar:
            parts.append("█" * round(share * BAR_WIDTH) + "░" * (BAR_WIDTH - round(share * BAR_WIDTH)))
        if share is not None:
            parts.append(f"{share:4.0%}")
        of = f" of {self._amount(self.total)}" if self.total else ""
        parts.append(f"{self._amount(self.done) if self.unit == 'bytes' or not of else f'{self.done:,}'}{of}")
        elapsed = now - self._started
        if self.note:
            parts.append(self.note)
        elif elapsed > 0:
            parts.append(f"{self._amount(int(self.done / elapsed))}/s")
        if share and elapsed > 1 and share < 1:
            parts.append(f"{format_duration(int(elapsed / share - elapsed) * 1000)} left")
        return "  ".join(parts)

    def _amount(self, count: int) -> str:
        return format_size(count) if self.unit == "bytes" else f"{count:,} {self.unit}"
