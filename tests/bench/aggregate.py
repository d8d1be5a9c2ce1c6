"""What the aggregator of `sites` costs by itself: no Kafka, no decoding, rows in a dict.

    python -m tests.bench.aggregate                    every shape
    python -m tests.bench.aggregate --profile 2.5      where the time of one shape goes

Shapes: 2.5, 20 and 200 new events for each site that a batch touches, all sites alike; then the hot site: what an
event costs for one site of 2,000,000 messages against sites of 2,000. One event in ten is a status of one of seven
operators; 200 visitors a site; times are random, so every status is late.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import resource
import time
import uuid
from dataclasses import dataclass

from aggregators.aggregator import Batch, Counting
from aggregators.rows import Memory, MemoryStore, Rows
from aggregators.sites import Sites
from schemas.sites import Message, MessageData, SiteEvent, Status, StatusData

WEEK_S = 7 * 86_400
DATA = MessageData()
ON, OFF = StatusData("online"), StatusData("offline")


def event(rng: random.Random, site: str) -> SiteEvent:
    identity = str(uuid.UUID(int=rng.getrandbits(128)))
    moment = 1_700_000_000 + rng.randrange(WEEK_S)
    if rng.random() < 0.1:
        return Status(identity, f"operator{rng.randrange(7)}", site, moment, rng.choice((ON, OFF)))
    return Message(identity, f"visitor{rng.randrange(200)}", site, moment, DATA)


@dataclass
class Cost:
    """CPU and bytes of some events."""

    events: int = 0
    seconds: float = 0.0
    row_bytes: int = 0
    dirty: int = 0
    profile: cProfile.Profile | None = None

    def count(self, sites: Sites, rows: Rows, store: MemoryStore, batch: list[SiteEvent]) -> None:
        """Count one batch and its summaries; the epoch's end is not part of the cost."""
        if self.profile:
            self.profile.enable()
        began = time.process_time()
        changes = sites.update(rows, Batch(batch, [0] * len(batch)))
        for entity in changes.entities:
            sites.summary(rows, entity)
            self.dirty += 1
        self.seconds += time.process_time() - began
        if self.profile:
            self.profile.disable()
        self.events += len(batch)
        self.row_bytes += rows.dirty_bytes
        store.end_epoch(rows)

    def __str__(self) -> str:
        return (
            f"{self.seconds / self.events * 1e9:7,.0f} ns/event, {self.row_bytes / self.events:6.0f} row bytes/event, "
            f"{self.events / max(self.dirty, 1):6.1f} events per dirty site"
        )


def alike(count: int, total: int, batch: int, seed: int, profile: cProfile.Profile | None = None) -> Cost:
    """``total`` events of ``count`` sites, ``batch`` at a time; the second half is measured."""
    rng, sites, store, memory = random.Random(seed), Sites(Counting()), MemoryStore(), Memory()
    rows = Rows(store, memory=memory)
    warm, cost = Cost(), Cost(profile=profile)
    for at in range(0, total, batch):
        events = [event(rng, f"site{rng.randrange(count)}") for _ in range(batch)]
        (warm if at < total // 2 else cost).count(sites, rows, store, events)
    print(f"   first half {warm}")
    print(f"   kept {memory.used_bytes / total:.0f} bytes/event, resident {_resident_mb()} MB in all")
    return cost


def hot(messages: int, profile: cProfile.Profile | None = None, batch: int = 20_000) -> tuple[Cost, Cost]:
    """Events for one site of so many messages, and for sites of 2,000: batches of the same size."""
    costs: list[Cost] = []
    for count, total in ((1, messages), (batch // 200, batch // 200 * 2000)):
        rng, sites, store = random.Random(1), Sites(Counting()), MemoryStore()
        rows = Rows(store)
        cost, warm = Cost(profile=profile if count == 1 else None), Cost()
        measured = 5 * batch
        for at in range(0, total + measured, batch):
            events = [event(rng, f"site{rng.randrange(count)}") for _ in range(batch)]
            (warm if at < total else cost).count(sites, rows, store, events)
        print(f"   building up {warm}")
        costs.append(cost)
    return costs[0], costs[1]


def _resident_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--profile", metavar="SHAPE", help="2.5, 20, 200 or hot")
    parser.add_argument("--messages", type=int, default=2_000_000, help="of the hot site")
    options = parser.parse_args()
    profile = cProfile.Profile() if options.profile else None
    shapes = {"2.5": (5000, 12_500), "20": (1000, 20_000), "200": (100, 20_000)}
    for name, (count, batch) in shapes.items():
        if options.profile in {None, name}:
            print(f"{name} events per site and batch, {count} sites:")
            print(f"  {alike(count, count * 400, batch, 1, profile)}")
    if options.profile in {None, "hot"}:
        print(f"one site of {options.messages:,} messages against sites of 2,000:")
        large, small = hot(options.messages, profile)
        print(f"  large {large}\n  small {small}")
        print(f"  large / small in events per CPU-second: {small.seconds / large.seconds:.2f}")
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
