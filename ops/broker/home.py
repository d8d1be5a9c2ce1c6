"""The local broker's directory, ``DATA/broker``: what lies where, and who owns it.

    lock                 flocked by the broker process itself, so that it is held exactly as long as the broker lives
    running.json         where it listens and its process id; believed only while the lock is held
    server.properties    written anew at each start, as is log4j2.properties
    kafka/               Kafka's own: the topics; appears complete (by a rename) or not at all
    logs/                server.log (rolled at 10 MB) and console.log (what the JVM says before logging works)
    tmp/                 emptied at each start

A file lock, unlike a pid file, cannot be left behind: the kernel lets go of it however the broker ends. The starter
takes it and the broker inherits the open file, so there is no moment between the two in which another could start.

>>> running_bootstrap(Path("/nowhere")) is None
True
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree

HOST = "127.0.0.1"
"""The only interface that the local broker listens on."""


@dataclass(frozen=True)
class Record:
    """What a running broker's starter wrote down.

    Args:
        pid: the broker's (the JVM's) process id.
        port: where clients connect.
        version: of Kafka.
        started: seconds since the epoch.
        log_start: bytes of ``server.log`` that earlier runs wrote.
    """

    pid: int
    port: int
    version: str
    started: float
    log_start: int

    @property
    def bootstrap(self) -> str:
        """The address that clients are given."""
        return f"{HOST}:{self.port}"


class Home:
    """One broker's directory.

    Args:
        data: the directory that ``--data`` names; the broker uses ``broker`` in it.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.root = self.data / "broker"
        self.lock = self.root / "lock"
        self.record = self.root / "running.json"
        self.kafka = self.root / "kafka"
        self.formatting = self.root / "formatting"
        self.logs = self.root / "logs"
        self.server_log = self.logs / "server.log"
        self.console_log = self.logs / "console.log"
        self.tmp = self.root / "tmp"

    def claim(self) -> int | None:
        """Take the lock.

        Returns:
            The open, locked file: the lock lasts until every process that inherited it has closed it. None: somebody
            else holds it.

        Raises:
            OSError: the directory cannot be made or locked.
        """
        import fcntl

        while True:
            self.root.mkdir(parents=True, exist_ok=True)
            try:
                file = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # wiped between the two lines
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return None
            if self._is_current(file):
                return file
            os.close(file)  # the previous owner wiped the directory: this lock guards a file without a name

    def owned(self) -> bool:
        """Whether a broker, or somebody who starts or wipes one, holds the lock now."""
        import fcntl

        try:
            file = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def read_record(self) -> Record | None:
        """The record of the broker that was started last, dead or alive; None after an orderly stop."""
        try:
            return Record(**json.loads(self.record.read_bytes()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    def write_record(self, record: Record) -> None:
        """Write the record, so that readers see the old one or the new one."""
        draft = self.record.with_suffix(".new")
        draft.write_text(json.dumps(asdict(record)), "utf-8")
        draft.replace(self.record)

    def running(self) -> Record | None:
        """The record of the broker that lives here now (perhaps still starting), if one does."""
        record = self.read_record()
        return record if record is not None and self.owned() else None

    def wipe(self) -> None:
        """Remove everything, the lock's name last; the caller holds the lock."""
        if not self.root.exists():
            return
        for path in self.root.iterdir():
            if path.is_dir():
                rmtree(path)
            elif path != self.lock:
                path.unlink()
        self.lock.unlink()
        self.root.rmdir()

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.lock.stat())
        except FileNotFoundError:
            return False


def running_bootstrap(data: Path) -> str | None:
    """The address of the broker that runs on ``data``; None when none does.

    Reads one small file and asks for one lock: no connection is made.
    """
    record = Home(data).running()
    return record.bootstrap if record else None
