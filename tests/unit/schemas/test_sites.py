"""What a record of `sites` may be, and what makes it bad."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import BadRecord
from schemas.sites import SITES, Message, MessageData, Status, StatusData

MESSAGE: dict[str, Any] = {
    "id": "7b4a5786-3574-4806-9988-25d109c284b8",
    "type": "message",
    "from": "visitor1",
    "site_id": "1",
    "timestamp": 7391,
    "data": {"message": "to and tangled"},
}
STATUS: dict[str, Any] = {**MESSAGE, "type": "status", "from": "operator2", "data": {"status": "offline"}}


def decode(record: Any) -> Any:
    return SITES.decoder.decode_one(record if isinstance(record, bytes) else json.dumps(record).encode())


def without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k != key}


def test_both_types_decode_whatever_the_order_of_their_keys() -> None:
    """Key order varies in real files."""
    backwards = dict(reversed(STATUS.items()))
    assert decode(MESSAGE) == Message(MESSAGE["id"], "visitor1", "1", 7391, MessageData("to and tangled"))
    assert decode(backwards) == decode(STATUS) == Status(STATUS["id"], "operator2", "1", 7391, StatusData("offline"))


def test_the_text_of_a_message_may_be_absent() -> None:
    assert decode({**MESSAGE, "data": {}}).data == MessageData("")


def test_unknown_keys_are_ignored() -> None:
    """Also deep ones, and a status in a message's data."""
    assert decode({**MESSAGE, "more": [{"x": None}], "data": {"message": "a", "status": 5}}) == decode(
        {**MESSAGE, "data": {"message": "a"}}
    )


@pytest.mark.parametrize("text", ["\u0000", " ", "é", "e\u0301", "\U0001f600", "A", "a"])
def test_an_id_is_opaque(text: str) -> None:
    """Case, white space, control characters and composition are kept as they are."""
    record = decode({**MESSAGE, "id": text, "from": text, "site_id": text})
    assert (record.id, record.sender, record.site_id) == (text, text, text)
    assert SITES.key(record) == text


@pytest.mark.parametrize("timestamp", [0, -1, 2**63 - 1, -(2**63)])
def test_a_timestamp_is_any_whole_number_of_64_bits(timestamp: int) -> None:
    assert decode({**MESSAGE, "timestamp": timestamp}).timestamp == timestamp


@pytest.mark.parametrize("record", [MESSAGE, STATUS], ids=["message", "status"])
@pytest.mark.parametrize("key", ["id", "type", "from", "site_id", "timestamp", "data"])
def test_a_missing_key_makes_a_record_bad(record: dict[str, Any], key: str) -> None:
    with pytest.raises(BadRecord, match=f"missing required field `{key}`"):
        decode(without(record, key))


FITS = {"id": str, "type": str, "from": str, "site_id": str, "timestamp": int, "data": dict}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, fits in FITS.items() for value in (None, True, 7, 1.5, [], {}) if type(value) is not fits],
    ids=str,
)
def test_another_type_makes_a_record_bad(key: str, value: Any) -> None:
    """`true` is no number, and `1.5` no integer."""
    with pytest.raises(BadRecord, match=rf"`\$\.{key}`"):
        decode({**MESSAGE, key: value})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**MESSAGE, "id": ""}, r"length >= 1 - at `\$\.id`"),
        ({**MESSAGE, "from": ""}, r"length >= 1 - at `\$\.from`"),
        ({**STATUS, "site_id": ""}, r"length >= 1 - at `\$\.site_id`"),
        ({**MESSAGE, "type": "Message"}, r"'Message' - at `\$\.type`"),
        ({**STATUS, "data": {"status": "away"}}, r"'away' - at `\$\.data\.status`"),
        ({**STATUS, "data": {}}, "missing required field `status`"),
        ({**MESSAGE, "data": {"message": 1}}, r"Expected `str`, got `int` - at `\$\.data\.message`"),
        (json.dumps(MESSAGE).replace("7391", "7391.0").encode(), r"Expected `int`, got `float` - at `\$\.timestamp`"),
        ({**MESSAGE, "timestamp": 2**63}, r"Expected `int` <= 9223372036854775807 - at `\$\.timestamp`"),
        ({**MESSAGE, "timestamp": -(2**63) - 1}, r"Expected `int` >= -9223372036854775808 - at `\$\.timestamp`"),
        (json.dumps(MESSAGE).replace("7391", "1" * 5000).encode(), r"out of range - at `\$\.timestamp`"),
        (json.dumps({**MESSAGE, "timestamp": float("nan")}).encode(), "malformed"),
        (b"[" + json.dumps(MESSAGE).encode() + b"]", "Expected `object`, got `array`"),
        (json.dumps(MESSAGE).encode()[:-1], "truncated"),
        (json.dumps(MESSAGE).encode() * 2, "trailing characters"),
        (json.dumps(MESSAGE).replace('"', "'").encode(), "malformed"),
    ],
)
def test_every_other_bad_record_of_the_rules_is_named(record: Any, reason: str) -> None:
    """With the path to what is wrong."""
    with pytest.raises(BadRecord, match=reason):
        decode(record)
