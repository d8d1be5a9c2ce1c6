"""What every test stands on: a red test is a bug, never a slow machine."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("house", max_examples=50, deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take back the seed that a failing fault case printed."""
    parser.addoption("--seed", type=int, help="of the cases in tests/faults; a failure prints the one to give here")
