"""CSV as the dialect says, however the bytes come in; what is wrong with a row stays with that row."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.csv_rows import RowSplitter, fields_of
from producers.formats import format_of
from producers.letters import letter_headers
from producers.lines import Lines
from schemas.csv_table import row_of
from schemas.errors import BadRecord, StreamgaugeError, UsageError
from schemas.products import PRODUCTS
from schemas.sites import SITES
from schemas.wire import LETTER_OP

FIELDS = st.text(st.sampled_from(list('ab,"\n\r ü\0')), max_size=6)
ROWS = st.lists(st.lists(FIELDS, min_size=2, max_size=3), max_size=8)
TORN = st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r\n", b'""', b"\xff"]), max_size=40).map(b"".join)


def written(rows: list[list[str]], end: str) -> bytes:
    return "".join(row_of(row) + end for row in rows).encode()


def split(data: bytes, cuts: list[int], limit: int = 1000) -> list[tuple[int, bytes | str]]:
    """``(line, row)`` of all that comes out, of a huge row its hash."""
    splitter = RowSplitter(limit=limit)
    found: list[tuple[int, bytes | str]] = []
    borders = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    lines: list[Lines] = [splitter.feed(data[a:b]) for a, b in pairwise(borders)]
    lines.append(splitter.end())
    for some in lines:
        found += zip(some.numbers, some.values, strict=True)
        found += [(huge.number, huge.sha256) for huge in some.huge]
    assert splitter.offset == len(data)
    return sorted(found, key=lambda each: each[0])


@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_what_a_writer_wrote_is_read_again_with_its_lines(
    rows: list[list[str]], end: str, cuts: list[int], ended: bool
) -> None:
    """Quotes, line ends within fields, any cut into blocks, with or without a last line end."""
    data = written(rows, end)
    found = split(data if ended else data.removesuffix(end.encode()), cuts)
    line, expected = 1, list[tuple[int, list[str]]]()
    for row in rows:
        expected.append((line, row))
        line += written([row], end).count(b"\n")
    blank = [number for number, row in expected if not written([row], "").strip()]
    assert [(number, fields_of(row)) for number, row in found if isinstance(row, bytes)] == [
        (number, row) for number, row in expected if number not in blank
    ]


@given(TORN, st.lists(st.integers(0, 90), max_size=6), st.sampled_from([3, 7, 1000]))
def test_any_cut_into_blocks_gives_the_same_rows(data: bytes, cuts: list[int], limit: int) -> None:
    """Torn quotes, rows over the limit, bytes that are no text."""
    assert split(data, cuts, limit) == split(data, [], limit)


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (b"", [""]),
        (b",", ["", ""]),
        (b'a"b,"c""d",', ['a"b', 'c"d', ""]),
        (b'"a\r\nb"', ["a\r\nb"]),
        (b" a ,b", [" a ", "b"]),
        (b"'a,b'", ["'a", "b'"]),
        (b"a\rb,c", ["a\rb", "c"]),
        (b'a\rb,"c"', ["a\rb", "c"]),
        (b'"a",\r,\r"b"\r', ["a", "\r", '\r"b"\r']),
        (b'"' + b"x" * 500_000 + b'"', ["x" * 500_000]),
    ],
)
def test_fields_are_what_the_dialect_says(row: bytes, fields: list[str]) -> None:
    assert fields_of(row) == fields


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'a,"b', "a quote is not closed"),
        (b'a,"b"c,d', "text follows a closing quote"),
        (b'a,"b" ,d', "text follows a closing quote"),
        (b'a,"b"\r,d', "text follows a closing quote"),
        (b"a,\xff", "not UTF-8: invalid start byte (byte 2)"),
    ],
)
def test_a_broken_row_says_what_is_wrong(row: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as error:
        fields_of(row)
    assert str(error.value) == reason


def test_rows_that_are_commands_carry_their_operation_and_so_do_their_letters() -> None:
    """A header row is passed over; what a row was to do is not in its bytes, so a letter's header tells it."""
    reading = format_of(PRODUCTS.with_op("delete"), "csv")("a.csv")
    parsed = reading.parse(reading.feed(b'name,sku,description\r\nA,1,"x\r\ny"\r\nname,sku,description\n,2,\n'))
    assert parsed.values == [
        b'{"name":"A","sku":"1","description":"x\\r\\ny","op":"delete"}',
        b'{"name":"name","sku":"sku","description":"description","op":"delete"}',
    ]
    assert (parsed.keys, parsed.lines, parsed.op) == ([b"1", b"sku"], [2, 4], "delete")
    (rejected,) = parsed.rejected
    assert (rejected.line, rejected.value) == (5, b",2,")
    assert (LETTER_OP, b"delete") in letter_headers(b"a.csv", rejected, parsed.op)


def test_an_operation_that_is_none_is_refused() -> None:
    for schema, reason in (
        (PRODUCTS, "no such operation: upsert; there is ingest, update, delete"),
        (SITES, "no such operation: upsert; records of sites are no commands"),
    ):
        with pytest.raises(UsageError) as error:
            schema.with_op("upsert")
        assert str(error.value) == reason


def test_of_a_quote_that_never_closes_only_the_first_line_is_lost() -> None:
    """By the end of the input, or within the limit: reading goes on at the next line."""
    assert split(b'1,"torn\n2,b\n3,c', []) == [(1, b'1,"torn'), (2, b"2,b"), (3, b"3,c")]
    assert split(b'1,"torn\n2,b\n3,"c\nd"\n4,"e', []) == [(1, b'1,"torn\n2,b\n3,"c'), (4, b'd"'), (5, b'4,"e')]
    assert split(b'1,"torn\n2,bbbbbbbbbb\n3,cccccccccc\n', [], 20)[:2] == [(1, b'1,"torn'), (2, b"2,bbbbbbbbbb")]


@pytest.mark.parametrize("header", [b"sku,name,description", b'\xef\xbb\xbf\n"sku","name","description"\r'])
def test_a_header_in_another_order_is_refused_before_anything_is_sent(header: bytes) -> None:
    """A row read alone, as when going on in the middle, could not say that its columns are others."""
    reading = format_of(PRODUCTS, "csv")("a.csv")
    with pytest.raises(StreamgaugeError, match=r"a\.csv: the header names the columns sku,name,description; none"):
        reading.feed(header + b"\n1,A,x\n")


def test_a_header_may_follow_blank_lines() -> None:
    reading = format_of(PRODUCTS, "csv")("a.csv")
    assert reading.parse(reading.feed(b"\n\r\nname,sku,description\nA,1,x\n")).lines == [4]
