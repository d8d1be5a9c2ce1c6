"""What keeps a file below ``--data`` says where, when the disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from ops.worker.lock import WorkerLock
from producers.positions import Identity, Positions
from producers.unread import Unread
from schemas.errors import StreamgaugeError


def enter(lock: WorkerLock) -> None:
    with lock:
        pass


@pytest.mark.parametrize(
    ("keep", "where"),
    [
        (lambda data: enter(WorkerLock(data, "w")), "cannot keep state in .*/workers/w: No space left"),
        (lambda data: Positions(data).lock(Identity(1, 2), "a.log"), "cannot keep the position in .*/1-2.lock: No spa"),
        (lambda data: Unread(data, "http://api/", None, None).lock(), "cannot keep the position in .*json: No space"),
    ],
    ids=["worker", "follow", "poll"],
)
def test_a_full_disk_is_told_with_its_place(
    keep: Callable[[Path], None], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file can still be made, and takes nothing."""

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StreamgaugeError, match=where):
        keep(tmp_path)
