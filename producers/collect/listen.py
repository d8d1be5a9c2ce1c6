"""Where connections come from: an address, no more of them than there is room for, and no dead ones.

    bound = bind("127.0.0.1", 0)
    server = BoundedServer(answer, keepalive_timeout=75)

A client that vanishes without a word leaves a connection that looks open. One that has a body under way may be silent
for hours, so it is not silence that ends a connection, but the lack of an answer from the other machine.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from aiohttp import web

from producers.files import files_allowed
from schemas.errors import StreamgaugeError

BACKLOG = 1024
"""Clients that may wait to be let in: after a restart all of them come at once."""
MOST_CONNECTIONS = 10_000
SPARE_FILES = 200
"""What Kafka's clients, logs and the rest may open beside connections."""
TCP_OPTIONS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}
"""The other machine is asked for a sign of life after a minute, and given up after another, where the system can."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is a free one.

    Raises:
        StreamgaugeError: the address cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason: object = error
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno) if error.errno > 0 else str(error.strerror).partition(" (")[0]
        raise StreamgaugeError(
            f"cannot listen on {host}:{port}: {reason}; name another address with --listen"
        ) from error
    for name, value in TCP_OPTIONS.items():
        if hasattr(socket, name):  # what is accepted inherits it
            bound.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return bound


class BoundedServer(web.Server):
    """aiohttp's server, which takes any number of connections; this one closes what is too many."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = connections_allowed()
        self._open = 0

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Count it, and close it where there are too many."""
        super().connection_made(handler, transport)
        self._open += 1
        if self._open > self._most:
            transport.abort()

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Count it no more."""
        super().connection_lost(handler, exc)
        self._open -= 1


def connections_allowed() -> int:
    """How many connections this process may have open, after it has asked the system for as many files."""
    files = files_allowed(MOST_CONNECTIONS + SPARE_FILES)
    return max(files - SPARE_FILES, files // 2)
