"""How many connections are let in follows from how many files the system allows."""

from __future__ import annotations

import resource

import pytest

from producers.collect.listen import MOST_CONNECTIONS, SPARE_FILES, connections_allowed

NO_LIMIT = resource.RLIM_INFINITY
WANTED = MOST_CONNECTIONS + SPARE_FILES


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "allowed"),
    [
        (1024, 1 << 20, WANTED, MOST_CONNECTIONS),
        (1024, NO_LIMIT, WANTED, MOST_CONNECTIONS),
        (1024, 4096, 4096, 4096 - SPARE_FILES),
        (300, 300, None, 150),
        (1 << 20, 1 << 20, None, MOST_CONNECTIONS),
        (NO_LIMIT, NO_LIMIT, None, MOST_CONNECTIONS),
    ],
)
def test_as_many_connections_are_let_in_as_there_are_files_for(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, asked: int | None, allowed: int
) -> None:
    """A shell's usual 1,024 are raised; what Kafka's clients need is left to them."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert connections_allowed() == allowed
    assert limits == ([] if asked is None else [(asked, hard)])
