"""What a poll has not read yet, kept on disk, so that the same command goes on where it was interrupted.

    unread = Unread(data / "poll" / cluster / "items", url, from_id, to_id)
    unread.lock()                          # nobody else reads the same
    state = unread.load()                  # None: begin anew
    unread.save(State(missing, last))      # atomic
    unread.forget()                        # all is read: the next one begins anew

"The same command" is the same address and the same ends, whatever the rate or the number of readers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from producers.ranges import Span
from schemas.errors import StreamgaugeError


class State(msgspec.Struct, frozen=True):
    """What is kept."""

    missing: list[Span]
    """Ids that the broker has not acknowledged; empty: everything is read, but not known to be counted."""
    last: int | None
    """The last id that the API had; None: nobody knows."""
    sent: dict[int, list[list[int]]] = {}
    """Offsets of what was sent, by partition: what ``--wait`` waits for."""


class _File(msgspec.Struct):
    """The state with what it is of, for people who look into the directory."""

    url: str
    from_id: int | None
    to_id: int | None
    state: State


class Unread:
    """The file of one command.

    Args:
        directory: for the files of all of them; made when missing.
        url: of the API.
        from_id, to_id: as they were given.
    """

    def __init__(self, directory: Path, url: str, from_id: int | None, to_id: int | None) -> None:
        self._of = (url, from_id, to_id)
        name = hashlib.sha256(repr(self._of).encode()).hexdigest()[:24]
        self._path = directory / f"{name}.json"
        self._lock: int | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StreamgaugeError(f"cannot keep the position in {directory}: {error.strerror}") from error

    def lock(self) -> None:
        """Be the only one who reads this, until the end of the process.

        Raises:
            StreamgaugeError: another process does, or the disk is full.
        """
        self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock, 32).decode(errors="replace").strip()
            raise StreamgaugeError(
                f"{self._of[0]} is polled already, by process {owner or 'unknown'}; wait for it or stop it"
            ) from None
        try:
            os.truncate(self._lock, 0)
            os.pwrite(self._lock, b"%d" % os.getpid(), 0)
        except OSError as error:
            raise StreamgaugeError(f"cannot keep the position in {self._path}: {error.strerror}") from error

    def load(self) -> State | None:
        """What was kept; None when there is nothing.

        Raises:
            StreamgaugeError: the file cannot be read.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File, strict=False).state
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise StreamgaugeError(
                f"the position file {self._path} cannot be read ({error}); remove it to begin anew"
            ) from error

    def save(self, state: State) -> None:
        """Keep ``state``: whoever reads finds the old one or this one."""
        new = self._path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(_File(*self._of, state)))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise StreamgaugeError(f"cannot keep the position in {self._path}: {error.strerror}") from error

    def forget(self) -> None:
        """Begin anew next time."""
        self._path.unlink(missing_ok=True)
