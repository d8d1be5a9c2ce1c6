"""JSON lines as records: original bytes, the key from the record, every bad line named."""

from __future__ import annotations

import json

from producers.formats import format_of
from producers.letters import letter_headers, parse_letter
from producers.records import Parsed, Rejected
from schemas.sites import SITES

READ = format_of(SITES, "jsonl")


def event(number: int, **changes: object) -> bytes:
    record = {"id": f"e{number}", "type": "message", "from": "v", "site_id": "7", "timestamp": number, "data": {}}
    return json.dumps(record | changes).encode()


def parse(text: bytes) -> Parsed:
    reading = READ("events.jsonl")
    lines = reading.feed(text)
    rest = reading.end()
    assert rest.values == []
    return reading.parse(lines)


def test_a_good_line_travels_as_it_is() -> None:
    """White space and unknown members included; the key is the record's, as UTF-8."""
    spaced = (
        b'  {"id": "x", "extra": [1], "type":"message","from":"v","site_id":"\\u00e9\xc3\xa9","timestamp":1,"data":{}} '
    )
    parsed = parse(spaced + b"\r\n" + event(2) + b"\n")
    assert parsed.values == [spaced, event(2)]
    assert parsed.keys == ["éé".encode(), b"7"]
    assert list(parsed.lines) == [1, 2]


def test_bad_lines_do_not_move_the_numbers_of_good_ones() -> None:
    """Blank, bad and huge lines between: each good record keeps the line at which it begins."""
    text = b"\n".join([event(1), b"", b"{", event(4), b"x" * 1_000_001, event(6, site_id=""), event(7), b""])
    parsed = parse(text)
    assert list(zip(parsed.lines, parsed.values, strict=True)) == [(1, event(1)), (4, event(4)), (7, event(7))]
    assert sorted(rejected.line for rejected in parsed.rejected) == [3, 5, 6]


def test_a_key_that_the_broker_would_refuse_is_rejected() -> None:
    """Record and key together stay below the broker's limit, or the batch with all its neighbours would fail."""
    long = event(2, site_id="s" * 600_000)
    parsed = parse(event(1) + b"\n" + long + b"\n" + event(3) + b"\n")
    assert parsed.values == [event(1), event(3)]
    assert parsed.keys == [b"7", b"7"]
    (rejected,) = parsed.rejected
    assert (rejected.line, rejected.value) == (2, long)
    assert "with its key" in rejected.reason


def test_a_letter_is_parsed_as_its_line_was() -> None:
    """Good today: one record. Still bad, cut or blank: a rejection with today's reason, at the line it had."""
    headers = {name: value for name, value in letter_headers(b"a.jsonl", Rejected(9, b"", "old")) if name}
    given = {name: value for name, value in headers.items() if isinstance(value, bytes)}
    good = parse_letter(READ, event(1), given)
    assert (good.keys, good.values, good.rejected) == ([b"7"], [event(1)], [])
    bad = parse_letter(READ, b"{", given)
    assert [(rejected.line, rejected.value) for rejected in bad.rejected] == [(9, b"{")]
    assert parse_letter(READ, b"", given).rejected[0].reason == "the value is blank"
    cut = Rejected(9, b"x" * 64_000, "too large", 2_000_000, "ab" * 32)
    again = parse_letter(READ, cut.value, {n: v for n, v in letter_headers(b"a", cut) if isinstance(v, bytes)})
    assert [(r.length, r.sha256, r.value) for r in again.rejected] == [(cut.length, cut.sha256, cut.value)]
