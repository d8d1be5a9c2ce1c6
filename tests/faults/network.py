"""A network of its own for a worker: a namespace of the kernel, with one cable to this machine, which can be cut.

    with Network() as network:
        subprocess.Popen(network.inside("streamgauge", "worker", …))    # reaches this machine at network.here
        network.cut("in")                                               # whatever is sent to it is lost in silence
        network.heal()

What is cut off notices nothing, as when a switch dies: no connection is closed, nothing is refused.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Literal, Self

from tests.faults.root import as_root

Direction = Literal["in", "out", "both"]
WAYS: tuple[Direction, ...] = ("in", "out", "both")


class Network:
    """A namespace and its cable. Linux alone has it."""

    def __init__(self) -> None:
        number = os.getpid() % 250 + 1
        self.name = f"streamgauge-{os.getpid()}"
        self._cable = f"sg{os.getpid()}"
        self.here = f"10.213.{number}.1"
        """Where what is inside reaches this machine."""
        self._there = f"10.213.{number}.2"

    def __enter__(self) -> Self:
        as_root("ip", "netns", "add", self.name)
        try:
            as_root("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "cable", "netns", self.name)
            as_root("ip", "address", "add", f"{self.here}/30", "dev", self._cable)
            as_root("ip", "link", "set", self._cable, "up")
            for words in (
                ("ip", "address", "add", f"{self._there}/30", "dev", "cable"),
                ("ip", "link", "set", "cable", "up"),
                ("ip", "link", "set", "lo", "up"),
                ("nft", "add", "table", "ip", "cut"),
                ("nft", "add", "chain", "ip", "cut", "in", "{ type filter hook input priority 0; }"),
                ("nft", "add", "chain", "ip", "cut", "out", "{ type filter hook output priority 0; }"),
            ):
                as_root(*self.inside(*words))
        except BaseException:
            as_root("ip", "netns", "delete", self.name)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        as_root("ip", "netns", "delete", self.name)  # and the cable with it

    def inside(self, *words: str) -> list[str]:
        """The command line that runs ``words`` inside."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self, direction: Direction) -> None:
        """Lose all that goes in, out, or both ways, over the cable."""
        for way in ("in", "out"):
            if direction in {way, "both"}:
                as_root(*self.inside("nft", "add", "rule", "ip", "cut", way, f"{way[0]}ifname", "cable", "drop"))

    def heal(self) -> None:
        """Lose nothing any more."""
        as_root(*self.inside("nft", "flush", "table", "ip", "cut"))
