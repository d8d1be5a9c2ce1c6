"""The process that makes the page of sessions, so that a worker's parent stays small and quick whatever is asked for.

    python -m ops.pages.report        # an `Errand` as a line on stdin, the page on stdout

The exit code says what the page is: 0 the answer, 2 the question was wrong, 1 there is no answer, 70 a fault of ours.
Started by `ops.worker.reporting` only. The end of stdin means that nobody waits any more: then it ends at once.
Engines go first: this process takes the CPU that they leave, and is the one that the kernel ends where memory is short.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.worker import logs
from schemas.errors import StreamgaugeError

MOST_SESSIONS = 1_000_000
"""1.5 GB with their samples, and some 50 s of CPU here; the command line has no limit."""
FAULT = 70
NICENESS = 10

log = logging.getLogger("streamgauge.worker")


@dataclass(frozen=True)
class Errand:
    """What the process is sent for: a line on its stdin, because Kafka's properties hold passwords.

    Args:
        kafka: librdkafka client properties.
        streams: that the worker serves.
        threshold: where the question names none.
        query: the question, names and values as they were sent.
        log_style: of log lines.
        log_level: of our own log lines.
    """

    kafka: dict[str, str]
    streams: list[str]
    threshold: float
    query: list[tuple[str, str]]
    log_style: logs.Style
    log_level: int

    def line(self) -> bytes:
        """This errand as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Errand:
        """The errand that `line` made ``line`` of.

        >>> errand = Errand({}, ["sessions"], 0.3, [("last", "12h")], "json", 20)
        >>> Errand.of(errand.line()) == errand
        True
        """
        told: dict[str, Any] = json.loads(line)
        told["query"] = [(name, value) for name, value in told["query"]]
        return cls(**told)


def report(errand: Errand) -> tuple[int, bytes]:
    """The exit code and the page."""
    from confluent_kafka import KafkaException

    from ops.kafka import translate
    from ops.pages.sessions import refused_page

    try:
        try:
            return 0, _answer(errand)
        except KafkaException as error:
            raise translate(error) from error
    except StreamgaugeError as error:
        code, reason = error.exit_code, str(error)
    except Exception as error:  # whatever it is, the reader is told, and the log has the rest
        log.exception("the page of sessions failed")
        code, reason = FAULT, f"{type(error).__name__}: {error}; the worker's log says more"
    return code, refused_page(reason, errand.query, errand.threshold, errand.streams)


def _answer(errand: Errand) -> bytes:
    from ops.pages.question import Question
    from ops.pages.sessions import sessions_page
    from ops.reports.session_answers import ask_sessions, known_dimensions
    from ops.reports.sessions import drill_down

    asked = Question.of(errand.query, errand.threshold)
    interval, sessions = ask_sessions(errand.kafka, asked.interval, samples=True, most=MOST_SESSIONS)
    tree = drill_down(sessions, asked.threshold, interval, known_dimensions(asked.dimensions, sessions))
    return sessions_page(asked, sessions, tree, errand.streams)


def main() -> None:
    """Carry out the errand on stdin; ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the worker decides
    gc.disable()  # nothing that lives for a report only is worth being looked through for circles
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("1000")
    # What libraries print must not end up in the page.
    page = os.dup(1)
    os.dup2(2, 1)
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit("ops.pages.report is started by streamgauge worker")
    errand = Errand.of(line)
    threading.Thread(target=_end_with_worker, name="lifeline", daemon=True).start()
    logs.set_up(errand.log_style, errand.log_level, {"page": "sessions"})
    code, html = report(errand)
    with suppress(BrokenPipeError), os.fdopen(page, "wb") as out:
        out.write(html)
    os._exit(code)  # to give a gigabyte back object by object takes as long as to make the page


def _end_with_worker() -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(FAULT)


if __name__ == "__main__":
    main()
