"""What every test stands on: a red test is a bug, never a slow machine."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# Whatever a shell starts in the background ignores Ctrl-C, and so does all that it starts: tests run there, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A run that is ended by whoever started it (CI that takes too long) stops what it has started, too.
signal.signal(signal.SIGTERM, signal.default_int_handler)

settings.register_profile("house", max_examples=50, deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the cases in tests/faults are told; among it the seed that a failing one printed."""
    parser.addoption("--minutes", type=float, default=60.0, help="that the soak lasts (make soak)")
    parser.addoption("--seed", type=int, help="of the cases in tests/faults; a failure prints the one to give here")
