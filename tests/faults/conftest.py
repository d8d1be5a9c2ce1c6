"""The seed of a case: a new one each time, printed, and taken back with ``--seed``."""

from __future__ import annotations

import random

import pytest


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What all randomness of a case comes from."""
    given = request.config.getoption("--seed")
    return given if given is not None else random.SystemRandom().randrange(1_000_000)
