"""Ends a broker when the process that wanted it ends, however that ends; run as a script, with nothing of ours loaded.

    python guard.py --lock 7 --remove PATH java …

Its standard input is a pipe whose other end only the parent holds: the end of the pipe is the end of the parent,
kill -9 included. Then the broker is stopped and what must not be left of it is removed: its directory, or only the
note that it runs. The only line of output is the broker's process id. The lock, an open file that came with the start,
stays held until all this is over.

Should the guard itself be killed, Linux ends the broker (PR_SET_PDEATHSIG); elsewhere the broker then runs on until
``streamgauge broker stop``.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

STOP_S = 15.0
LOOK_EVERY_S = 1.0
PR_SET_PDEATHSIG = 1


class Guard:
    """One broker and the parent that it must not outlive.

    Args:
        command: what runs the broker.
        lock: the open lock file, which the broker inherits.
        remove: the file or directory to remove after the parent's end.
    """

    def __init__(self, command: list[str], lock: int, remove: Path) -> None:
        self.parent = os.getppid()
        self.orphaned = False
        self.remove = remove
        self.broker = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there is one thread at this moment
            pass_fds=(lock,),
        )

    def watch(self) -> None:
        """Stop the broker at the end of the parent.

        A process that the parent forked, without an exec, holds the pipe open, too; hence the look at who the parent
        is.
        """
        while os.getppid() == self.parent and not select.select([sys.stdin], [], [], LOOK_EVERY_S)[0]:
            pass
        self.orphaned = True
        self.broker.terminate()
        try:
            self.broker.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.broker.kill()

    def clean(self) -> None:
        """Remove what must not be left."""
        with suppress(OSError):
            if self.remove.is_dir():
                shutil.rmtree(self.remove)
                self.remove.parent.rmdir()  # the data directory, when nothing else is in it
            else:
                self.remove.unlink()

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """Hand a signal on to the broker."""
        self.broker.send_signal(number)

    def run(self) -> int:
        """Wait for the broker's end; its exit code."""
        threading.Thread(target=self.watch, daemon=True).start()
        code = self.broker.wait()
        code = 128 - code if code < 0 else code  # as shells write the end by a signal
        if self.orphaned:
            self.clean()
        return code


def _die_with_parent() -> None:
    """Ask Linux for a SIGTERM at the guard's death; it holds across exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> int:
    """Run the words after the options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock", type=int, required=True)
    parser.add_argument("--remove", type=Path, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    guard = Guard(options.command, options.lock, options.remove)
    signal.signal(signal.SIGTERM, guard.forward)
    sys.stdout.write(f"{guard.broker.pid}\n")
    sys.stdout.flush()
    return guard.run()


if __name__ == "__main__":
    sys.exit(main())
