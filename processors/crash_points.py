"""Named moments at which a process dies when it is told to: how tests put a crash exactly where it could hurt.

    $ STREAMGAUGE_CRASH_AT=fuse streamgauge worker sites &
    $ echo after-commit:3 > fuse      # whoever gets there the third time from now on dies, as by kill -9

The variable names a file, the fuse. It burns once: who dies has renamed it to ``fuse.burnt``, so the process that is
started next goes on, until somebody lights another one. Without the variable a crash point is one comparison, a few
times an epoch.

>>> reached("after-commit")                     # no variable, no fuse: nothing happens
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

VARIABLE = "STREAMGAUGE_CRASH_AT"
_fuse = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None

POINTS = {
    "before-send": "an epoch is sealed, nothing of it was sent",
    "before-stamp": "all of an epoch but its stamp is in the log, the transaction open",
    "before-commit": "all of an epoch is in the log, the transaction open",
    "after-commit": "an epoch is committed, and this process does not know it",
    "before-store": "committed epochs are not in the local store yet",
    "in-store": "the local store is being written",
    "in-recovery": "a part of the changelog is restored",
    "after-recovery": "all of the changelog is restored, nothing is counted",
    "in-drain": "a rebalance takes partitions away, their last epochs are not sent",
    "in-assign": "a rebalance gave partitions, their former owners are fenced",
}
"""What has happened when a point is reached, and what has not."""

SOON_S = 0.002


def reached(point: str, first: Callable[[], object] | None = None) -> None:
    """Die here when the fuse says so.

    Args:
        point: one of `POINTS`.
        first: what makes the point true, and would not be waited for otherwise; called only before dying.
    """
    if _fuse is not None and _burns(_fuse, point):
        if first is not None:
            first()
        os.kill(os.getpid(), signal.SIGKILL)


def soon(point: str) -> None:
    """Die within the next `SOON_S` seconds when the fuse says so: in the middle of what follows."""
    if _fuse is not None and _burns(_fuse, point):
        # Its default is the end of the process: the kernel's work, while a library may hold Python's lock.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, SOON_S))


def _burns(fuse: Path, point: str) -> bool:
    """Whether the fuse names this point and the count is down; it is counted down over all processes together."""
    try:
        name, _, left = fuse.read_text().strip().partition(":")
        if name != point:
            return False
        taken = fuse.with_suffix(f".{os.getpid()}")
        fuse.rename(taken)  # of two that get there at once, one has it
    except FileNotFoundError:
        return False
    if int(left or 1) > 1:
        taken.write_text(f"{name}:{int(left) - 1}")
        taken.rename(fuse)
        return False
    taken.rename(fuse.with_suffix(".burnt"))
    return True
