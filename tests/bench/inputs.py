"""Inputs of the benchmarks: shuffled events of `sites`, made once for all cases that want the same.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder:
...     path = Inputs(Path(folder)).many_sites(events=3, sites=2)
...     path.name, len(path.read_bytes().splitlines())
('many-3-2.jsonl', 3)

One event in ten is a status, of one of seven operators of its site; the rest are messages of 200 visitors. Times are
random within a week, so nearly every status comes late, and corrects what was counted before. Where the size of an
event is set, all of them are messages, filled up with words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

WEEK_S = 7 * 86_400
BEGIN_S = 1_700_000_000
CHUNK = 50_000
VISITORS = 200
OPERATORS = 7
STATUSES = 0.1
"""The share of events that are statuses."""
STRIDE = 7_368_787
"""A prime: events of as many sites as one likes visit them in no order, and all of them equally often."""
WORDS = 2_000
TEXT_BYTES = 16 << 20
"""Of words, of which each message takes a piece: longer than what a codec looks back for repetitions."""


class Inputs:
    """Files of events.

    Args:
        folder: where they lie; what lies there from an earlier time is taken as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def many_sites(self, events: int, sites: int) -> Path:
        """Events of ``sites`` sites, a few of them large and many small (their share falls as a square root)."""
        return self._made(f"many-{events}-{sites}.jsonl", events, lambda rng, _: int(sites * rng.random() ** 2))

    def equal_sites(self, events: int, each: int) -> Path:
        """Events of as many sites as there are when every site has ``each`` of them."""
        return self._made(f"equal-{events}-{each}.jsonl", events, lambda rng, _: int(rng.random() * (events // each)))

    def all_sites(self, events: int, sites: int) -> Path:
        """Events of ``sites`` sites in turn, in an order that looks like none: after ``sites`` events each has one."""
        return self._made(f"all-{events}-{sites}.jsonl", events, lambda _, number: number * STRIDE % sites)

    def sized(self, events: int, sites: int, nbytes: int) -> Path:
        """Messages of ``nbytes`` each, the line's end included, or of the least that a message takes."""
        name = f"sized-{events}-{sites}-{nbytes}.jsonl"
        rng = random.Random(name)
        words = ["".join(rng.choices("aeiounrstlmd", k=rng.randrange(2, 10))) for _ in range(WORDS)]
        text = " ".join(rng.choices(words, k=TEXT_BYTES // 6))

        def line(rng: random.Random, hexadecimal: str, number: int) -> str:
            head = f'{_start(hexadecimal)}"message","from":"v{int(rng.random() * VISITORS)}"'
            site = number * STRIDE % sites
            line = f'{head},"site_id":"{site}","timestamp":{_moment(rng)},"data":{{"message":""}}}}\n'
            begin, room = int(rng.random() * (len(text) - nbytes)), max(0, nbytes - len(line))
            return f"{line[:-4]}{text[begin : begin + room]}{line[-4:]}"

        return self._written(name, events, line)

    def parts(self, path: Path, sizes: Sequence[int]) -> list[Path]:
        """The lines of ``path`` in several files, so many in each."""
        paths = [path.with_name(f"{path.stem}-{number}-of-{len(sizes)}.jsonl") for number in range(1, len(sizes) + 1)]
        if not all(part.exists() for part in paths):
            with path.open("rb") as file:
                for part, size in zip(paths, sizes, strict=True):
                    unfinished = part.with_suffix(".part")
                    with unfinished.open("wb") as lines:
                        lines.writelines(islice(file, size))
                    unfinished.rename(part)
        return paths

    def _made(self, name: str, events: int, site: Callable[[random.Random, int], int]) -> Path:
        """Events of the usual kind; ``site`` is that of an event, by its number."""
        return self._written(name, events, lambda rng, identity, number: _line(rng, identity, site(rng, number)))

    def _written(self, name: str, events: int, line: Callable[[random.Random, str, int], str]) -> Path:
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
                lines = [line(rng, ids[32 * i : 32 * i + 32], first + i) for i in range(count)]
                file.write("".join(lines).encode())
        return unfinished.rename(path)


def _start(hexadecimal: str) -> str:
    h = hexadecimal
    return f'{{"id":"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}","type":'


def _moment(rng: random.Random) -> int:
    return BEGIN_S + int(rng.random() * WEEK_S)


def _line(rng: random.Random, hexadecimal: str, site: int) -> str:
    at = _moment(rng)
    start = _start(hexadecimal)
    if rng.random() < STATUSES:
        status = "online" if rng.random() < 0.5 else "offline"
        sender = f"operator{int(rng.random() * OPERATORS)}"
        return (
            f'{start}"status","from":"{sender}","site_id":"{site}","timestamp":{at},"data":{{"status":"{status}"}}}}\n'
        )
    sender = f"visitor{int(rng.random() * VISITORS)}"
    text = "to and tangled in a line"
    return f'{start}"message","from":"{sender}","site_id":"{site}","timestamp":{at},"data":{{"message":"{text}"}}}}\n'
