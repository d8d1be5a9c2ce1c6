"""Events of `sites`, shuffled and duplicated.

>>> load = make(seed=1, events=1000, sites=10)
>>> load.records, len(load.bad), sorted(load.answer)[:3]
(1050, 5, ['0', '1', '2'])
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from dataclasses import replace
from typing import Any
from uuid import UUID

from schemas.sites import SITES
from tests.faults.workload import Step, Workload, bad_values

Event = dict[str, Any]
FILE = "events.jsonl"


def make(seed: int, events: int, sites: int = 300, duplicates: float = 0.05, bad: float = 0.005) -> Workload:
    """Make ``events`` different events of ``sites`` sites, some of them much larger than others.

    Args:
        seed: the same one gives the same workload.
        events: how many, before duplication.
        sites: how many.
        duplicates: the share of events that are sent once more.
        bad: the share, in events, of bad values beside them.
    """
    rng = random.Random(seed)
    made = [_event(rng, sites) for _ in range(events)]
    sent = made + [rng.choice(made) for _ in range(int(events * duplicates))]
    rng.shuffle(sent)
    return Workload(
        schema=SITES,
        steps=[Step(("replay", "sites", FILE), len(sent))],
        files={FILE: b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in sent)},
        answer=answer_of(made),
        bad=bad_values(seed, int(events * bad)),
    )


def again(load: Workload, number: int) -> Workload:
    """``load`` once more, of other sites and with other ids, for less than it takes to make one.

    Args:
        load: without bad values.
        number: a different one each time, less than 2³².
    """
    # The ends of ids: their order, which decides between two statuses of one moment, is that of their beginnings.
    ids = re.sub(rb'[0-9a-f]{8}","type"', b'%08x","type"' % number, load.files[FILE])
    return replace(
        load,
        files={FILE: ids.replace(b'"site_id":"', b'"site_id":"%d.' % number)},
        answer={f"{number}.{site}": {**fields, "site_id": f"{number}.{site}"} for site, fields in load.answer.items()},
    )


def _event(rng: random.Random, sites: int) -> Event:
    is_status = rng.random() < 0.15
    return {
        "id": str(UUID(int=rng.getrandbits(128))),
        "type": "status" if is_status else "message",
        "from": f"operator{rng.randrange(4)}" if is_status else f"visitor{rng.randrange(200)}",
        "site_id": str(int(sites * rng.random() ** 2)),
        "timestamp": rng.randrange(20_000),
        "data": {"status": rng.choice(("online", "offline"))} if is_status else {"message": "to and tangled"},
    }


def answer_of(events: list[Event]) -> dict[str, dict[str, Any]]:
    """The right summary of each site, by the rules read literally: sort, walk, count."""
    by_site: dict[str, list[Event]] = defaultdict(list)
    for event in {event["id"]: event for event in events}.values():
        by_site[event["site_id"]].append(event)
    return {site: _summary(site, of_site) for site, of_site in by_site.items()}


def _summary(site: str, events: list[Event]) -> dict[str, Any]:
    chats = emails = 0
    online: set[str] = set()
    # At one moment a status applies before a message, and of two statuses the one with the greater id last.
    for event in sorted(events, key=lambda event: (event["timestamp"], event["type"] == "message", event["id"])):
        if event["type"] == "message":
            if online:
                chats += 1
            else:
                emails += 1
        elif event["data"]["status"] == "online":
            online.add(event["from"])
        else:
            online.discard(event["from"])
    return {
        "site_id": site,
        "messages": chats,
        "emails": emails,
        "operators": len({event["from"] for event in events if event["type"] == "status"}),
        "visitors": len({event["from"] for event in events if event["type"] == "message"}),
    }
