"""Inputs of the benchmarks: shuffled events of `sites`, made once for all cases that want the same.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder:
...     path = Inputs(Path(folder)).many_sites(events=3, sites=2)
...     path.name, len(path.read_bytes().splitlines())
('many-3-2.jsonl', 3)

One event in ten is a status, of one of seven operators of its site; the rest are messages of 200 visitors. Times are
random within a week, so nearly every status comes late, and corrects what was counted before.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

WEEK_S = 7 * 86_400
BEGIN_S = 1_700_000_000
CHUNK = 50_000
VISITORS = 200
OPERATORS = 7
STATUSES = 0.1
"""The share of events that are statuses."""


class Inputs:
    """Files of events.

    Args:
        folder: where they lie; what lies there from an earlier time is taken as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def many_sites(self, events: int, sites: int) -> Path:
        """Events of ``sites`` sites, a few of them large and many small (their share falls as a square root)."""
        return self._made(f"many-{events}-{sites}.jsonl", events, lambda rng: int(sites * rng.random() ** 2))

    def equal_sites(self, events: int, each: int) -> Path:
        """Events of as many sites as there are when every site has ``each`` of them."""
        return self._made(f"equal-{events}-{each}.jsonl", events, lambda rng: int(rng.random() * (events // each)))

    def _made(self, name: str, events: int, site: Callable[[random.Random], int]) -> Path:
        path = self.folder / name
        if path.exists():
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        rng = random.Random(name)  # two files share no id: their events are not each other's repetitions
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            for first in range(0, events, CHUNK):
                count = min(CHUNK, events - first)
                ids = rng.randbytes(16 * count).hex()
                file.write("".join([_line(rng, ids[32 * i : 32 * i + 32], site(rng)) for i in range(count)]).encode())
        return unfinished.rename(path)


def _line(rng: random.Random, hexadecimal: str, site: int) -> str:
    h = hexadecimal
    at = BEGIN_S + int(rng.random() * WEEK_S)
    start = f'{{"id":"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}","type":'
    if rng.random() < STATUSES:
        status = "online" if rng.random() < 0.5 else "offline"
        sender = f"operator{int(rng.random() * OPERATORS)}"
        return (
            f'{start}"status","from":"{sender}","site_id":"{site}","timestamp":{at},"data":{{"status":"{status}"}}}}\n'
        )
    sender = f"visitor{int(rng.random() * VISITORS)}"
    text = "to and tangled in a line"
    return f'{start}"message","from":"{sender}","site_id":"{site}","timestamp":{at},"data":{{"message":"{text}"}}}}\n'
