"""How a worker logs: one line an event, for people on a terminal and as JSON for machines everywhere else.

A line is an event (a constant phrase) and its fields, which travel as ``extra``:

    log = logging.getLogger("streamgauge.engine")
    log.info("partition restored", extra={"partition": 3, "entries": 120})

    05:46:14 partition restored  partition=3 entries=120 stream=sites instance=host-0
    {"time":"2026-11-24T05:46:14.120Z","level":"info","event":"partition restored","partition":3, …}

The processes of a worker share one stderr. Each line is one ``write`` of bytes, so lines do not mix. What libraries
complain of is let through sparingly: while a broker is away, aiokafka alone would write a hundred lines a second.

>>> record = logging.makeLogRecord({"msg": "partition restored", "levelname": "INFO", "created": 0.0, "partition": 3})
>>> record.name = "streamgauge.engine"
>>> JsonLines({"stream": "sites"}).format(record)
'{"time":"1970-01-01T00:00:00.000Z","level":"info","event":"partition restored","partition":3,"stream":"sites"}'
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

Style = Literal["plain", "color", "json"]

NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp", "rocksdict", "confluent_kafka")
"""Libraries whose INFO lines are about their own insides."""

LIBRARY_EVERY_S = 10.0

_OURS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_COLORS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_DIM, _OFF = "\x1b[2m", "\x1b[0m"


def set_up(style: Style, level: int, context: Mapping[str, Any]) -> Sparingly:
    """Send the log of this process to stderr.

    Args:
        style: of the lines.
        level: of our own loggers; libraries log from WARNING on, and with ``DEBUG`` all of that is shown.
        context: fields of every line of this process (stream, instance).

    Returns:
        What knows when a library complained last.
    """
    sparingly = Sparingly(0.0 if level <= logging.DEBUG else LIBRARY_EVERY_S)
    handler = WholeLines(2)
    handler.addFilter(sparingly)
    handler.setFormatter(JsonLines(context) if style == "json" else HumanLines(context, color=style == "color"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("streamgauge").setLevel(level)
    for name in NOISY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    # "woke up too late", "is overlapping": Faust's word for a batch of a backlog that took a second to count.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    threading.excepthook = _thread_failed
    return sparingly


class Sparingly(logging.Filter):
    """Lets a library's lines through at most once in a while; the next one says how many were left out.

    Args:
        every_s: seconds between two lines of a library.
        clock: seconds, only rising.
    """

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.complained: float | None = None
        """When a library had something to say, by ``clock``."""
        self._every_s = every_s
        self._clock = clock
        self._shown: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        if record.name.startswith("streamgauge"):
            return True
        library = record.name.partition(".")[0]
        now = self.complained = self._clock()
        if now - self._shown.get(library, -math.inf) < self._every_s:
            self._left_out[library] = self._left_out.get(library, 0) + 1
            return False
        self._shown[library] = now
        if left_out := self._left_out.pop(library, 0):
            record.left_out = left_out
        return True


class WholeLines(logging.Handler):
    """Writes each line with one call, past Python's buffers, so that lines of several processes do not mix.

    Args:
        fd: the file descriptor to write to.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``; a reader that went away costs the line and not the worker."""
        try:
            line = memoryview(f"{self.format(record)}\n".encode(errors="backslashreplace"))
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError:
            return
        except Exception:  # noqa: BLE001 - logging's own rule: a bad line must not stop its writer
            self.handleError(record)


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        super().__init__()
        self._context = dict(context)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.created * 1000) % 1000:03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
            **self._context,
        }
        if not record.name.startswith("streamgauge"):
            line["logger"] = record.name
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


class HumanLines(logging.Formatter):
    """A record as a line for people: time, what happened, then the fields."""

    def __init__(self, context: Mapping[str, Any], *, color: bool) -> None:
        super().__init__()
        self._context = dict(context)
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a traceback follows on lines of its own."""
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        source = "" if record.name.startswith("streamgauge") else f"{record.name}: "
        event = f"{level}{source}{record.getMessage()}"
        fields = {**_fields(record), **self._context}
        tail = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        if self._color:
            moment = f"{_DIM}{moment}{_OFF}"
            event = f"{_COLORS.get(record.levelname, '')}{event}{_OFF}"
            tail = f"{_DIM}{tail}{_OFF}" if tail else ""
        line = f"{moment} {event}  {tail}".rstrip().replace("\n", "\\n")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread's end by an exception is an event, not a text of its own between the lines."""
    name = failure.thread.name if failure.thread else "unknown"
    error = failure.exc_value
    logging.getLogger("streamgauge.worker").error("a thread failed", extra={"of": name}, exc_info=error)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _OURS}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or '"' in text else text
