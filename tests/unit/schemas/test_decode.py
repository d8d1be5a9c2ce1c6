"""A run decoded at once is the run decoded one by one, whatever it holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.decode import Decoded, RunDecoder
from schemas.errors import BadRecord
from schemas.sites import SITES, SiteEvent

GOOD = b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}'
STATUS = b'{"data":{"status":"online"},"timestamp":2,"site_id":"7","from":"o","type":"status","id":"b"}'
DEEP = b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"," + GOOD[1:]


def one_by_one(values: list[bytes | None]) -> Decoded[SiteEvent]:
    """What `decode` must equal, by the definition."""
    decoder = SITES.decoder
    records: list[SiteEvent] = []
    positions: list[int] = []
    bad: list[tuple[int, str]] = []
    for position, value in enumerate(values):
        try:
            records.append(decoder.decode_one(value))
            positions.append(position)
        except BadRecord as error:
            bad.append((position, str(error)))
    return Decoded(records, positions, bad)


def torn(value: bytes, at: int) -> list[bytes]:
    """``value`` in two pieces: neither is a record, their sum is."""
    return [value[:at], value[at:]]


goods = st.builds(
    lambda i, text, stamp, status: json.dumps(
        {
            "id": i,
            "type": "status" if status else "message",
            "from": text,
            "site_id": text,
            "timestamp": stamp,
            "data": {"status": status} if status else {"message": text},
        },
        ensure_ascii=False,
    ).encode(),
    st.uuids().map(str),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([None, "online", "offline"]),
)
pieces = st.one_of(
    st.lists(goods, min_size=1, max_size=30),
    st.sampled_from(
        [
            [None],
            [b""],
            [b" \t\r\n"],
            [GOOD + b"\n"],
            [b"  " + GOOD],
            [GOOD.replace(b",", b",\n")],
            [GOOD + GOOD],
            [GOOD + b"\n" + STATUS],
            [GOOD + b"," + STATUS],
            [b"[" + GOOD + b"]"],
            [DEEP],
            [b"\xef\xbb\xbf" + GOOD],
            [GOOD.replace(b'"v"', b'"\xff"')],
            [GOOD.replace(b'"v"', b'"\\ud800"')],
            [GOOD.replace(b"{}", b'{"more":"\xff"}')],
            [GOOD.replace(b"1", b"1" * 40)],
            [GOOD.replace(b":1,", b":NaN,")],
            [GOOD.replace(b":1,", b":1.0,")],
            [GOOD.replace(b'"7"', b'"' + b"7" * 900_000 + b'"')],
            [b"}\n{"],
            [b"{", b"}"],
            [b"{}"],
            [b"null"],
            [b"\x00"],
        ]
    ),
    st.integers(1, len(GOOD) - 1).map(lambda at: torn(GOOD, at)),
    st.binary(max_size=12).map(lambda value: [value]),
)
runs = st.lists(pieces, max_size=12).map(lambda parts: [value for part in parts for value in part])


@given(runs)
@example([GOOD] * 20 + [None] + [GOOD] * 20)
@example([GOOD + b"," + STATUS, GOOD[:30], GOOD[30:]])
@example([*torn(GOOD.replace(b"{}", b'{"a":{}}'), GOOD.index(b"{}") + 8), GOOD + b"\n" + STATUS])
def test_a_run_decodes_to_the_same_at_once_and_one_by_one(values: list[bytes | None]) -> None:
    """Good, bad, null, blank, torn, doubled, nested, not UTF-8: no value changes what becomes of its neighbours."""
    records, positions, bad = SITES.decoder.decode(values)
    assert (records, list(positions), bad) == one_by_one(values)


@pytest.mark.parametrize("spoilt", [0, 1, 63, 64, 127])
def test_one_bad_value_costs_its_run_nothing(spoilt: int) -> None:
    """Wherever it stands in the run."""
    values = [GOOD] * 128
    values[spoilt] = b"JSON"
    records, positions, bad = SITES.decoder.decode(values)
    assert list(positions) == [i for i in range(128) if i != spoilt]
    assert len(records) == 127
    assert bad == [(spoilt, "JSON is malformed: invalid character (byte 0)")]


def test_a_check_refuses_what_the_types_allow() -> None:
    """Its reason is the dead letter's, and the rest of the run goes on."""

    def no_status(record: SiteEvent) -> None:
        if record.sender == "o":
            raise BadRecord("no statuses here")

    decoder: RunDecoder[SiteEvent] = RunDecoder(SITES.record, no_status)
    _, positions, bad = decoder.decode([GOOD, STATUS, GOOD])
    assert (list(positions), bad) == ([0, 2], [(1, "no statuses here")])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the value is null"),
        (b" ", "the value is blank"),
        (DEEP, "JSON is nested too deeply"),
        (GOOD.replace(b'"v"', b'"\xff"'), "not UTF-8: invalid start byte (byte 35)"),
        (GOOD.replace(b"{}", b'{"more":"\xff"}'), "not UTF-8: invalid start byte (byte 82)"),
        (GOOD.replace(b":1,", b":1.5,"), "Expected `int`, got `float` - at `$.timestamp`"),
    ],
)
def test_a_reason_says_what_was_expected_what_was_found_and_where(value: bytes | None, reason: str) -> None:
    """A person mends the record by it."""
    with pytest.raises(BadRecord) as caught:
        SITES.decoder.decode_one(value)
    assert str(caught.value) == reason


def test_an_empty_run_is_no_trouble() -> None:
    """A run may cover nothing but markers and compacted records."""
    assert SITES.decoder.decode([]) == ([], range(0), [])
