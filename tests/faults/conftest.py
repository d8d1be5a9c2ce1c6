"""The seed of a case: new each time, printed, and taken back with ``--seed``; the next repetition has the next one."""

from __future__ import annotations

import random

import pytest


@pytest.fixture
def repetition() -> int:
    """Which run of its case a test is; `tests.faults.case.THRICE` says otherwise."""
    return 0


@pytest.fixture
def seed(request: pytest.FixtureRequest, repetition: int) -> int:
    """What all randomness of a case comes from."""
    given = request.config.getoption("--seed")
    return (given if given is not None else random.SystemRandom().randrange(1_000_000)) + repetition
