"""What an engine process answers its worker, over the socket that it was given.

    GET /status                      JSON: engine.status(), memory and CPU
    GET /state?key=K                 JSON: the view "state" of a key; 404 unknown, 421 not owned here
    GET /views?name=N&…              a JSON line [key, answer] for each key owned here; with key=K&key=… of those;
                                     [key, null, reason] where the key's state cannot answer

The worker (`ops.worker.server`) is the only one who asks; it checks streams, limits and time-outs.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from aggregators.aggregator import Unanswerable
from ops.worker.directory import Entry
from ops.worker.server import PARTITIONS
from ops.worker.stages import Stages
from processors import Engine, NotOwned

CHUNK_BYTES = 1 << 16

Counts = Engine[Any] | Stages
"""What counts a stream: one engine, or two stages with its face."""
Owner = Callable[[int], Awaitable[Entry | None]]
"""Looks up who owns a partition of this stream."""


async def answer_on(
    listener: socket.socket, engine: Counts, owner: Owner, counters: Mapping[str, float]
) -> web.AppRunner:
    """Answer on ``listener`` until the returned runner is cleaned up.

    Args:
        listener: the socket that the worker gave.
        engine: is asked.
        owner: looks up who owns a partition.
        counters: what else this process counts, beside the engine.
    """
    answers = _Answers(engine, owner, counters)
    application = web.Application(client_max_size=1024)
    application.router.add_get("/status", answers.status)
    application.router.add_get("/state", answers.state)
    application.router.add_get("/views", answers.views)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner


class _Answers:
    def __init__(self, engine: Counts, owner: Owner, counters: Mapping[str, float]) -> None:
        self._engine = engine
        self._owner = owner
        self._counters = counters

    async def status(self, _request: web.Request) -> web.Response:
        known = self._engine.status()
        return _json(
            {"partitions": known["partitions"], "counters": {**known["counters"], **self._counters, **usage()}}
        )

    async def state(self, request: web.Request) -> web.Response:
        key = request.query["key"]
        try:
            value = await self._engine.view(key, "state", {})
        except NotOwned as error:
            entry = await self._owner(error.partition)
            return _json(
                {
                    "error": f"partition {error.partition}, which holds this key, is not served by this worker",
                    "partition": error.partition,
                    "owner": entry.worker if entry else None,
                    "http": entry.http if entry else None,
                },
                421,
            )
        if value is None:
            return _json({"error": "unknown key"}, 404)
        return _json(value)

    async def views(self, request: web.Request) -> web.StreamResponse:
        arguments = {name: value for name, value in request.query.items() if name not in {"name", "key"}}
        keys = request.query.getall("key", [])
        lines = self._lines(request.query["name"], arguments, keys)
        async with aclosing(lines):
            # The first answer is made before the headers are sent: it tells whether the question is a right one.
            try:
                first = await anext(lines, None)
            except LookupError as error:
                return _json({"error": f"no such view: {error}"}, 404)
            except ValueError as error:
                return _json({"error": str(error)}, 400)
            except NotOwned as error:
                return _json({"error": f"{error}; its partition has just moved"}, 503)
            response = web.StreamResponse(headers={PARTITIONS: ",".join(map(str, owned(self._engine)))})
            response.enable_chunked_encoding()
            await response.prepare(request)
            waiting = bytearray()
            if first is not None:
                waiting += _line(*first)
                async for line in lines:
                    waiting += _line(*line)
                    if len(waiting) >= CHUNK_BYTES:
                        await response.write(bytes(waiting))
                        waiting.clear()
                        await asyncio.sleep(0)  # counting goes on between two chunks
            await response.write(bytes(waiting))
            await response.write_eof()
            return response

    async def _lines(
        self, name: str, arguments: Mapping[str, str], keys: Sequence[str]
    ) -> AsyncGenerator[tuple[str, Any]]:
        """The answers for ``keys``, those of other owners left out; without keys, for all that are owned here."""
        if not keys:
            async for line in self._engine.views(name, arguments):
                yield line
        for key in keys:
            with suppress(NotOwned):
                yield key, await self._engine.view(key, name, arguments)
            await asyncio.sleep(0)  # a large key takes long: counting goes on between two


def owned(engine: Counts, stage: str = "partitions") -> list[int]:
    """The partitions that ``engine`` counts; with the stage ``merging``, those that it merges."""
    partitions: dict[str, dict[str, Any]] = engine.status()[stage]
    return sorted(int(number) for number, partition in partitions.items() if partition["role"] == "active")


def usage() -> dict[str, float]:
    """Memory (bytes) and CPU (seconds) of this process."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    if sys.platform == "linux":
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    else:
        resident = spent.ru_maxrss  # the peak; bytes on macOS
    return {"memory_bytes": resident, "cpu_seconds": round(spent.ru_utime + spent.ru_stime, 3)}


def _line(key: str, answer: Any) -> bytes:
    told = (key, None, answer.reason) if isinstance(answer, Unanswerable) else (key, answer)
    return orjson.dumps(told) + b"\n"


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value) + b"\n", status=status, content_type="application/json")
