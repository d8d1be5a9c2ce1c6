r"""Receive what a broker answers: off the socket into the memory in which it is read.

asyncio's ``StreamReader``, by which aiokafka reads, copies each byte three times: out of the chunk that was received
into its buffer, out of that into an answer, and out of that into a partition's part. An uncompressed backlog then costs
more to fetch than to decode. Here an answer that is no small one gets memory of its own as soon as its length is known,
the kernel writes into that, and a record batch is cut out of it.

>>> found = []
>>> frames = Frames(found.append)
>>> for chunk in (b"\0\0\0\3one\0\0", b"\0\3two"):
...     room = frames.room()
...     room[: len(chunk)] = chunk
...     frames.arrived(len(chunk))
>>> found
[b'one', b'two']

`processors.fetch` puts it in aiokafka's place. Each private name used here is held by
``tests/unit/test_private_names.py``; without this module aiokafka reads as it always did.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from aiokafka.conn import AIOKafkaProtocol

_LENGTH_BYTES = 4
SMALL_BYTES = 1 << 16
"""Answers up to this size, their lengths included, are received together."""


class Frames:
    """Cuts a stream of bytes into frames: each its length, big-endian, and so many bytes.

    Args:
        receive: is given each frame: ``bytes``, or a view of memory of its own where it is a large one.
    """

    def __init__(self, receive: Callable[[bytes | memoryview], None]) -> None:
        self._receive = receive
        self._small = memoryview(bytearray(SMALL_BYTES))
        self._held = 0
        """How much of it is filled."""
        self._large: memoryview | None = None
        """The frame that is under way, where it is a large one."""
        self._filled = 0

    def room(self) -> memoryview:
        """Where the next bytes belong."""
        return self._small[self._held :] if self._large is None else self._large[self._filled :]

    def arrived(self, count: int) -> None:
        """The first ``count`` bytes of `room` have come.

        Raises:
            ConnectionError: what came is no frame.
        """
        if self._large is None:
            self._held += count
            self._cut()
            return
        self._filled += count
        if self._filled == len(self._large):
            frame, self._large = self._large, None
            self._receive(frame)

    def _cut(self) -> None:
        small, at = self._small, 0
        while self._held - at >= _LENGTH_BYTES:
            begin = at + _LENGTH_BYTES
            length = int.from_bytes(small[at:begin], signed=True)
            if length < 0:
                raise ConnectionError(f"the broker sent a frame of {length} bytes")
            if begin + length <= self._held:
                at = begin + length
                self._receive(bytes(small[begin:at]))
            elif _LENGTH_BYTES + length > SMALL_BYTES:
                self._filled = self._held - begin
                self._large = np.empty(length, np.uint8).data  # a bytearray would be filled with zeros first
                self._large[: self._filled] = small[begin : self._held]
                at = self._held
            else:
                break
        small[: self._held - at] = small[at : self._held]
        self._held -= at


class Answer:
    """A large answer as aiokafka's protocol reads it: from its beginning to its end.

    Args:
        frame: the bytes of it.

    >>> answer = Answer(memoryview(b"headbody"))
    >>> answer.read(4), answer.read(4)
    (b'head', b'body')
    """

    def __init__(self, frame: memoryview) -> None:
        self._frame = frame
        self._at = 0

    def read(self, count: int) -> bytes | memoryview:
        """The next ``count`` bytes, or what there is of them; a view of them where they are many."""
        begin, self._at = self._at, self._at + count
        found = self._frame[begin : self._at]
        return found if count > SMALL_BYTES else bytes(found)


class FrameProtocol(AIOKafkaProtocol, asyncio.BufferedProtocol):
    """aiokafka's protocol of a connection, receiving frames instead of a stream."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._frames: deque[bytes | memoryview] = deque()
        self._receiving = Frames(self._frames.append)
        self._end: BaseException | None = None
        self._more = asyncio.Event()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where asyncio is to receive into."""
        return self._receiving.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio has received."""
        try:
            self._receiving.arrived(nbytes)
        except ConnectionError as error:
            self._ended(error)
        if self._frames:
            self._more.set()

    def eof_received(self) -> bool | None:
        """The broker sends no more."""
        self._ended(EOFError("the broker closed the connection"))
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended(exc or EOFError("the connection is closed"))
        super().connection_lost(exc)

    async def next_frame(self) -> bytes | memoryview:
        """The next of the frames that have come; waits for one.

        Raises:
            EOFError: the connection is closed.
            OSError: it broke.
        """
        while not self._frames:
            if self._end is not None:
                raise self._end
            self._more.clear()
            await self._more.wait()
        return self._frames.popleft()

    def _ended(self, reason: BaseException) -> None:
        self._end = self._end or reason
        self._more.set()


async def read_frames(reference: Callable[[], Any]) -> None:
    """Hand a connection its frames: what ``AIOKafkaConnection._read`` is for, with `FrameProtocol`.

    Args:
        reference: gives the connection, or None once nobody has it any more.

    Raises:
        EOFError: the connection is closed.
        OSError: it broke.
    """
    connection = reference()
    if connection is None:
        return
    protocol: FrameProtocol = connection._protocol
    del connection
    while True:
        frame = await protocol.next_frame()
        connection = reference()
        if connection is None:
            return
        connection._handle_frame(frame)
        del connection, frame  # the next one may be long in coming


class Io:
    """What ``aiokafka.conn`` has of ``io``: it reads a frame by a ``BytesIO``, which copies what is no ``bytes``."""

    @staticmethod
    def BytesIO(frame: bytes | memoryview) -> io.BytesIO | Answer:  # noqa: N802 - the name there
        """Something to read ``frame`` from."""
        return io.BytesIO(frame) if isinstance(frame, bytes) else Answer(frame)
