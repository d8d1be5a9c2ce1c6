"""Answers come off a connection as they were sent, however the network cuts them, and its end is told."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.frames import SMALL_BYTES, Answer, FrameProtocol, Frames, Io

SIZES = st.one_of(st.integers(0, 40), st.integers(SMALL_BYTES - 8, SMALL_BYTES + 8), st.just(3 * SMALL_BYTES))
CHUNKS = st.one_of(st.integers(1, 9), st.integers(1, 2 * SMALL_BYTES))


def framed(frame: bytes) -> bytes:
    """As it is sent: its length before it."""
    return len(frame).to_bytes(4, "big") + frame


@given(sizes=st.lists(SIZES, max_size=6), chunks=st.lists(CHUNKS, min_size=1, max_size=20))
def test_frames_come_out_as_they_were_sent_however_they_are_cut(sizes: list[int], chunks: list[int]) -> None:
    """A large one is a view of memory of its own: what comes after it changes nothing in it."""
    sent = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    found: list[bytes | memoryview] = []
    frames = Frames(found.append)
    rest = memoryview(b"".join(map(framed, sent)))
    turn = 0
    while rest:
        room = frames.room()
        assert len(room)
        # Small chunks at first; then whatever fits, so that it comes to an end.
        count = min(chunks[turn] if turn < len(chunks) else len(room), len(room), len(rest))
        room[:count] = rest[:count]
        frames.arrived(count)
        rest, turn = rest[count:], turn + 1
    assert [bytes(frame) for frame in found] == sent
    assert all(isinstance(frame, bytes) for frame in found if len(frame) + 4 <= SMALL_BYTES)


def test_a_length_below_zero_is_no_frame() -> None:
    """Something else listens there."""
    frames = Frames(lambda _: None)
    frames.room()[:4] = b"\xff\xff\xff\xfe"
    with pytest.raises(ConnectionError, match="a frame of -2 bytes"):
        frames.arrived(4)


def test_a_large_answer_is_read_like_a_small_one() -> None:
    """Its heads as bytes, what is large in it without a copy, and no more than there is at its end."""
    frame = b"head" + bytes(SMALL_BYTES + 1) + b"tail"
    large, small = Io.BytesIO(memoryview(frame)), Io.BytesIO(frame)
    assert isinstance(large, Answer)
    assert isinstance(small, io.BytesIO)
    for count in (4, SMALL_BYTES + 1, 2, 9, 1):
        assert large.read(count) == small.read(count)
    assert isinstance(Answer(memoryview(frame)).read(SMALL_BYTES + 1), memoryview)


def test_who_waits_for_a_frame_gets_it_or_hears_of_the_end() -> None:
    """What has come before the end is handed out first."""
    asyncio.run(wait_for_frames())


async def wait_for_frames() -> None:
    """A protocol wants a loop."""
    loop = asyncio.get_running_loop()
    for end, kind in ((None, EOFError), (OSError("reset"), OSError)):
        protocol = FrameProtocol(loop.create_future(), asyncio.StreamReader(), loop=loop)
        waiting = asyncio.create_task(protocol.next_frame())
        await asyncio.sleep(0)
        receive(protocol, framed(b"one") + framed(b"two"))
        assert await waiting == b"one"
        protocol.connection_lost(end)
        assert await protocol.next_frame() == b"two"
        with pytest.raises(kind):
            await protocol.next_frame()
    protocol = FrameProtocol(loop.create_future(), asyncio.StreamReader(), loop=loop)
    waiting = asyncio.create_task(protocol.next_frame())
    await asyncio.sleep(0)
    receive(protocol, b"\xff" * 4)
    with pytest.raises(ConnectionError):
        await waiting


def receive(protocol: FrameProtocol, data: bytes) -> None:
    """What asyncio does when the socket has something."""
    protocol.get_buffer(-1)[: len(data)] = data
    protocol.buffer_updated(len(data))
