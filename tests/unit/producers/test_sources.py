"""Files as blocks of bytes: packed ones unpacked, damaged ones named, after what can be read of them."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
import zstandard

from producers.sources import Source, sources_of
from schemas.errors import StreamgaugeError

LINES = b"".join(b'{"id":"%x","n":%d}\n' % (random.Random(n).getrandbits(64), n) for n in range(20_000))


def read(path: Path) -> tuple[bytes, str | None]:
    """All that can be read of a file, and what was wrong with it."""
    (source,) = sources_of(str(path))
    blocks: list[bytes] = []
    try:
        blocks.extend(source.blocks())
    except StreamgaugeError as error:
        return b"".join(blocks), str(error)
    assert source.read == source.size
    return b"".join(blocks), None


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    """Plain or packed, also when packed in two pieces; an empty one is empty."""
    packers = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    pack = packers.get(Path(name).suffix, bytes)
    path = tmp_path / name
    path.write_bytes(pack(LINES[:1000]) + pack(LINES[1000:]))
    assert read(path) == (LINES, None)
    path.write_bytes(b"")
    assert read(path) == (b"", None)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_packed_file_that_ends_too_early_gives_what_it_has(tmp_path: Path, name: str) -> None:
    """More than half of its lines from half of its bytes, then one line that names it."""
    packed = gzip.compress(LINES) if name.endswith(".gz") else zstandard.ZstdCompressor().compress(LINES)
    path = tmp_path / name
    for kept in (len(packed) - 1, len(packed) // 2):
        path.write_bytes(packed[:kept])
        data, error = read(path)
        assert LINES.startswith(data)
        assert len(data) > len(LINES) // 3
        assert error is not None
        assert "ends too early" in error
        assert name in error


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_that_only_is_called_packed_is_named(tmp_path: Path, name: str) -> None:
    """Plain text under a packed name is damaged, not empty."""
    path = tmp_path / name
    path.write_bytes(LINES)
    data, error = read(path)
    assert data == b""
    assert error is not None
    assert name in error


def test_a_directory_means_its_files_by_name(tmp_path: Path) -> None:
    """Not those of its directories."""
    for name in ("b", "a10", "a9"):
        (tmp_path / name).write_bytes(b"1234")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c").touch()
    assert sources_of(str(tmp_path)) == [Source(str(tmp_path / name), 4) for name in ("a10", "a9", "b")]


def test_a_missing_path_is_named_before_anything_is_read(tmp_path: Path) -> None:
    """One line with the name that was given."""
    with pytest.raises(StreamgaugeError, match=r"no such file or directory: .*nowhere"):
        sources_of(str(tmp_path / "nowhere"))


def test_a_pipe_has_no_size(tmp_path: Path) -> None:
    """It is read to its end all the same."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (source,) = sources_of(str(pipe))
    assert source.size is None
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, b"{}\n")
    blocks = source.blocks()
    assert next(blocks) == b"{}\n"
    os.close(writer)
    assert list(blocks) == []
