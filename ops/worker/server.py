"""The HTTP face of a worker: health, metrics, questions to the state of its engines, and pages for people.

    GET /                       the page of the worker
    GET /sessions?last=12h&…    the page of the drill-down of sessions (`ops.pages.question`)
    GET /state?stream=S&key=K   the page of a key
    GET /live                   200, or 503 with the reason: an engine process hangs
    GET /ready                  200, or 503 with the reason: not all partitions are restored
    GET /metrics                Prometheus text
    GET /status                 JSON: the engines, their partitions and counters
    GET /state/STREAM/KEY       JSON: all that is known of a key; 404 unknown, 421 with the owner where it is
    GET /views/STREAM?name=N&…  a JSON line [key, answer] for each key that this worker owns; with key=K&key=… of those;
                                [key, null, reason] where the key's state cannot answer

The worker asks its engine processes (`ops.worker.answers`) and passes on what they say. An answer of `/views` that
breaks off, because an engine died in the middle, ends without the last chunk, which HTTP clients report.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web

from ops.worker.metrics import CONTENT_TYPE, render
from ops.worker.process import EngineProcess
from ops.worker.rates import Rates
from ops.worker.reporting import Reporting
from schemas.errors import StreamgaugeError

if TYPE_CHECKING:
    from ops.worker.parent import Worker

PARTITIONS = "X-Streamgauge-Partitions"
"""Header of an answer of `/views`: the partitions it covers, as ``0,3,7``."""
SILENT_S = 45.0
"""An engine process that has not reported for so long hangs; it reports every 10 s."""
ANSWER_S = 5.0
FIRST_ANSWER_S = 25.0
"""Of a view: the engine looks up the keys of a partition before it answers for the first of them."""
VIEWS_AT_ONCE = 4
QUESTIONS_AT_ONCE = 64
RETRY_S = "5"
"""When to ask for a page again that could not be made."""


async def serve(stack: AsyncExitStack, worker: Worker, address: tuple[str, int]) -> tuple[str, int]:
    """Serve until ``stack`` closes.

    Returns:
        The host and port, which is a free one where ``address`` has port 0.

    Raises:
        StreamgaugeError: the address cannot be had.
    """
    host, port = address
    # A connection an engine does not take waits in the backlog of its socket, hence the time-outs.
    session = ClientSession(
        connector=TCPConnector(limit=QUESTIONS_AT_ONCE * 2), timeout=ClientTimeout(total=None, sock_connect=ANSWER_S)
    )
    await stack.enter_async_context(session)
    runner = web.AppRunner(_Server(worker, session).application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        bound = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise StreamgaugeError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}; "
            "name another address with --http, or --http off"
        ) from error
    await web.SockSite(runner, bound).start()
    return host, int(bound.getsockname()[1])


class _Server:
    def __init__(self, worker: Worker, session: ClientSession) -> None:
        self._worker = worker
        self._session = session
        self._views = 0
        self._questions = 0
        self._began = time.time()
        self._rates = Rates()
        self._reporting = Reporting(worker.plan)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_quietly], client_max_size=1024)
        application.router.add_get("/", self.page)
        application.router.add_get("/sessions", self.sessions)
        application.router.add_get("/state", self.key)
        application.router.add_get("/live", self.live)
        application.router.add_get("/ready", self.ready)
        application.router.add_get("/metrics", self.metrics)
        application.router.add_get("/status", self.status)
        application.router.add_get("/state/{stream}/{key:.*}", self.state)
        application.router.add_get("/views/{stream}", self.views)
        return application

    # -- health

    async def live(self, _request: web.Request) -> web.Response:
        return _verdict(self._silent(), "live")

    def _silent(self) -> str:
        """Which engines hang; empty when none does."""
        now = time.monotonic()
        return "; ".join(
            f"{engine.name} has been silent for {now - engine.heard:.0f} s"
            for engine in self._worker.engines
            if engine.pid is not None and now - engine.heard > SILENT_S
        )

    async def ready(self, _request: web.Request) -> web.Response:
        return _verdict(self._worker.not_ready, "ready")

    # -- figures

    async def metrics(self, _request: web.Request) -> web.Response:
        text = render(await self._everything())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._everything())

    async def _everything(self) -> dict[str, Any]:
        engines = await asyncio.gather(*(self._engine(engine) for engine in self._worker.engines))
        self._rates.read(time.monotonic(), _records(engines))
        return {
            "worker": self._worker.plan.worker,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "version": program_version(),
            "python": platform.python_version(),
            "started": self._began,
            "ready": not self._worker.not_ready,
            "engines": engines,
        }

    async def _engine(self, engine: EngineProcess) -> dict[str, Any]:
        """What is known of one engine here, and what it says of itself when it answers."""
        known: dict[str, Any] = {
            "stream": engine.order.stream,
            "instance": engine.order.instance,
            "state": engine.state,
            "reason": engine.reason,
            "pid": engine.pid,
            "restarts": max(0, engine.starts - 1),
            "partitions": {},
            "counters": {},
        }
        if engine.pid is not None:
            with suppress(ClientError, TimeoutError, ValueError):
                async with asyncio.timeout(ANSWER_S), self._ask(engine, "/status", ()) as answer:
                    known |= await answer.json()
        return known

    # -- pages

    async def page(self, _request: web.Request) -> web.Response:
        from ops.pages.worker import worker_page

        known = await self._everything()
        rates = self._rates.read(time.monotonic(), _records(known["engines"]))
        trouble = "; ".join(filter(None, (self._worker.not_ready, self._silent())))
        return _page(200, worker_page(known, trouble, rates, time.time()))

    async def sessions(self, request: web.Request) -> web.Response:
        streams = self._worker.plan.streams
        query = list(request.query.items())
        if "sessions" not in streams:
            return _page(*self._reporting.refused(404, f"this worker serves {', '.join(streams)}, no sessions", query))
        return _page(*await self._reporting.page(query, lambda: request.transport is None or self._worker.stopping))

    async def key(self, request: web.Request) -> web.Response:
        from ops.pages.worker import key_page

        stream, key = request.query.get("stream", ""), request.query.get("key")
        if key is None:
            raise _error(web.HTTPBadRequest, "say which key: ?stream=…&key=…")
        try:
            status, answer = await self._state(stream, key)
        except web.HTTPException as error:
            status, answer = error.status, (error.text or "").encode()
        return _page(status, key_page(self._worker.plan.streams, stream, key, status, answer))

    # -- questions

    async def state(self, request: web.Request) -> web.StreamResponse:
        status, body = await self._state(request.match_info["stream"], request.match_info["key"])
        return web.Response(status=status, body=body, content_type="application/json")

    async def _state(self, stream: str, key: str) -> tuple[int, bytes]:
        engines = self._engines_of(stream)
        if self._questions >= QUESTIONS_AT_ONCE:
            raise _busy("questions", QUESTIONS_AT_ONCE)
        self._questions += 1
        try:
            status, body = 0, b""
            for engine in engines:
                status, body = await self._ask_state(engine, key)
                if status != 421:  # the key is this engine's, or no answer can be had
                    break
            return status, body
        finally:
            self._questions -= 1

    async def _ask_state(self, engine: EngineProcess, key: str) -> tuple[int, bytes]:
        if engine.pid is None:
            raise _error(web.HTTPServiceUnavailable, f"{engine.name}: {engine.reason}")
        try:
            async with asyncio.timeout(ANSWER_S), self._ask(engine, "/state", [("key", key)]) as answer:
                return answer.status, await answer.read()
        except (ClientError, TimeoutError) as error:
            raise _error(web.HTTPServiceUnavailable, f"{engine.name} does not answer") from error

    async def views(self, request: web.Request) -> web.StreamResponse:
        engines = self._engines_of(request.match_info["stream"])
        if "name" not in request.query:
            raise _error(web.HTTPBadRequest, "say which view: ?name=…")
        behind = [f"{engine.name}: {engine.reason}" for engine in engines if engine.state != "ready"]
        if behind:
            raise _error(web.HTTPServiceUnavailable, "; ".join(behind))
        if self._views >= VIEWS_AT_ONCE:
            raise _busy("views", VIEWS_AT_ONCE)
        self._views += 1
        try:
            async with AsyncExitStack() as stack:
                return await self._pass_on(request, engines, stack)
        finally:
            self._views -= 1

    async def _pass_on(
        self, request: web.Request, engines: list[EngineProcess], stack: AsyncExitStack
    ) -> web.StreamResponse:
        """Open all engines' answers, so that an error is told before the first byte; then send one after another."""
        answers: list[ClientResponse] = []
        for engine in engines:
            try:
                async with asyncio.timeout(FIRST_ANSWER_S):
                    answer = await stack.enter_async_context(self._ask(engine, "/views", [*request.query.items()]))
            except (ClientError, TimeoutError) as error:
                raise _error(web.HTTPServiceUnavailable, f"{engine.name} does not answer") from error
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
            answers.append(answer)
        covered = sorted(
            {int(number) for answer in answers for number in answer.headers.get(PARTITIONS, "").split(",") if number}
        )
        response = web.StreamResponse(headers={PARTITIONS: ",".join(map(str, covered))})
        response.content_type = "application/jsonl"
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            for answer in answers:
                async for part in answer.content.iter_chunked(1 << 16):
                    await response.write(part)
        except ClientError as error:
            if request.transport is not None:
                request.transport.abort()  # without the last chunk: whoever reads it knows that it is not whole
            raise ConnectionResetError("an engine ended in the middle of its answer") from error
        await response.write_eof()
        return response

    def _engines_of(self, stream: str) -> list[EngineProcess]:
        engines = [engine for engine in self._worker.engines if engine.order.stream == stream]
        if not engines:
            serves = ", ".join(self._worker.plan.streams)
            raise _error(web.HTTPNotFound, f"this worker does not serve a stream {stream!r}; it serves {serves}")
        return engines

    @asynccontextmanager
    async def _ask(
        self, engine: EngineProcess, path: str, query: Sequence[tuple[str, str]]
    ) -> AsyncGenerator[ClientResponse]:
        if engine.listener is None:
            raise RuntimeError("an engine of a worker with HTTP has no socket")
        port = engine.listener.getsockname()[1]
        async with self._session.get(f"http://127.0.0.1:{port}{path}", params=list(query)) as answer:
            yield answer


