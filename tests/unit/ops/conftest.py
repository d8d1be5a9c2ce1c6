"""How tests call the program: in this process, its exit code and both outputs at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from ops import console
from ops.cli import run


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


Program = Callable[..., Ended]


@pytest.fixture
def streamgauge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """Run the words in this process; nothing of the person's own environment counts."""
    for name in ("STREAMGAUGE_BROKERS", "STREAMGAUGE_CONFIG", "STREAMGAUGE_DEBUG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> Ended:
        code = run(words)
        console.configure(quiet=False, verbose=0, color="auto")
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call
