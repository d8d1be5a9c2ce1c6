"""The end of a process that must not go on: fail-stop, and a thread that ends a stop which hangs.

    fail_stop(Fenced("…"))          # one line in the log, then the process is gone
    LastResort(limit_s=8).arm()     # a stop began: it ends within 8 seconds, one way or the other

Faust answers an error inside itself with a graceful stop that can wait for ever, deaf to SIGTERM, with its partitions
idle. So doubt about state never travels through it: the process ends where the doubt arises. What was not committed
is counted again by the next owner, from the stamp.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import NoReturn

from schemas.errors import Stalled, StateError, StateRefused, TopicMismatch

log = logging.getLogger("streamgauge.engine")

EXIT_STATE = 70
"""Doubt about state (EX_SOFTWARE): a restart goes on from the stamp."""
EXIT_FINAL = 78
"""What a restart cannot mend (EX_CONFIG): state or topics that do not fit, lost input."""


_last_words: Callable[[BaseException], int] | None = None


def tell_before_the_end(tell: Callable[[BaseException], int]) -> None:
    """Call ``tell`` in `fail_stop` with the reason, instead of logging it; it returns the exit code."""
    global _last_words  # noqa: PLW0603 - one process, one end
    _last_words = tell


def exit_code(error: BaseException) -> int:
    """The exit code that tells a worker's parent whether to restart the process."""
    return EXIT_FINAL if isinstance(error, StateRefused | TopicMismatch) else EXIT_STATE


def fail_stop(error: BaseException) -> NoReturn:
    """Say why, and end the process at once, without unwinding."""
    code = EXIT_STATE
    try:
        if _last_words is not None:
            code = _last_words(error)
        else:
            code = exit_code(error)
            if isinstance(error, StateError):
                log.critical(str(error))
            else:
                log.critical("unexpected: %s: %s", type(error).__name__, error, exc_info=error)
        for handler in logging.getLogger().handlers:
            handler.flush()
    finally:
        os._exit(code)


class LastResort:
    """Ends the process when a stop takes longer than ``limit_s``."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._done = threading.Event()

    def arm(self) -> None:
        """The stop begins."""
        threading.Thread(target=self._wait, name="last-resort", daemon=True).start()

    def disarm(self) -> None:
        """The stop is over."""
        self._done.set()

    def _wait(self) -> None:
        if not self._done.wait(self._limit_s):
            fail_stop(Stalled(f"the stop took longer than {self._limit_s:g} s; a restart goes on from the stamp"))
