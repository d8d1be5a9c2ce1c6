"""What a worker takes that has nothing to do: its start, and every second afterwards.

found = resting(rig)
found.start_s, found.share      # CPU seconds until it was ready; of a core, from then on

What a record costs is told without the start, which is paid once.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from tests.bench.measure import Tree
from tests.bench.rig import Rig

IDLE_S = 10.0


class Idle(NamedTuple):
    """A worker that has nothing to do."""

    ready_s: float
    """From its start until it is ready."""
    start_s: float
    """CPU seconds of that."""
    share: float
    """Of a core, afterwards."""
    broker_share: float
    """What the broker takes meanwhile."""
    rss_mb: float
    threads: int
    files: int
    connections: int


def resting(rig: Rig) -> Idle:
    """Start a worker on empty topics, look at it for a while, and stop it; nothing of it is left."""
    begin = time.monotonic()
    tree, start_s = rig.start_idle("--leave")
    ready_s = time.monotonic() - begin
    broker = Tree(rig.cluster.broker.pid)
    rig.counters()  # they can be asked for when a start has nothing left to do
    begin, cpu_s, broker_s = time.monotonic(), tree.cpu_s(), broker.cpu_s()
    time.sleep(IDLE_S)
    passed_s = time.monotonic() - begin
    shares = (tree.cpu_s() - cpu_s) / passed_s, (broker.cpu_s() - broker_s) / passed_s
    found = Idle(ready_s, start_s, *shares, tree.rss_mb(), tree.threads(), tree.files(), tree.connections())
    rig.stop()
    rig.forget()
    return found
