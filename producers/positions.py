"""Where following a file goes on after a restart, kept per file identity, not per name.

    positions = Positions(data / "follow" / cluster / "sites")
    position = positions.find(descriptor)        # of an open file; None: never seen, or not the file it was
    positions.save(identity, position)           # atomic

A name is no identity: a log is renamed and begun anew. Device and inode are, until the file system gives the inode to
another file, or the file is emptied and written again; so a position also keeps a digest of the `MARK_BYTES` before
it, and holds only where the file still has those. Where lines behind it are to be passed over, as many bytes of these
belong to the mark, too: before the first line of a file there is nothing to know it by.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from schemas.errors import StreamgaugeError

MARK_BYTES = 256


class Identity(NamedTuple):
    """What the file system knows a file by."""

    device: int
    inode: int


@dataclass(frozen=True)
class Position:
    """Where to go on in one file."""

    name: str
    """The path under which it was followed, absolute."""
    offset: int
    """Bytes from the start of the file; a line begins there."""
    line: int
    """The number of that line."""
    next: int
    """The first line that is not acknowledged: `line` or a later one."""
    mark: str
    """SHA-256 of the `MARK_BYTES` before `offset` (fewer at the start of the file), and of `ahead` behind it."""
    ahead: int = 0
    """Bytes behind `offset` that belong to the mark."""
    finished: bool = False
    """It was rotated away and read to its end."""


def identity_of(descriptor: int) -> Identity:
    """The identity of an open file."""
    status = os.fstat(descriptor)
    return Identity(status.st_dev, status.st_ino)


def mark_of(descriptor: int, offset: int, ahead: int = 0) -> bytes:
    """The bytes before ``offset``, and ``ahead`` behind it, which must still be there for it to mean the same."""
    size = min(offset, MARK_BYTES)
    return os.pread(descriptor, size + ahead, offset - size)


def digest(mark: bytes) -> str:
    """What of a mark is kept on disk: not the log's text."""
    return hashlib.sha256(mark).hexdigest()


class Positions:
    """The positions of one stream's followed files.

    Args:
        directory: its own; made when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._locks: dict[Identity, int] = {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StreamgaugeError(f"cannot keep positions in {directory}: {error.strerror}") from error

    def find(self, descriptor: int) -> Position | None:
        """The position in an open file; None when there is none, or the file was written anew since."""
        position = self._load(self._path(identity_of(descriptor)))
        if position is None or digest(mark_of(descriptor, position.offset, position.ahead)) != position.mark:
            return None
        return position

    def unfinished(self, name: str) -> Iterator[tuple[Identity, Position]]:
        """The files that were followed as ``name`` and never read to their end."""
        for path in self._directory.glob("*.json"):
            position = self._load(path)
            if position is not None and position.name == name and not position.finished:
                device, inode = path.stem.split("-")
                yield Identity(int(device), int(inode)), position

    def save(self, identity: Identity, position: Position) -> None:
        """Keep ``position``: whoever reads finds the old one or this one."""
        path = self._path(identity)
        new = path.with_suffix(".new")
        try:
            with new.open("w", encoding="utf-8") as file:
                json.dump(asdict(position), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            raise StreamgaugeError(f"cannot keep the position in {path}: {error.strerror}") from error

    def lock(self, identity: Identity, name: str) -> None:
        """Be the only one who follows this file, until `unlock` or the end of the process.

        Raises:
            StreamgaugeError: another process follows it, or the disk is full.
        """
        path = self._path(identity).with_suffix(".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise StreamgaugeError(
                f"{name} is followed already, by process {owner or 'unknown'}; stop that one, "
                "or give this one a --data of its own (every line is then sent twice)"
            ) from None
        try:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, b"%d" % os.getpid(), 0)
        except OSError as error:
            os.close(descriptor)
            raise StreamgaugeError(f"cannot keep the position in {path}: {error.strerror}") from error
        self._locks[identity] = descriptor

    def unlock(self, identity: Identity) -> None:
        """Let others follow the file."""
        descriptor = self._locks.pop(identity, None)
        if descriptor is not None:
            os.close(descriptor)

    def _path(self, identity: Identity) -> Path:
        return self._directory / f"{identity.device}-{identity.inode}.json"

    def _load(self, path: Path) -> Position | None:
        try:
            return Position(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StreamgaugeError(
                f"the position file {path} cannot be read ({error}); remove it to send that file from its start"
            ) from error
