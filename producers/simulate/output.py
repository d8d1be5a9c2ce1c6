"""Where made input goes: stdout, or a file, packed when its name says so.

with output("events.jsonl.zst") as file:
    file.write(block)
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from schemas.errors import StreamgaugeError


@contextmanager
def output(path: str | None) -> Generator[BinaryIO]:
    """Open ``path`` for writing; None and ``-`` are stdout.

    Raises:
        StreamgaugeError: the file, or stdout, cannot be written.
        BrokenPipeError: nobody reads stdout any more.
    """
    file_name = None if path == "-" else path
    try:
        if file_name is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with _opened(file_name) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StreamgaugeError(f"cannot write {file_name or 'stdout'}: {error.strerror or error}") from error


@contextmanager
def _opened(path: str) -> Generator[BinaryIO]:
    if path.endswith(".gz"):
        # No name and no time of writing inside: the same input gives the same bytes here, too.
        with Path(path).open("wb") as packed, gzip.GzipFile("", "wb", 6, packed, mtime=0) as file:
            yield cast("BinaryIO", file)
    elif path.endswith(".zst"):
        import zstandard

        with Path(path).open("wb") as packed, zstandard.ZstdCompressor().stream_writer(packed) as file:
            yield cast("BinaryIO", file)
    else:
        with Path(path).open("wb") as file:
            yield file
