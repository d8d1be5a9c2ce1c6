"""Lines out of blocks: whatever the cuts, the same lines under the same numbers."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from producers.lines import Huge, Lines, LineSplitter

LIMIT = 12
TEXTS = st.lists(
    st.sampled_from([b"a", b"{}", b" ", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf", b"long " * 5]), max_size=40
)


def expected(text: bytes) -> tuple[list[tuple[int, bytes]], list[Huge]]:
    """The lines of ``text`` by number, and the huge ones, as plainly as can be."""
    values: list[tuple[int, bytes]] = []
    huge: list[Huge] = []
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate([line.removesuffix(b"\r") for line in lines], 1):
        if len(line) > LIMIT and line.strip():
            huge.append(Huge(number, line, len(line), hashlib.sha256(line).hexdigest()))
        elif line.strip():
            values.append((number, line))
    return values, huge


def split(blocks: list[bytes]) -> tuple[list[tuple[int, bytes]], list[Huge], LineSplitter]:
    splitter = LineSplitter(limit=LIMIT)
    values: list[tuple[int, bytes]] = []
    huge: list[Huge] = []
    for lines in [*map(splitter.feed, blocks), splitter.end()]:
        values += zip(lines.numbers, lines.values, strict=True)
        huge += lines.huge
    return values, huge, splitter


@given(parts=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_cut_into_blocks_gives_the_same_lines(parts: list[bytes], cuts: list[int]) -> None:
    """Numbers, bytes and digests are those of the whole text cut at its line ends; every byte is passed by once."""
    text = b"".join(parts)
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    values, huge, splitter = split([text[a:b] for a, b in pairwise(borders)])
    assert (values, huge) == expected(text)
    assert splitter.offset == len(text) or text in (b"\xef", b"\xef\xbb")


@given(parts=TEXTS, cut=st.integers(0, 200))
def test_reading_goes_on_where_it_stopped(parts: list[bytes], cut: int) -> None:
    """A splitter that begins at another's offset and line gives the rest."""
    text = b"".join(parts)
    first = LineSplitter(limit=LIMIT)
    begun = first.feed(text[:cut])
    second = LineSplitter(line=first.line, offset=first.offset, limit=LIMIT)
    rest = [second.feed(text[first.offset :]), second.end()]
    values = [pair for lines in [begun, *rest] for pair in zip(lines.numbers, lines.values, strict=True)]
    assert (values, [huge for lines in [begun, *rest] for huge in lines.huge]) == expected(text)


def test_a_line_over_the_limit_is_not_held() -> None:
    """Of 40 MB without a line end, a head and a digest stay; the next line is whole again."""
    splitter = LineSplitter()
    digest = hashlib.sha256()
    for number in range(640):
        block = bytes([97 + number % 26]) * 65536
        digest.update(block)
        assert splitter.feed(block).huge == []
        assert len(splitter._carry) <= 1_000_001 + 65536  # pyright: ignore[reportPrivateUsage]
    lines = splitter.feed(b"\r\n{}\n")
    assert lines.huge == [Huge(1, b"a" * 64_000, 640 * 65536, digest.hexdigest())]
    assert (lines.values, list(lines.numbers)) == ([b"{}"], [2])


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    """1,000,000 bytes are taken, whatever ends them; one more is too many."""
    for end in (b"\n", b"\r\n", b""):
        splitter = LineSplitter()
        lines = splitter.feed(b"x" * 1_000_000 + end)
        if not end:
            lines = splitter.end()
        assert [len(value) for value in lines.values] == [1_000_000]
        splitter = LineSplitter()
        lines = splitter.feed(b"x" * 1_000_001 + end)
        if not end:
            lines = splitter.end()
        assert [huge.length for huge in lines.huge] == [1_000_001]


def test_a_cut_keeps_every_value_and_every_huge_line_once() -> None:
    """What lies between two values goes with the first."""
    lines = Lines([b"a", b"c", b"e"], [1, 3, 5], [Huge(2, b"", 9, ""), Huge(6, b"", 9, "")], 7)
    first, rest = lines.cut(1)
    assert (first.values, [huge.number for huge in first.huge], first.next) == ([b"a"], [2], 3)
    assert (rest.values, [huge.number for huge in rest.huge], rest.next) == ([b"c", b"e"], [6], 7)
    assert rest.cut(2)[0] == rest
    assert lines.since(3) == Lines([b"c", b"e"], [3, 5], [Huge(6, b"", 9, "")], 7)
