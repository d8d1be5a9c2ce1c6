"""Inputs of the benchmarks: shuffled events of `sites`, as fast as Python writes them.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder:
...     path = many_sites(Path(folder), events=3, sites=2)
...     len(path.read_bytes().splitlines())
3
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


def many_sites(folder: Path, events: int, sites: int) -> Path:
    """Events of ``sites`` sites, a few of them large and many small; a week, in no order."""
    return _write(folder / f"many-{events}-{sites}.jsonl", events, lambda rng: int(sites * rng.random() ** 2))


def equal_sites(folder: Path, events: int, each: int) -> Path:
    """Events of as many sites as there are when every site has ``each`` of them; a week, in no order."""
    return _write(folder / f"equal-{events}-{each}.jsonl", events, lambda rng: int(rng.random() * (events // each)))


def _write(path: Path, events: int, site: Callable[[random.Random], int]) -> Path:
    rng = random.Random(1)
    with path.open("wb") as file:
        for first in range(0, events, CHUNK):
            count = min(CHUNK, events - first)
            ids = rng.randbytes(16 * count).hex()
            file.write("".join(_line(rng, ids[32 * i : 32 * i + 32], site(rng)) for i in range(count)).encode())
    return path


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
