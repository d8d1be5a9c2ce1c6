"""One owner for a worker's id on a machine: the folder ``<data>/workers/<ID>``, locked for as long as it runs.

    with WorkerLock(data, "host-7") as folder:
        …                                # a second worker of this id is told the first one's pid

The lock is the kernel's (``flock``), so it ends with the process that holds it, however that ends. Engine
processes inherit it: state stays locked until the last process that writes it is gone.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from schemas.errors import StreamgaugeError

ORPHANS_S = 12.0
"""How long the engine processes of a killed worker may take to end after it."""


class IdInUse(StreamgaugeError):
    """Another worker of this machine has the id."""

    def __init__(self, worker: str, pid: str) -> None:
        super().__init__(
            f"worker id {worker!r} is in use by process {pid} on this machine; stop it, or give this one another --id"
        )


class WorkerLock:
    """Holds ``<data>/workers/<worker>`` while the context lasts.

    Args:
        data: the data directory.
        worker: the id.
        note: told once when the lock waits for the orphans of a killed worker.
    """

    def __init__(self, data: Path, worker: str, note: Callable[[str], None] = lambda _: None) -> None:
        self._worker = worker
        self._folder = data / "workers" / worker
        self._note = note
        self._fd = -1

    def __enter__(self) -> Path:
        """The folder, locked.

        Raises:
            IdInUse: by a living worker.
            StreamgaugeError: the folder cannot be made or written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._take()
            os.truncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException as error:
            os.close(self._fd)
            if isinstance(error, OSError):  # the disk is full
                raise self._refused(error) from error
            raise
        return self._folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        os.close(self._fd)

    @property
    def fd(self) -> int:
        """The locked file, for the engine processes to inherit."""
        return self._fd

    def _refused(self, error: OSError) -> StreamgaugeError:
        return StreamgaugeError(
            f"cannot keep state in {self._folder}: {error.strerror}; choose another place with --data"
        )

    def _take(self) -> None:
        deadline = time.monotonic() + ORPHANS_S
        told = False
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pid = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
                # Its worker was killed a moment ago and its engine processes are on their way out.
                if alive(pid) or time.monotonic() > deadline:
                    raise IdInUse(self._worker, pid) from None
                if not told:
                    told = True
                    self._note(f"the engine processes of worker {self._worker} (process {pid}, gone) are still ending")
                time.sleep(0.1)


def alive(pid: str) -> bool:
    """Whether a process of that number runs (as anyone's).

    >>> alive("unknown")
    False
    """
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True
