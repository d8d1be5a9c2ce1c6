"""Kafka nodes as a test wants them: several at once, with further listeners and settings; gone at the end.

    with Nodes(folder, count=3) as nodes:
        nodes.bootstrap()                  # "127.0.0.1:40001,127.0.0.1:40002,127.0.0.1:40003"
        nodes.kill(2)                      # kill -9
        nodes.start(2)                     # on its data and its port again

The local broker (`ops.broker`) is one node by design. These run its settings and its Java, as a quorum of brokers that
are controllers, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.broker import guard, jars
from ops.broker.launch import free_port
from ops.broker.properties import LOG4J2_PROPERTIES, server_properties
from ops.broker.runtime import find_java, java_command, java_environment
from tests.waiting import until

HOST = "127.0.0.1"
CLUSTER = "c3RyZWFtZ2F1Z2UtdGVzdA"
"""Their cluster id: 16 bytes in base64."""


class Listener(NamedTuple):
    """Another way in than the plain one on loopback.

    Args:
        protocol: as Kafka names it: ``SASL_SSL``, …
        host: where it listens.
        name: of the listener.
    """

    protocol: str
    host: str = HOST
    name: str = "FURTHER"


class Nodes:
    """A cluster of ``count`` nodes below ``folder``.

    Args:
        folder: where everything is kept.
        count: of nodes; topics of Kafka's own have as many copies, up to 3, and want all but one of them in sync.
        further: another listener of each node.
        properties: of the broker, over those of the local one.
        format_options: words for the formatting of the storage.
    """

    def __init__(
        self,
        folder: Path,
        count: int = 1,
        *,
        further: Listener | None = None,
        properties: Mapping[str, str] | None = None,
        format_options: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self._further = further
        self._properties = dict(properties or {})
        self._format_options = format_options
        self._java, self._jars = find_java(), jars.ensure()
        ports: set[int] = set()
        while len(ports) < 3 * count:
            ports.add(free_port())
        chosen = sorted(ports)
        self.numbers = range(1, count + 1)
        self._ports = dict(zip(self.numbers, chosen, strict=False))
        self._controllers = dict(zip(self.numbers, chosen[count:], strict=False))
        self._further_ports = dict(zip(self.numbers, chosen[2 * count :], strict=False))
        self._guards: dict[int, subprocess.Popen[bytes]] = {}
        self.pids: dict[int, int] = {}
        """The JVM of each node that was started last."""

    def bootstrap(self, *, further: bool = False) -> str:
        """The addresses of all nodes, plain or of the further listener."""
        host = self._further.host if further and self._further else HOST
        ports = self._further_ports if further else self._ports
        return ",".join(f"{host}:{port}" for port in ports.values())

    def __enter__(self) -> Self:
        try:
            for number in self.numbers:
                self.spawn(number)
            for number in self.numbers:
                self.wait_for(number)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, number: int) -> None:
        """Start a node and wait until it answers."""
        self.spawn(number)
        self.wait_for(number)

    def spawn(self, number: int) -> None:
        """Start a node; it may answer later."""
        home = self._home(number)
        if not (home / "kafka").exists():
            self._format(number)
        # The guard ends the node when this process ends, however that ends.
        with (home / "console.log").open("ab") as console, (home / "lock").open("wb") as lock:
            self._guards[number] = subprocess.Popen(
                [
                    sys.executable, "-I", "-S", guard.__file__, f"--lock={lock.fileno()}",
                    f"--remove={home / 'lock'}", *self._command(home, "kafka.Kafka", "server.properties"),
                ],
                cwd=home, env=java_environment(self._jars), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=console, pass_fds=(lock.fileno(),), start_new_session=True,
            )  # fmt: skip
        out = self._guards[number].stdout
        if out is None:
            raise RuntimeError("a process started with a pipe has none")
        with out:
            self.pids[number] = int(out.readline())

    def wait_for(self, number: int) -> None:
        """Wait until a node answers a client.

        Raises:
            TimeoutError: it does not.
        """
        until(
            lambda: self._answers(number), f"node {number} answers: {self._home(number)}/logs/server.log", seconds=240
        )

    def kill(self, number: int) -> None:
        """End a node as a power cut would."""
        os.kill(self.pids[number], signal.SIGKILL)
        self._reap(number)

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a node a signal."""
        os.kill(self.pids[number], what)

    def stop(self) -> None:
        """End all nodes; nobody needs their data any more."""
        for number, guarding in self._guards.items():
            if guarding.poll() is None:
                os.kill(self.pids[number], signal.SIGKILL)
        for number in [*self._guards]:
            self._reap(number)

    def _reap(self, number: int) -> None:
        guarding = self._guards.pop(number)
        guarding.wait()
        if guarding.stdin is not None:
            guarding.stdin.close()

    def _home(self, number: int) -> Path:
        return self.folder / f"node-{number}"

    def _command(self, home: Path, main_class: str, *words: str) -> list[str]:
        return java_command(self._java, home, main_class, *words)

    def _format(self, number: int) -> None:
        home = self._home(number)
        (home / "logs").mkdir(parents=True)
        (home / "log4j2.properties").write_text(LOG4J2_PROPERTIES, "ascii")
        own = "".join(f"{key}={value}\n" for key, value in self._settings(number).items())
        # Of two settings of one name the later one holds.
        text = server_properties(self._ports[number], self._controllers[number]) + own
        (home / "server.properties").write_text(text, "ascii")
        words = ("format", "-c", "server.properties", f"-t={CLUSTER}", *self._format_options)
        done = subprocess.run(
            self._command(home, "kafka.tools.StorageTool", *words),
            cwd=home, env=java_environment(self._jars), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the storage of node {number} cannot be formatted: {done.stdout}{done.stderr}")

    def _settings(self, number: int) -> dict[str, str]:
        copies = min(3, len(self.numbers))
        plain, controller = f"{HOST}:{self._ports[number]}", f"{HOST}:{self._controllers[number]}"
        listeners, protocols = f"PLAINTEXT://{plain}", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        if self._further is not None:
            protocol, host, name = self._further
            listeners += f",{name}://{host}:{self._further_ports[number]}"
            protocols += f",{name}:{protocol}"
        return {
            "node.id": str(number),
            "controller.quorum.voters": ",".join(f"{n}@{HOST}:{port}" for n, port in self._controllers.items()),
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": protocols,
            "offsets.topic.replication.factor": str(copies),
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(max(1, copies - 1)),
            "min.insync.replicas": str(max(1, copies - 1)),
            **self._properties,
        }

    def _answers(self, number: int) -> bool:
        admin = AdminClient(_quiet(f"{HOST}:{self._ports[number]}"))
        try:
            return number in admin.list_topics(timeout=1).brokers
        except KafkaException:
            return False


def _quiet(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "log_level": 0}
