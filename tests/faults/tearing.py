"""Damage to a RocksDB directory, as broken disks and careless copies do it: cut, flipped, lost, old.

tear(random.Random(7), folder)      # says what was done to which file
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

KINDS = ("cut a log", "flip bits of a log", "cut a table", "flip bits of a table", "lose a table", "spoil CURRENT")
LOGS, TABLES = "*.log", "*.sst"


def stores(state: Path) -> list[Path]:
    """The RocksDB directories of a worker."""
    return sorted(current.parent for current in state.rglob("CURRENT"))


def tear(rng: random.Random, state: Path) -> str:
    """Damage one file of each store below ``state``; a kind that finds no file of its own damages a log."""
    done: list[str] = []
    for store in stores(state):
        kind = rng.choice(KINDS)
        wanted = TABLES if "table" in kind else "CURRENT" if "CURRENT" in kind else LOGS
        files = [path for path in store.glob(wanted) if path.stat().st_size]
        if not files:
            kind, files = "cut a log", [path for path in store.glob(LOGS) if path.stat().st_size]
        if files:
            victim = rng.choice(sorted(files))
            _damage(rng, kind, victim)
            done.append(f"{kind} ({victim.name} of {store.name})")
    return ", ".join(done) or "damage nothing, for there is nothing"


def _damage(rng: random.Random, kind: str, victim: Path) -> None:
    size = victim.stat().st_size
    if kind.startswith("lose"):
        victim.unlink()
    elif kind.startswith("cut"):
        with victim.open("r+b") as file:
            file.truncate(rng.randrange(size))
    elif kind.startswith("flip"):
        with victim.open("r+b") as file:
            for _ in range(3):
                at = rng.randrange(size)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ (1 << rng.randrange(8))]))
    else:
        victim.write_bytes(rng.choice([b"", b"MANIFEST-999999\n", rng.randbytes(16)]))


class OldCopy:
    """A copy of a worker's state, which comes back later as if nothing had happened since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def swap(self, state: Path) -> str:
        """Put back what was kept, and keep what is there now."""
        newer = self._folder.with_suffix(".newer")
        shutil.copytree(state, newer)
        if not self._folder.exists():
            newer.rename(self._folder)
            return "keep a copy of its state"
        shutil.rmtree(state)
        self._folder.rename(state)
        newer.rename(self._folder)
        return "put an old copy of its state in its place"
