"""A disk of its own for a worker's state: small, so that it can be filled.

with Disk(folder / "data" / "workers" / "w0", megabytes=64) as disk:
    disk.fill()
    disk.free()
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.root import as_root

CHUNK = bytes(64 << 10)


class Disk:
    """A file system in memory, mounted at ``path``.

    Args:
        path: where.
        megabytes: how large it is.
    """

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._megabytes = megabytes
        self._filler = path / "filler"

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        as_root("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "streamgauge-test", str(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        as_root("umount", "-l", str(self.path))

    def fill(self) -> str:
        """Leave no byte free."""
        with self._filler.open("ab", buffering=0) as filler:
            size = len(CHUNK)
            while size:
                try:
                    filler.write(CHUNK[:size])
                except OSError:
                    size //= 2
        return f"fill the disk of {self.path.name} ({os.statvfs(self.path).f_bfree} blocks free)"

    def free(self) -> str:
        """Make room again."""
        self._filler.unlink(missing_ok=True)
        return f"free the disk of {self.path.name}"
