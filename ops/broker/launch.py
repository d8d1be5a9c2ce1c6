"""One start of the broker's process: settings, storage, JVM, the first answer.

The caller holds the directory's lock. The JVM inherits it, so it stays held for as long as the broker lives, whoever
else dies.
"""

from __future__ import annotations

import base64
import errno
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage, rmtree

from ops.broker import guard
from ops.broker.diagnosis import PORT_TAKEN, diagnose, tail
from ops.broker.home import HOST, Home, Record
from ops.broker.jars import kafka_version
from ops.broker.properties import LOG4J2_PROPERTIES, server_properties
from ops.broker.runtime import java_command, java_environment
from ops.units import format_size
from schemas.errors import StreamgaugeError

READY_S = 60.0
LOOK_EVERY_S = 0.05
FREE_BYTES = 64 << 20
"""A disk with less free space is refused at the start: Kafka would die on it in the middle of something."""


class PortTaken(StreamgaugeError):
    """Another process listens on the port."""


@dataclass(frozen=True)
class Launch:
    """What every try of a start shares.

    Args:
        home: the broker's directory.
        java: the runtime.
        class_path: Kafka's jars.
        lock: the open lock file.
        foreground: whether the broker ends with this process.
        wipe: whether its directory goes with it then.
    """

    home: Home
    java: Path
    class_path: Sequence[Path]
    lock: int
    foreground: bool
    wipe: bool

    def run(self, port: int) -> tuple[subprocess.Popen[bytes], Record]:
        """Start Kafka on ``port``.

        Returns:
            The process to wait for, and where clients are accepted now.

        Raises:
            PortTaken: something else listens there.
            StreamgaugeError: it did not start; nothing of it is left running.
            OSError: a file could not be written.
        """
        check_port(port)
        self._prepare(port, free_port(taken=port))
        self._format()
        log_start = _size(self.home.server_log)
        child = self._spawn()
        try:
            record = Record(self._pid(child), port, kafka_version(), time.time(), log_start)
            self.home.write_record(record)
            self._await_answer(child, record)
        except BaseException:
            self._abandon(child)
            raise
        return child, record

    def _prepare(self, port: int, controller: int) -> None:
        free = disk_usage(self.home.root).free
        if free < FREE_BYTES:
            raise StreamgaugeError(
                f"no disk for a broker: {format_size(free)} free at {self.home.root}, "
                f"{format_size(FREE_BYTES)} wanted; make room, or choose another directory with --data"
            )
        for directory in (self.home.tmp, self.home.formatting):
            rmtree(directory, ignore_errors=True)  # of a start that was killed
        self.home.tmp.mkdir()
        self.home.logs.mkdir(exist_ok=True)
        for name, log_dirs in (("server.properties", self.home.kafka), ("format.properties", self.home.formatting)):
            (self.home.root / name).write_text(server_properties(port, controller, log_dirs.name), "ascii")
        (self.home.root / "log4j2.properties").write_text(LOG4J2_PROPERTIES, "ascii")

    def _format(self) -> None:
        """Make Kafka's storage, complete or not at all."""
        if self.home.kafka.exists():
            missing = [name for name in ("meta.properties", "bootstrap.checkpoint") if not self._stored(name)]
            if missing:
                raise StreamgaugeError(
                    f"{self.home.kafka} is half-written: {' and '.join(missing)} missing or empty; "
                    f"to start afresh: streamgauge broker stop --wipe --data {self.home.data}"
                )
            return
        command = self._java("kafka.tools.StorageTool", "format", "-c", "format.properties", f"-t={_cluster_id()}")
        done = subprocess.run(
            command,
            cwd=self.home.root,
            env=java_environment(self.class_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise self._failure("cannot format its storage", diagnose(done.stdout + done.stderr))
        self.home.formatting.rename(self.home.kafka)

    def _cluster(self) -> str:
        """The cluster id that the storage was formatted with."""
        lines = (self.home.kafka / "meta.properties").read_text("ascii").splitlines()
        return next(line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))

    def _stored(self, name: str) -> bool:
        return _size(self.home.kafka / name) > 0

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = self._java("kafka.Kafka", "server.properties")
        if self.foreground:
            remove = self.home.root if self.wipe else self.home.record
            command = [
                sys.executable,
                "-I",
                "-S",
                guard.__file__,
                f"--lock={self.lock}",
                f"--remove={remove}",
                *command,
            ]
        with self.home.console_log.open("wb") as console:
            return subprocess.Popen(
                command,
                cwd=self.home.root,
                env=java_environment(self.class_path),
                stdin=subprocess.PIPE if self.foreground else subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.foreground else console,
                stderr=console,
                pass_fds=(self.lock,),
                start_new_session=True,  # Ctrl-C is for the one who started it
            )

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        return java_command(self.java, self.home.tmp, main_class, *arguments)

    def _pid(self, child: subprocess.Popen[bytes]) -> int:
        """The JVM's process id, which the guard says when there is one."""
        if child.stdout is None:
            return child.pid
        line = child.stdout.readline()
        child.stdout.close()
        if not line:
            raise self._failure("did not start", diagnose(tail(self.home.console_log)))
        return int(line)

    def _await_answer(self, child: subprocess.Popen[bytes], record: Record) -> None:
        """Wait until this broker, and nobody else on its port, answers a client."""
        deadline = time.monotonic() + READY_S
        while not (connects(record.port) and _cluster_at(record.port) == self._cluster()):
            if child.poll() is not None:
                reason = diagnose(tail(self.home.console_log) + tail(self.home.server_log, record.log_start))
                if reason == PORT_TAKEN:
                    raise PortTaken(_taken(record.port))
                raise self._failure("ended while it started", reason)
            if time.monotonic() >= deadline:
                raise self._failure(f"was not ready within {READY_S:g} s", None)
            time.sleep(LOOK_EVERY_S)

    def _abandon(self, child: subprocess.Popen[bytes]) -> None:
        """Leave nothing of a start that failed: with the guard's pipe its broker ends, too."""
        if child.stdin is not None:
            child.stdin.close()
        child.kill() if child.stdin is None else child.wait()
        child.wait()
        self.home.record.unlink(missing_ok=True)

    def _failure(self, what: str, reason: str | None) -> StreamgaugeError:
        why = f": {reason}" if reason else ""
        return StreamgaugeError(f"the local broker {what}{why}; see {self.home.server_log} and {self.home.console_log}")


def connects(port: int) -> bool:
    """Whether something listens on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def check_port(port: int) -> None:
    """Make sure that a broker can listen on the port.

    Raises:
        PortTaken: something else does.
        StreamgaugeError: it is not for us.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: a port just left is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(_taken(port)) from error
            raise StreamgaugeError(f"port {port}: {error.strerror}; choose another one with --port") from error


def free_port(taken: int | None = None) -> int:
    """A port on loopback that nobody uses now, other than ``taken``."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port != taken:
            return port


def _taken(port: int) -> str:
    return (
        f"port {port} on {HOST} is in use by another process; stop that one, choose another port (--port), "
        f"or use it if it is a Kafka (--brokers {HOST}:{port})"
    )


def _cluster_at(port: int) -> str | None:
    """The cluster id that a client is told; None when no Kafka answers within a second."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from ops.kafka import client_logger

    admin = AdminClient({"bootstrap.servers": f"{HOST}:{port}"}, logger=client_logger())
    try:
        return admin.list_topics(timeout=1).cluster_id
    except KafkaException:
        return None


def _cluster_id() -> str:
    """A new cluster id as Kafka writes them: 128 random bits in base64."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
