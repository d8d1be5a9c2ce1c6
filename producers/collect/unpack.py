r"""Content encodings of a body, undone in bounded memory whatever they hold.

>>> import gzip
>>> unpack = unpacker("gzip")
>>> list(unpack.feed(gzip.compress(b"a\n") + gzip.compress(b"b\n")))
[b'a\n', b'b\n']
>>> unpack.end()

A few bytes can stand for gigabytes, so a block is unpacked in pieces, and the next one only when it is asked for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import zstandard

PIECE_BYTES = 64 << 10
"""About what a piece holds: some 400 lines, which still lie in the processor's cache when they are decoded."""
ZSTD_INPUT_BYTES = 256
"""What is unpacked at once of zstd, whose interface bounds the input only: at the worst it becomes 8 MiB."""
ZSTD_WINDOW_BYTES = 8 << 20
"""The largest window that a frame may ask for, as RFC 9659 has it for HTTP."""


class Damaged(Exception):
    """The body is not what its encoding says; ``str(error)`` is the reason."""


class Unpacker(Protocol):
    """Undoes one encoding."""

    memory: int
    """Bytes that it may hold on to."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """The pieces of the next block.

        Raises:
            Damaged: it cannot be unpacked; what could be came before.
        """
        ...

    def end(self) -> None:
        """The body has ended.

        Raises:
            Damaged: its last part is missing.
        """
        ...


class _Plain:
    """No encoding: large blocks are cut, so that others get their turn in between."""

    memory = 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        if len(block) <= PIECE_BYTES:
            yield block
            return
        for at in range(0, len(block), PIECE_BYTES):
            yield block[at : at + PIECE_BYTES]

    def end(self) -> None:
        pass


class _Gzip:
    """One gzip member after the other."""

    memory = 64 << 10

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    def feed(self, block: bytes) -> Iterator[bytes]:
        while block:
            if not self._begun:
                self._member = zlib.decompressobj(wbits=31)
                self._begun = True
            try:
                piece = self._member.decompress(block, PIECE_BYTES)
            except zlib.error as error:
                raise Damaged(f"it is no gzip: {error}") from error
            block = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._begun = not self._member.eof
            if piece:
                yield piece

    def end(self) -> None:
        if self._begun:
            raise Damaged("its gzip ends too early")


class _Zstd:
    """One zstd frame after the other."""

    memory = ZSTD_WINDOW_BYTES

    def __init__(self) -> None:
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def feed(self, block: bytes) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        for at in range(0, len(block), ZSTD_INPUT_BYTES):
            try:
                for part in self._unpack(block[at : at + ZSTD_INPUT_BYTES]):
                    parts.append(part)
                    size += len(part)
            except zstandard.ZstdError as error:
                yield b"".join(parts)
                raise Damaged(f"it is no zstd that can be read here: {error}") from error
            if size >= PIECE_BYTES:
                yield from _Plain().feed(b"".join(parts))
                parts, size = [], 0
        yield b"".join(parts)

    def end(self) -> None:
        if self._frame is not None:
            raise Damaged("its zstd ends too early")

    def _unpack(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            frame = self._frame or zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
            self._frame = frame
            yield frame.decompress(packed)
            packed = frame.unused_data if frame.eof else b""
            if frame.eof:
                self._frame = None


ENCODINGS: Mapping[str, Callable[[], Unpacker]] = {
    "": _Plain, "identity": _Plain, "gzip": _Gzip, "x-gzip": _Gzip, "zstd": _Zstd,
}  # fmt: skip
"""By what the header ``Content-Encoding`` says."""


def unpacker(encoding: str) -> Unpacker | None:
    """What undoes ``encoding``; None for one that is not known here."""
    make = ENCODINGS.get(encoding.strip().lower())
    return None if make is None else make()
