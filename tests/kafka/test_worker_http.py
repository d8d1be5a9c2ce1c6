"""The worker's HTTP in front of engines that only pretend: what it passes on, refuses and breaks off. No broker."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from ops.worker.order import Order
from ops.worker.parent import Plan, Worker
from ops.worker.process import EngineProcess
from ops.worker.server import VIEWS_AT_ONCE, serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _yes() -> bool:
    return True


class Stage:
    """A worker whose engines are handlers in this very loop."""

    def __init__(self, stack: AsyncExitStack) -> None:
        order = Order("sites", "w", "w-0", os.getpid(), {"bootstrap.servers": "127.0.0.1:1"}, Path())
        self.worker = Worker(Plan("w", Path(), ["sites"], 1, ("127.0.0.1", 0), None, order))
        self._order = order
        self._stack = stack
        self._base = ""

    async def open(self, *engines: Handler) -> None:
        """Serve in front of ``engines``."""
        for handler in engines:
            listener = socket.create_server(("127.0.0.1", 0))
            application = web.Application()
            application.router.add_get("/{path:.*}", handler)
            runner = web.AppRunner(application)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            self._stack.push_async_callback(runner.cleanup)
            engine = EngineProcess(
                self._order, listener=listener, inherit=[], broker_answers=_yes, changed=lambda: None
            )
            engine.state, engine.pid = "ready", os.getpid()
            self.worker.engines.append(engine)
        host, port = await serve(self._stack, self.worker, ("127.0.0.1", 0))
        self._base = f"http://{host}:{port}"
        self.session = await self._stack.enter_async_context(ClientSession())

    async def get(self, path: str) -> tuple[int, str]:
        """The status and the whole text."""
        async with self.session.get(self._base + path) as answer:
            return answer.status, await answer.text()


def play(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            await story(Stage(stack))

    asyncio.run(run())


async def elsewhere(_: web.Request) -> web.Response:
    return web.json_response({"error": "elsewhere", "partition": 3, "owner": "v", "http": "v:1"}, status=421)


async def here(request: web.Request) -> web.Response:
    return web.json_response({"key": request.query["key"]})


async def lines(_: web.Request) -> web.Response:
    return web.Response(text='["a",1]\n', headers={"X-Streamgauge-Partitions": "1"})


async def torn(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"X-Streamgauge-Partitions": "0"})
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    await answer.write(b'["b",2]\n')
    if request.transport is not None:
        request.transport.abort()
    return answer


def test_the_engine_that_has_the_key_answers() -> None:
    """One after the other is asked; whatever characters the key has, they arrive."""

    async def story(stage: Stage) -> None:
        await stage.open(elsewhere, here)
        assert await stage.get("/state/sites/a%2Fb%25%20c%3F") == (200, '{"key": "a/b% c?"}')

    play(story)


def test_an_owner_elsewhere_is_named() -> None:
    """421 with where the key is."""

    async def story(stage: Stage) -> None:
        await stage.open(elsewhere, elsewhere)
        status, text = await stage.get("/state/sites/1")
        assert (status, '"owner": "v"' in text) == (421, True)

    play(story)


def test_a_view_is_the_answers_of_all_engines() -> None:
    """One after another, and the partitions of all in the header."""

    async def story(stage: Stage) -> None:
        await stage.open(lines, lines)
        assert await stage.get("/views/sites?name=x") == (200, '["a",1]\n["a",1]\n')

    play(story)


def test_a_view_whose_engine_dies_is_not_taken_for_whole() -> None:
    """The connection ends without the last chunk, so that a reader cannot miss it."""

    async def story(stage: Stage) -> None:
        await stage.open(lines, torn)
        with pytest.raises(ClientPayloadError):
            await stage.get("/views/sites?name=x")

    play(story)


def test_a_view_needs_every_engine() -> None:
    """503 with the reason while one is restored: half an answer would look like a whole one."""

    async def story(stage: Stage) -> None:
        await stage.open(lines, lines)
        stage.worker.engines[1].state, stage.worker.engines[1].reason = "restoring", "partition 3 is restoring"
        status, text = await stage.get("/views/sites?name=x")
        assert (status, "partition 3 is restoring" in text) == (503, True)
        assert (await stage.get("/ready"))[0] == 503

    play(story)


def test_views_beyond_the_limit_are_put_off() -> None:
    """Each one costs the engine time: a fifth at the same moment gets 503 and when to ask again."""

    async def story(stage: Stage) -> None:
        all_in, go_on = asyncio.Barrier(VIEWS_AT_ONCE + 1), asyncio.Event()

        async def slow(request: web.Request) -> web.Response:
            await all_in.wait()
            await go_on.wait()
            return await lines(request)

        await stage.open(slow)
        asked = [asyncio.create_task(stage.get("/views/sites?name=x")) for _ in range(VIEWS_AT_ONCE)]
        await all_in.wait()
        assert (await stage.get("/views/sites?name=x"))[0] == 503
        go_on.set()
        assert {status for status, _ in await asyncio.gather(*asked)} == {200}

    play(story)


def test_a_silent_engine_makes_the_worker_not_live() -> None:
    """A process that reports nothing for too long hangs."""

    async def story(stage: Stage) -> None:
        await stage.open(lines)
        assert await stage.get("/live") == (200, "live\n")
        stage.worker.engines[0].heard -= 1000
        status, text = await stage.get("/live")
        assert (status, "has been silent for" in text) == (503, True)

    play(story)