@web.middleware
async def _quietly(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as JSON, also those of the router; nobody's HTML."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type == "application/json":
            raise
        return web.json_response({"error": error.reason}, status=error.status)


def _records(engines: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Records counted so far, of each engine that says so."""
    return {
        f"{engine['stream']}/{engine['instance']}": engine["counters"]["records"]
        for engine in engines
        if "records" in engine["counters"]
    }


def _page(status: int, html: bytes) -> web.Response:
    from ops.pages.frame import HEADERS

    retry = {"Retry-After": RETRY_S} if status == 503 else {}
    return web.Response(status=status, body=html, headers={**HEADERS, **retry})


def _verdict(reason: str, good: str) -> web.Response:
    return web.Response(text=f"{reason or good}\n", status=503 if reason else 200)


def _error(kind: type[web.HTTPException], reason: str, **more: Any) -> web.HTTPException:
    return kind(text=json.dumps({"error": reason, **more}), content_type="application/json")


def _busy(what: str, most: int) -> web.HTTPException:
    return web.HTTPServiceUnavailable(
        text=json.dumps({"error": f"{most} {what} are being answered already; ask again in a moment"}),
        content_type="application/json",
        headers={"Retry-After": "1"},
    )


def program_version() -> str:
    """The version of the installed program."""
    try:
        return version("streamgauge")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "0"
