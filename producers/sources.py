"""Where lines come from: the files that PATH words mean, opened as blocks of bytes, whatever packs them.

    for source in sources_of("logs/"):            # a directory's files by name; "-" is stdin
        for block in source.blocks():
            splitter.feed(block)

``.gz`` and ``.zst`` are unpacked as they are read. One that ends too early gives all that can be read of it, then
raises. Unpacked data is never larger in memory than a few blocks.
"""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from producers.records import Format
from schemas.errors import StreamgaugeError, UsageError

STDIN = "-"
BLOCK_BYTES = 64 << 10
"""What is read at once: some 400 lines, which still lie in the processor's cache when they are decoded (a quarter less
CPU a line than 256 KiB)."""
ZSTD_INPUT_BYTES = 16 << 10
"""What is unpacked at once of a `.zst`: its interface bounds the input only, not what comes out."""


@dataclass
class Source:
    """One file, or stdin."""

    name: str
    """As the user named it: goes into the header ``origin``."""
    size: int | None
    """Bytes on disk; None where nobody knows (stdin, a pipe)."""
    read: int = 0
    """Bytes on disk that were read so far."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes of the source, unpacked.

        Raises:
            StreamgaugeError: it cannot be opened or read, or is packed and damaged; what could be read came before.
        """
        try:
            if self.name == STDIN:
                yield from self._plain(sys.stdin.buffer)
                return
            with Path(self.name).open("rb", buffering=0) as file:
                if self.name.endswith(".gz"):
                    yield from self._gzip(file)
                elif self.name.endswith(".zst"):
                    yield from self._zstd(file)
                else:
                    yield from self._plain(file)
        except OSError as error:
            raise StreamgaugeError(f"cannot read {self.name}: {error.strerror or error}") from error

    def _plain(self, file: BinaryIO) -> Iterator[bytes]:
        descriptor = file.fileno()
        while block := os.read(descriptor, BLOCK_BYTES):
            self.read += len(block)
            yield block

    def _gzip(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                # read1 and not read: it hands over what it has before it finds out that the file ends too early.
                while block := unpacked.read1(BLOCK_BYTES):
                    self.read = file.tell()
                    yield block
        except EOFError:
            raise self._damaged("it ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._damaged(str(error)) from error

    def _zstd(self, file: BinaryIO) -> Iterator[bytes]:
        import zstandard

        # Not zstandard's stream reader: it takes a file that ends within a frame for a complete one.
        frame = None
        try:
            while packed := file.read(ZSTD_INPUT_BYTES):
                self.read += len(packed)
                while packed:
                    frame = frame or zstandard.ZstdDecompressor().decompressobj()
                    block = frame.decompress(packed)
                    packed = frame.unused_data if frame.eof else b""
                    if frame.eof:
                        frame = None
                    if block:
                        yield block
        except zstandard.ZstdError as error:
            raise self._damaged(str(error)) from error
        if frame is not None:
            raise self._damaged("it ends too early")

    def _damaged(self, what: str) -> StreamgaugeError:
        return StreamgaugeError(
            f"{self.name} is damaged: {what}; what could be read of it was sent; "
            "put a whole file in its place before you go on"
        )


def files_of(path: str, read: Format) -> tuple[list[Source], int]:
    """The files that ``path`` means, of which a format may take some only, by their names.

    Returns:
        The files, and how many of a directory are passed over.

    Raises:
        StreamgaugeError: there is no such file, or it may not be read.
        UsageError: the file that ``path`` names is none for this format.
    """
    sources = sources_of(path)
    if path == STDIN or not Path(path).is_dir():
        for source in sources:
            read(source.name)
        return sources, 0
    taken = [source for source in sources if takes(read, source.name)]
    return taken, len(sources) - len(taken)


def takes(read: Format, name: str) -> bool:
    """Whether a format takes a file called ``name``."""
    try:
        read(name)
    except UsageError:
        return False
    return True


def sources_of(path: str) -> list[Source]:
    """The files that ``path`` means: itself, or all files of a directory by name (not those of its directories).

    Raises:
        StreamgaugeError: there is no such file, or it may not be read.
    """
    if path == STDIN:
        return [Source(STDIN, None)]
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file())
            files = [Path(path, name) for name in names]
            return [Source(str(file), file.stat().st_size) for file in files]
    except FileNotFoundError as error:
        raise StreamgaugeError(f"no such file or directory: {error.filename}") from None
    except OSError as error:
        raise StreamgaugeError(f"cannot read {error.filename or path}: {error.strerror}") from error
    if not os.access(path, os.R_OK):
        raise StreamgaugeError(f"cannot read {path}: permission denied")
    return [Source(path, status.st_size if stat.S_ISREG(status.st_mode) else None)]
