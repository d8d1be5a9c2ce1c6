"""What is taken of a body does not depend on how it came: not on its blocks, nor on its encoding."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from functools import partial

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.collect.body import LONGEST_BYTES, MOST_ERRORS, Body, Refused
from producers.collect.unpack import PIECE_BYTES, ZSTD_WINDOW_BYTES, Damaged, unpacker
from producers.jsonl import JsonLines
from producers.records import Parsed
from schemas.sites import SITES
from schemas.wire import LETTER_BYTES, MAX_RECORD_BYTES
from tests.unit.producers.hand import event

LIMIT = 120
"""The longest line here, so that examples stay small."""
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": partial(gzip.compress, mtime=0),
    "zstd": zstandard.compress,
}


def body_of(encoding: str = "", max_body: int | None = None, limit: int = MAX_RECORD_BYTES) -> Body:
    reading = JsonLines(SITES)
    reading._limit = limit  # pyright: ignore[reportPrivateUsage]
    unpack = unpacker(encoding)
    assert unpack is not None
    return Body(reading, unpack, max_body)


def taken(body: Body, blocks: Iterable[bytes]) -> tuple[list[tuple[int, bytes]], list[int], Refused | None]:
    """The good lines with their numbers, the numbers of the rejected ones, and how it ended."""
    parts: list[tuple[Parsed, int]] = []
    for block in blocks:
        parts += body.feed(block)
        if body.refused:
            break
    if not body.refused:
        parts += body.end()
    good = [pair for parsed, _ in parts for pair in zip(parsed.lines, parsed.values, strict=True)]
    bad = [rejected.line for parsed, _ in parts for rejected in parsed.rejected]
    assert [line for line, _ in body.errors] == bad
    borders = [next_line for _, next_line in parts]
    assert borders == sorted(borders), "the place where reading goes on only rises"
    return good, bad, body.refused


def expected(text: bytes, max_body: int | None) -> tuple[list[tuple[int, bytes]], list[int], int | None]:
    """The same, read literally: the lines that are whole before the limit, up to the first that is too long."""
    over = max_body is not None and len(text) > max_body
    lines = text[:max_body].split(b"\n") if over else text.split(b"\n")
    if over:
        lines.pop()
    good: list[tuple[int, bytes]] = []
    bad: list[int] = []
    for number, line in enumerate(lines, 1):
        value = line.removesuffix(b"\r")
        if len(value) > LIMIT and not value.isspace():
            return good, [*bad, number], 413
        if value.startswith(b"{"):
            good.append((number, value))
        elif value.strip():
            bad.append(number)
    return good, bad, 413 if over else None


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` in blocks of these sizes, and the rest."""
    blocks: list[bytes] = []
    for size in sizes:
        blocks.append(data[:size])
        data = data[size:]
    return [block for block in [*blocks, data] if block]


LINE = st.one_of(
    st.integers(0, 99).map(event),
    st.sampled_from([b"", b" ", b"bad", b'"bad"', b"x" * LIMIT, b"x" * (LIMIT + 1), b"y" * 300]),
)


@given(
    st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n"])), min_size=1, max_size=12),
    st.booleans(),
    st.lists(st.integers(1, 200), max_size=8),
    st.none() | st.floats(0, 1),
    st.sampled_from(list(PACKED)),
)
@settings(max_examples=300)
def test_any_chunking_of_a_body_gives_the_same_lines(
    lines: list[tuple[bytes, bytes]], ended: bool, sizes: list[int], share: float | None, encoding: str
) -> None:
    """Those that a literal reading gives; packed or not, with a limit at some share of it or without."""
    text = b"".join(line + end for line, end in lines)
    text = text if ended else text.rstrip(b"\r\n")
    max_body = None if share is None else max(1, round(share * len(text)))
    good, bad, refused = taken(body_of(encoding, max_body, LIMIT), cut(PACKED[encoding](text), sizes))
    assert (good, bad, refused and refused.status) == expected(text, max_body)


def test_a_line_over_the_limit_ends_the_body_with_a_letter_that_tells_its_length() -> None:
    """What stood before it is taken, what comes after it is not."""
    body = body_of()
    text = event(1) + b"\n" + b"x" * (MAX_RECORD_BYTES + 5) + b"\n" + event(2) + b"\n"
    parts = [part for block in cut(text, [70_000] * 20) for part in body.feed(block)]
    assert [value for parsed, _ in parts for value in parsed.values] == [event(1)]
    (huge,) = [rejected for parsed, _ in parts for rejected in parsed.rejected]
    assert (huge.line, huge.length, huge.value) == (2, MAX_RECORD_BYTES + 5, b"x" * LETTER_BYTES)
    assert body.refused == Refused(
        413, "line 2 is over 1000000 bytes and became a dead letter; lines from 3 on were not taken"
    )


def test_a_line_without_an_end_is_not_read_for_ever() -> None:
    """Its letter says so; what is kept of it stays small."""
    body = body_of()
    block = b"x" * (1 << 20)
    parts: list[tuple[Parsed, int]] = []
    blocks = 0
    while not body.refused:
        parts += body.feed(block)
        blocks += 1
        assert body.held <= MAX_RECORD_BYTES
        assert blocks <= LONGEST_BYTES // len(block) + 1
    (rejected,) = parts[0][0].rejected
    assert "was not read to its end" in rejected.reason


def test_an_answer_names_no_more_errors_than_it_may() -> None:
    """The rejected lines themselves are all there."""
    body = body_of()
    rejected = [each for parsed, _ in body.feed(b"x\n" * 3 * MOST_ERRORS) for each in parsed.rejected]
    assert len(rejected) == 3 * MOST_ERRORS
    assert [line for line, _ in body.errors] == list(range(1, MOST_ERRORS + 1))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_packed_body_that_is_damaged_says_from_where_on_it_was_not_taken(encoding: str) -> None:
    """What could be unpacked before is taken."""
    packed = PACKED[encoding](b"".join(event(number) + b"\n" for number in range(5000)))
    body = body_of(encoding)
    good, _, refused = taken(body, cut(packed[: len(packed) // 2], [1000] * 50))
    assert 100 < len(good) < 5000
    assert refused == Refused(
        400, f"the body is damaged: its {encoding} ends too early; lines from {len(good) + 1} on were not taken"
    )
    assert taken(body_of(encoding), [b"this is not packed"])[2] is not None


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_few_bytes_that_stand_for_many_are_unpacked_piece_by_piece(encoding: str) -> None:
    """A bomb of 60 MB is in memory no more than a piece at a time."""
    packed = PACKED[encoding](bytes(20 << 20)) * 3
    unpack = unpacker(encoding)
    assert unpack is not None
    total = 0
    for piece in unpack.feed(packed):
        assert len(piece) <= PIECE_BYTES
        total += len(piece)
    unpack.end()
    assert total == 60 << 20


def test_a_window_that_takes_too_much_memory_is_refused() -> None:
    """A frame says beforehand how much it needs."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x" * 3 * ZSTD_WINDOW_BYTES) + packer.flush()
    unpack = unpacker("zstd")
    assert unpack is not None
    with pytest.raises(Damaged, match="no zstd that can be read here"):
        list(unpack.feed(packed))


def test_an_encoding_that_nobody_knows_is_none() -> None:
    assert unpacker("br") is None
    assert unpacker(" GZIP ") is not None
