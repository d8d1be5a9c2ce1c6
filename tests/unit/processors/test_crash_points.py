"""A crash where it was asked for, once, and nowhere else."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from processors import crash_points

ROOT = Path(__file__).parents[3]


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals by which this process would have died."""
    died: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: died.append(number))
    return died


def test_a_fuse_burns_once_at_its_point_and_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: list[int]
) -> None:
    """Until another one is lit."""
    fuse = tmp_path / "fuse"
    monkeypatch.setattr(crash_points, "_fuse", fuse)
    prepared: list[str] = []
    crash_points.reached("after-commit")
    fuse.write_text("after-commit:2\n")
    crash_points.reached("before-commit", lambda: prepared.append("no"))
    crash_points.reached("after-commit", lambda: prepared.append("too early"))
    assert (deaths, prepared) == ([], [])
    crash_points.reached("after-commit", lambda: prepared.append("flushed"))
    assert (deaths, prepared) == ([signal.SIGKILL], ["flushed"])
    crash_points.reached("after-commit")
    assert deaths == [signal.SIGKILL]
    assert [path.name for path in tmp_path.iterdir()] == ["fuse.burnt"]


def test_without_the_variable_no_file_is_looked_at(deaths: list[int]) -> None:
    """This process has none."""
    assert crash_points.VARIABLE not in os.environ
    crash_points.reached("after-commit", lambda: pytest.fail("nothing was to die"))
    crash_points.soon("in-store")
    assert deaths == []


def test_every_point_is_in_the_code_and_told_of() -> None:
    """A point that nobody reaches would make a test of it pass by waiting for nothing."""
    called = {
        point
        for path in (ROOT / "processors").glob("*.py")
        for point in re.findall(r"crash_points\.(?:reached|soon)\(\s*\"([a-z-]+)\"", path.read_text())
    }
    assert called == crash_points.POINTS.keys()
