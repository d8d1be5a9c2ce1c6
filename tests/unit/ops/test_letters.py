"""Dead letters as people see them."""

from __future__ import annotations

import pytest

from ops.letters import Letter, place_of_id
from schemas.errors import UsageError
from schemas.wire import (
    LETTER_FILE,
    LETTER_LENGTH,
    LETTER_LINE,
    LETTER_MESSAGE,
    LETTER_OFFSET,
    LETTER_PARTITION,
    LETTER_TOPIC,
)


def letter(**headers: bytes) -> Letter:
    return Letter(0, 17, 1_700_000_000_123, None, b"{\xff}", headers)


def test_a_letter_is_shown_with_all_that_is_known_of_it() -> None:
    """The names are those of ``dlq list --json``, and an origin that nobody knows is null."""
    shown = letter(**{LETTER_MESSAGE: b"not JSON", LETTER_FILE: b"a\xff.jsonl", LETTER_LINE: b"12"})
    assert shown.plain() == {
        "id": "0-17",
        "reason": "not JSON",
        "file": "a\\xff.jsonl",
        "line": 12,
        "topic": None,
        "partition": None,
        "offset": None,
        "time": "2023-11-14T22:13:20.123Z",
        "bytes": 3,
        "value": "e/99",
    }
    assert shown.origin == "a\\xff.jsonl:12"
    assert not shown.counted


def test_a_workers_letter_names_its_place_in_the_input_topic() -> None:
    shown = letter(**{LETTER_TOPIC: b"sites", LETTER_PARTITION: b"3", LETTER_OFFSET: b"99"})
    assert (shown.counted, shown.origin) == (True, "sites-3@99")
    assert (shown.plain()["partition"], shown.plain()["offset"]) == (3, 99)


def test_a_letter_that_was_cut_tells_the_whole_length() -> None:
    assert letter(**{LETTER_LENGTH: b"1500000"}).bytes == 1_500_000


def test_a_letter_that_somebody_else_wrote_breaks_nothing() -> None:
    """Other programs write other headers, or none."""
    assert letter().plain()["reason"] == "no reason given"
    assert letter(**{LETTER_LINE: b"twelve"}).plain()["line"] is None


def test_an_id_is_partition_and_offset() -> None:
    assert place_of_id("3-41") == (3, 41)
    for text in ("3", "3-", "a-1", "-1-2", "1-2-3", ""):
        with pytest.raises(UsageError, match="no dead letter's id"):
            place_of_id(text)
