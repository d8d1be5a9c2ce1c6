"""A worker that ends with the process that started it, kill -9 included, and takes its state with it: for the demo.

    python -m ops.worker.leashed DIRECTORY worker sites --data DIRECTORY …

Its stdin is a pipe whose other end only the starter holds; the end of the pipe is the end of the starter.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ops.cli import run

LOG = "worker.log"


def main() -> int:
    """Run the words; returns their exit code."""
    data, words = Path(sys.argv[1]), sys.argv[2:]
    orphaned = threading.Event()

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        orphaned.set()
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, _end)  # until the worker listens to it
    try:
        threading.Thread(target=watch, name="leash", daemon=True).start()
        return run(words)
    finally:
        if orphaned.is_set():
            shutil.rmtree(data / "workers", ignore_errors=True)
            with suppress(OSError):
                (data / LOG).unlink(missing_ok=True)
                data.rmdir()  # unless the broker, which ends at the same time, is still to go


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
