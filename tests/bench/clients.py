"""Many clients of `collect`, in a process of their own: each sends its part of a file's lines, in bodies or bit by bit.

    python -m tests.bench.clients PORT FILE LINES CLIENTS BODY     # {"accepted": …, "seconds": …}

``BODY`` is how many lines a request has. With 0 a client has one request, open to the end, and sends a line whenever
its turn has come: all clients together send `SLOW_RATE` lines a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import orjson

SLOW_RATE = 2_000
HEAD = b"POST /streams/sites HTTP/1.1\r\nHost: bench\r\n"


async def in_bodies(port: int, lines: Sequence[bytes], body: int) -> int:
    """Send ``lines``, so many in a request, over one connection; how many were accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    accepted = 0
    for first in range(0, len(lines), body):
        whole = b"".join(lines[first : first + body])
        writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (HEAD, len(whole), whole))
        accepted += await _answer(reader)
    writer.close()
    return accepted


async def bit_by_bit(port: int, lines: Sequence[bytes], clients: int, number: int) -> int:
    """Send ``lines`` in one request, each when it is the turn of this client (``number`` of ``clients``)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"%bTransfer-Encoding: chunked\r\n\r\n" % HEAD)
    begin = time.monotonic()
    for place, line in enumerate(lines):
        await asyncio.sleep(begin + (place * clients + number) / SLOW_RATE - time.monotonic())
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))
    writer.write(b"0\r\n\r\n")
    accepted = await _answer(reader)
    writer.close()
    return accepted


async def _answer(reader: asyncio.StreamReader) -> int:
    """How many lines an answer counts."""
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return orjson.loads(await reader.readexactly(int(length)))["accepted"]


async def send(port: int, lines: Sequence[bytes], clients: int, body: int) -> int:
    """Send ``lines`` by so many clients at a time; how many were accepted."""
    shares = [lines[number::clients] for number in range(clients)]
    if body:
        return sum(await asyncio.gather(*(in_bodies(port, share, body) for share in shares)))
    return sum(await asyncio.gather(*(bit_by_bit(port, share, clients, n) for n, share in enumerate(shares))))


def main() -> None:
    """Send as the command line says."""
    port, path, count, clients, body = sys.argv[1:]
    with Path(path).open("rb") as file:
        lines = list(islice(file, int(count)))
    begin = time.monotonic()
    accepted = asyncio.run(send(int(port), lines, int(clients), int(body)))
    told = {"accepted": accepted, "seconds": time.monotonic() - begin}
    sys.stdout.write(orjson.dumps(told).decode() + "\n")


if __name__ == "__main__":
    main()
