"""The paged API, to try `poll` against: pages of a catalogue, and as many faults as are asked for.

    async with serving(Recorded(items), "127.0.0.1", 0, Faults(share=0.1, seed=1)) as url:
        ...                                    # GET {url}?offset=658330693&limit=100

Any path is the endpoint. A fault is one of `FAULTS`, each in turn at places that the seed chooses.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Thread

import numpy as np
from aiohttp import web

from producers.simulate.items import Catalogue
from producers.simulate.noise import Noise
from schemas.errors import StreamgaugeError

DEFAULT_LIMIT = 100
MOST = 1000
"""Items of a page."""
SILENCE_S = 30.0
"""Longer than a patient client waits."""
FAULTS = ("429", "500", "503", "silence", "torn", "no page")


@dataclass
class Faults:
    """Which requests get something else than the page.

    Args:
        share: of all requests.
        seed: chooses them.
    """

    share: float = 0.0
    seed: int = 1

    def of(self, request: int) -> str | None:
        """The fault that the request of this number meets."""
        drawn = int(Noise(self.seed).at("fault", np.array([request], np.uint64))[0]) >> 32
        return FAULTS[drawn % len(FAULTS)] if drawn < self.share * 2**32 else None


@asynccontextmanager
async def serving(
    catalogue: Catalogue,
    host: str,
    port: int,
    fault: Callable[[int], str | None] = lambda _: None,
    silence_s: float = SILENCE_S,
) -> AsyncGenerator[str]:
    """Serve ``catalogue`` within the context.

    Args:
        catalogue: what there is.
        host: where it listens.
        port: 0 is a free one.
        fault: by the number of a request, from 0: one of `FAULTS`, or None.
        silence_s: how long the fault ``silence`` lasts.

    Returns:
        The address of the endpoint.

    Raises:
        StreamgaugeError: the address cannot be had.
    """
    server = _Server(catalogue, fault, silence_s)
    application = web.Application()
    application.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
            raise StreamgaugeError(f"cannot listen on {host}:{port}: {reason}; name another address") from error
        await web.SockSite(runner, bound).start()
        shown = f"[{host}]" if ":" in host else host or "127.0.0.1"
        yield f"http://{shown}:{bound.getsockname()[1]}/foodstats/"
    finally:
        await runner.cleanup()


@contextmanager
def served(catalogue: Catalogue, fault: Callable[[int], str | None] = lambda _: None) -> Generator[str]:
    """Serve ``catalogue`` on a free port from a thread of this process, within the context.

    Returns:
        The address of the endpoint.
    """
    started: Future[tuple[str, Callable[[], object]]] = Future()

    async def serve() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with serving(catalogue, "127.0.0.1", 0, fault) as url:
                started.set_result((url, partial(loop.call_soon_threadsafe, ended.set)))
                await ended.wait()
        except StreamgaugeError as error:
            started.set_exception(error)

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    url, end = started.result()
    try:
        yield url
    finally:
        end()
        thread.join()


class _Server:
    def __init__(self, catalogue: Catalogue, fault: Callable[[int], str | None], silence_s: float) -> None:
        self._catalogue = catalogue
        self._fault = fault
        self._silence_s = silence_s
        self._requests = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One page, or a fault."""
        number, self._requests = self._requests, self._requests + 1
        try:
            offset = int(request.query.get("offset", "0"))
            limit = min(int(request.query.get("limit", DEFAULT_LIMIT)), MOST)
        except ValueError:
            return _refusal(400, "offset and limit are numbers")
        if offset < 0 or offset >= 2**63 or limit < 1:
            return _refusal(400, "offset or limit is out of range")
        items, next_offset = self._catalogue.page(offset, limit)
        meta = b'{"code":200,"limit":%d,"next_offset":%b,"offset":%d}' % (
            limit, b"null" if next_offset is None else b"%d" % next_offset, offset,
        )  # fmt: skip
        body = b'{"meta":%b,"response":[%b]}' % (meta, b",".join(items))
        match self._fault(number):
            case "429":
                return _refusal(429, "too many requests", {"Retry-After": "1"})
            case "500":
                return _refusal(500, "something broke")
            case "503":
                return _refusal(503, "come back later", {"Retry-After": "1"})
            case "silence":
                await asyncio.sleep(self._silence_s)
            case "torn":
                body = body[: len(body) // 2]
            case "no page":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            case _:
                pass
        return web.Response(body=body, content_type="application/json")


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"meta": {"code": status, "error": message}}, status=status, headers=headers)
