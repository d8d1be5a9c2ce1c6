"""What a worker tells an engine process when it starts it: one line of JSON on the process's stdin.

Not arguments, because ``ps`` shows those to everyone and Kafka settings hold passwords. Stdin stays open for as
long as the worker lives; its end means that the worker is gone (`ops.worker.engine_process`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aggregators.aggregator import Counting
from ops.worker.logs import Style


@dataclass(frozen=True)
class Order:
    """One engine process's work.

    Args:
        stream: to serve.
        worker: the worker's id.
        instance: this process's: ``ID-n``.
        pid: of the worker.
        kafka: librdkafka client properties.
        state_dir: where this process keeps the stream's state.
        counting: what counts, and how.
        epoch_s: seconds between two epochs.
        standbys: copies of each partition's state on other workers.
        memory_bytes: budget of this process for state.
        skip_lost: go on past input that retention removed.
        database: whose tables are kept up to date, too; None: no database's.
        leave: leave the group at the end instead of keeping the place for a restart.
        advertise: ``HOST:PORT`` under which others reach the worker; None when it serves no HTTP.
        listen_fd: the socket on which the worker asks this process; -1 when it serves no HTTP.
        log_style: of log lines.
        log_level: of our own log lines.
        debug: show tracebacks.
    """

    stream: str
    worker: str
    instance: str
    pid: int
    kafka: dict[str, str]
    state_dir: Path
    counting: Counting = field(default_factory=Counting)
    epoch_s: float = 0.5
    standbys: int = 0
    memory_bytes: int = 1 << 30
    skip_lost: bool = False
    database: str | None = None
    leave: bool = False
    advertise: str | None = None
    listen_fd: int = -1
    log_style: Style = "json"
    log_level: int = 20
    debug: bool = False

    def line(self) -> bytes:
        """This order as a line."""
        return json.dumps(asdict(self), default=str).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Order:
        """The order that `line` made ``line`` of.

        >>> order = Order("sites", "a", "a-0", 1, {}, Path("/x"), Counting(retention_ms=5))
        >>> Order.of(order.line()) == order
        True
        """
        told: dict[str, Any] = json.loads(line)
        counting: dict[str, Any] = told["counting"]
        counting["dimensions"] = tuple(counting["dimensions"])
        told["counting"] = Counting(**counting)
        told["state_dir"] = Path(told["state_dir"])
        return cls(**told)
