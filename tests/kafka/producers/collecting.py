r"""``streamgauge collect`` as a test runs it, and clients that send to it: at once, or for as long as they like.

What a test does:

    server = Server(shell)
    server.post("/sessions", b"…\n").told           # {"accepted": 1, "rejected": 0, "errors": []}
    body = server.open("/sessions")
    body.send(b"…\n")
    body.end()
"""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple

import psutil

from tests.kafka.producers.conftest import PATIENCE_S, Shell
from tests.waiting import until


class Answer(NamedTuple):
    """What a client was told."""

    status: int
    headers: dict[str, str]
    told: dict[str, Any]


class OpenBody:
    """A request whose body has no end yet."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self.connection.putrequest("POST", path)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()

    def send(self, part: bytes) -> None:
        """Send some of it."""
        self.connection.send(b"%x\r\n%b\r\n" % (len(part), part))

    def end(self) -> Answer:
        """End it."""
        self.connection.send(b"0\r\n\r\n")
        return self.answer()

    def answer(self) -> Answer:
        """Wait for the answer, whether the body has ended or not."""
        answer = _read(self.connection.getresponse())
        self.connection.close()
        return answer


class Server:
    """The command under way, on a free port.

    Args:
        shell: where it runs; it ends with that.
        words: further ones.
    """

    def __init__(self, shell: Shell, *words: str) -> None:
        self.running = shell.start("collect", "--listen", "127.0.0.1:0", *words)
        self.port = int(until(lambda: re.findall(r"http://127\.0\.0\.1:(\d+)/", self.running.stderr), "it listens")[0])

    def post(self, path: str, body: Any, method: str = "POST", **headers: str) -> Answer:
        """Send a body: bytes with their length, anything else in chunks."""
        return post(self.port, path, body, method, **headers)

    def open(self, path: str, **headers: str) -> OpenBody:
        """Begin a body."""
        return OpenBody(self.port, path, {name.replace("_", "-"): value for name, value in headers.items()})


def post(port: int, path: str, body: Any, method: str = "POST", **headers: str) -> Answer:
    """Send a body to whatever listens on ``port``."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes))
    answer = _read(connection.getresponse())
    connection.close()
    return answer


def process_of(kafka: dict[str, Any]) -> psutil.Process:
    """The broker's process: who listens on its port."""
    port = int(kafka["bootstrap.servers"].rpartition(":")[2])
    (pid,) = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port  # pyright: ignore[reportAttributeAccessIssue]
    }
    assert pid is not None
    return psutil.Process(pid)


def _read(response: HTTPResponse) -> Answer:
    text = response.read()
    told = json.loads(text) if response.headers.get_content_type() == "application/json" else {}
    return Answer(response.status, dict(response.headers), told)
