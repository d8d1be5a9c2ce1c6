"""What a record of `sessions` may be, what makes it bad, and what the configuration adds to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from producers.simulate.bad_sessions import KINDS, bad_line
from schemas.errors import BadRecord, UsageError
from schemas.sessions import SESSIONS, SessionRecord, further_of

SAMPLE: dict[str, Any] = {"timestamp": 1_635_967_999_000, "sessionID": "a", "cpu": 0.42}


def decode(record: Any, *dimensions: str) -> Any:
    value = record if isinstance(record, bytes) else json.dumps(record).encode()
    return SESSIONS.with_fields(dimensions).decoder.decode_one(value)


def test_optional_fields_come_in_any_combination() -> None:
    """None at all is a record, too; unknown keys are ignored."""
    bare = {"timestamp": 5, "sessionID": "a", "os": 7}
    assert decode(bare) == SessionRecord(5, "a")
    every = {**bare, "state": "login", "version": "700", "userID": "Sally", "cpu": 1}
    assert decode(every) == SessionRecord(5, "a", "login", "700", "Sally", 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bad_record_is_bad(kind: str) -> None:
    with pytest.raises(BadRecord):
        decode(bad_line(kind, b"a", 5))


@pytest.mark.parametrize("cpu", [-0.001, 1.0000001, 7, True, None, "0.5"])
def test_a_share_is_a_number_from_0_to_1(cpu: Any) -> None:
    with pytest.raises(BadRecord, match=r"\$\.cpu"):
        decode({**SAMPLE, "cpu": cpu})


def test_configured_fields_are_strings_and_others_are_not_looked_at() -> None:
    """A field of another type is bad for who is configured to know it, and unknown to all others."""
    assert decode({**SAMPLE, "os": 7}).cpu == 0.42
    with pytest.raises(BadRecord, match=r"Expected `str`, got `int` - at `\$\.os`"):
        decode({**SAMPLE, "os": 7}, "os")


def test_a_dimension_is_a_field_or_the_length_of_one() -> None:
    """Both of one field, too; each once."""
    dimensions = ("file", "file:length", "file", "os")
    record = decode({**SAMPLE, "file": "é\U0001f600"}, *dimensions)
    assert [(one.dimension, one.of(record)) for one in further_of(dimensions)] == [
        ("file", "é\U0001f600"),
        ("file:length", "2"),
        ("os", None),
    ]
    assert record.version is UNSET


@pytest.mark.parametrize(
    "dimension", ["version", "state", "user", "userID", "cpu", "timestamp", "cpu:length", ":length"]
)
def test_what_is_always_there_is_no_further_dimension(dimension: str) -> None:
    with pytest.raises(UsageError, match="cannot be a further dimension"):
        SESSIONS.with_fields(("os", dimension))
