"""How a worker logs: one line an event, for people on a terminal and as JSON for machines everywhere else.

A line is an event (a constant phrase) and its fields, which travel as ``extra``:

    log = logging.getLogger("streamgauge.engine")
    log.info("partition restored", extra={"partition": 3, "entries": 120})

    05:46:14 partition restored  partition=3 entries=120 stream=sites instance=host-0
    {"time":"2026-11-24T05:46:14.120Z","level":"info","event":"partition restored","partition":3, …}

The processes of a worker share one stderr. Each line is one ``write`` of bytes, so lines do not mix.

>>> record = logging.makeLogRecord({"msg": "partition restored", "levelname": "INFO", "created": 0.0, "partition": 3})
>>> record.name = "streamgauge.engine"
>>> JsonLines({"stream": "sites"}).format(record)
'{"time":"1970-01-01T00:00:00.000Z","level":"info","event":"partition restored","partition":3,"stream":"sites"}'
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any, Literal

Style = Literal["plain", "color", "json"]

NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp", "rocksdict", "confluent_kafka")
"""Libraries whose INFO lines are about their own insides."""

_OURS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_COLORS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_DIM, _OFF = "\x1b[2m", "\x1b[0m"


def set_up(style: Style, level: int, context: Mapping[str, Any]) -> None:
    """Send the log of this process to stderr.

    Args:
        style: of the lines.
        level: of our own loggers; libraries log from WARNING on.
        context: fields of every line of this process (stream, instance).
    """
    handler = WholeLines(2)
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
    logging.captureWarnings(True)


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


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _OURS}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or '"' in text else text
