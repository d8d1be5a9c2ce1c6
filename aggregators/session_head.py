"""What is kept of a session for as long as the retention says: all that is published of it, in one row.

>>> head = Head(start=7_000, end=9_000, touched=9_000, threshold=0.3, known={"version": (7_000, "700")})
>>> head.put_samples(RANKS["login"], [0.5])
>>> decode(encode(head)) == head, summary("a", head)["above"], summary("a", head)["user"]
(True, {'login': 1.0}, None)

It does not depend on what of the session is folded, but for what later corrections need to know: the greatest folded
sample of each state, the highest folded window, and the last folded state.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from aggregators import exact
from schemas.sessions import STATES, UNKNOWN

NAMES = (UNKNOWN, *STATES)
"""States by rank: a state's place in the table, from 1; 0 is a sample's that came before any state."""
RANKS = {name: rank for rank, name in enumerate(NAMES)}
BINS = 30
"""Of [0, 1], for histograms."""
NO_FLOOR = -(1 << 60)


class Peak(NamedTuple):
    """The window with the greatest mean, the earliest of several."""

    mean: float
    window: int
    """Its number: windows since the epoch."""
    rank: int
    """The state that most of its samples have."""


class Share(Struct, array_like=True):
    """A state's samples."""

    count: int = 0
    above: int = 0
    """Those over the threshold."""
    top: float = -1.0
    """The greatest."""
    folded_top: float = -1.0
    """The greatest of those that are folded."""
    bins: list[int] = msgspec.field(default_factory=lambda: [0] * BINS)


class Head(Struct, array_like=True):
    """A session's totals."""

    start: int
    end: int
    touched: int
    """The partition's clock when the session last changed."""
    threshold: float
    """What held when the session began: its samples are all judged alike."""
    place: bytes = b""
    """Its index row, but for its name."""
    floor: int = NO_FLOOR
    """The number of the first window that is not folded."""
    samples: int = 0
    total: tuple[int, bytes] = (0, b"")
    """The exact sum of the samples (`aggregators.exact.pack`)."""
    known: dict[str, tuple[int, str]] = msgspec.field(default_factory=dict[str, tuple[int, str]])
    """When and what was last reported: version, user, further dimensions."""
    base: int = 0
    """The last state below the floor."""
    shares: dict[int, Share] = msgspec.field(default_factory=dict[int, Share])
    """By the state's rank."""
    folded_peak: Peak | None = None
    peak: Peak | None = None

    def put_share(self, rank: int, share: Share) -> None:
        """Count samples of a state by what they add up to."""
        ours = self.shares.get(rank)
        if ours is None:
            self.shares[rank] = share
            return
        ours.count += share.count
        ours.above += share.above
        ours.top = max(ours.top, share.top)
        ours.folded_top = max(ours.folded_top, share.folded_top)
        ours.bins = list(map(add, ours.bins, share.bins))

    def put_samples(self, rank: int, cpus: Sequence[float]) -> None:
        """Count samples of a state, at least one."""
        share = self.shares.get(rank)
        if share is None:
            share = self.shares[rank] = Share()
        share.top = max(share.top, *cpus)
        self._change(share, cpus, 1)

    def take_samples(self, rank: int, cpus: Sequence[float]) -> None:
        """Undo `put_samples`, but for ``top``."""
        self._change(self.shares[rank], cpus, -1)

    def _change(self, share: Share, cpus: Sequence[float], by: int) -> None:
        threshold, bins = self.threshold, share.bins
        share.count += by * len(cpus)
        for cpu in cpus:
            if cpu > threshold:
                share.above += by
            bins[int(cpu * BINS) if cpu < 1 else BINS - 1] += by

    def of(self, dimension: str) -> str | None:
        """What was last reported of a dimension; None when it never was."""
        known = self.known.get(dimension)
        return None if known is None else known[1]


decode = msgspec.msgpack.Decoder(Head).decode
_encode = msgspec.msgpack.Encoder().encode


def encode(head: Head) -> bytes:
    """The row of ``head``: the same bytes, however its parts came."""
    head.shares = {rank: share for rank, share in sorted(head.shares.items()) if share.count}
    head.known = dict(sorted(head.known.items()))
    return _encode(head)


def summary(name: str, head: Head) -> dict[str, Any]:
    """What is published of the session called ``name``."""
    shares = [(NAMES[rank], share) for rank, share in sorted(head.shares.items()) if share.count]
    return {
        "sessionID": name,
        "version": head.of("version"),
        "user": head.of("user"),
        "start": head.start,
        "end": head.end,
        "samples": head.samples,
        "mean": exact.mean(exact.unpack(head.total), head.samples) if head.samples else None,
        "peak": None if head.peak is None else head.peak.mean,
        "max": {state: share.top for state, share in shares},
        "above": {state: share.above / share.count for state, share in shares},
    }
