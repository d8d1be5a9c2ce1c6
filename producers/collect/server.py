"""The HTTP server that takes records in.

    POST /streams/STREAM        JSON lines; /sessions is /streams/sessions
    GET /live, GET /ready       200, or 503 with the reason

    collector = Collector(names, open_stream, Tokens(["s3cret"]))
    host, port = await collector.serve("127.0.0.1", 0)
    …
    await collector.stop()                        # open requests are answered with what was taken of them

Every answer has one shape: ``{"accepted", "rejected", "errors": [{"line", "reason"}…]}``, and ``"error"`` where
something was not taken. What is counted is acknowledged. Nobody waits for anybody else: a request that cannot go on
(its client is slow, the broker is) waits by itself, and the socket that nobody reads pushes back on its client.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Thread
from typing import Any, NamedTuple, Self, TypeVar

from aiohttp import web
from aiohttp.http import HttpProcessingError, HttpVersion11

from producers.collect.body import Body
from producers.collect.intake import Intake, Totals
from producers.collect.listen import BACKLOG, BoundedServer, bind
from producers.collect.tokens import Tokens
from producers.collect.unpack import ENCODINGS, Unpacker, unpacker
from producers.collect.upload import Upload
from producers.publisher import Publisher
from producers.records import Format
from schemas.errors import StreamgaugeError

T = TypeVar("T")

MOST_BODIES = 4_096
"""Requests at a time: a client that reports for hours keeps one."""
HELD_BYTES = 256 << 20
"""What all open requests may keep in memory together of lines that have not ended."""
LARGE_BYTES = 64 << 10
"""Of these, a request that keeps no more is let alone."""
READ_BYTES = 32 << 10
"""When so much of a body waits to be read, its socket is read no further."""
QUIET_S = 75.0
"""How long a connection may be without a whole request (its headers), between two and before the first."""
STALLED_S = 10.0
"""After how long without an acknowledgement new requests are refused."""
ANSWER_S = 30.0
"""How long a body that was read waits for the broker."""
STOP_S = 4.0
"""And how long at the most when the server stops."""
STOPPING = "the server is stopping"
BACK_S = {429: 5, 503: 10}
"""What ``Retry-After`` says."""


class Opened(NamedTuple):
    """A stream that is ready to be sent to."""

    read: Format
    """How lines are read."""
    form: str
    """What they are, where the stream's files hold something else; otherwise empty."""
    publisher: Publisher


class _Stream(NamedTuple):
    opened: Opened
    intake: Intake


class _Refusal(Exception):
    """A request of which nothing is taken."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}


class _TooMuch(Exception):
    """There is no memory for more of a body."""


class Collector:
    """One server.

    Args:
        streams: the names of all streams.
        open_stream: makes one ready at its first request, in a thread of its own; raises `StreamgaugeError`.
        tokens: who may send.
        max_body: bytes of a body, unpacked; None: any number.
        most_bodies: requests at a time.
        notice: hears of trouble that an operator should know of.
        detail: hears of every request.
    """

    def __init__(
        self,
        streams: Collection[str],
        open_stream: Callable[[str], Opened],
        tokens: Tokens,
        max_body: int | None = None,
        *,
        most_bodies: int = MOST_BODIES,
        notice: Callable[[str], None] = lambda _: None,
        detail: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.totals: dict[str, Totals] = {}
        """What each stream that was sent to has got."""
        self.bodies = 0
        """Requests that are being taken now."""
        self._names = streams
        self._open_stream = open_stream
        self._tokens = tokens
        self._max_body = max_body
        self._most_bodies = most_bodies
        self._notice = notice
        self._detail = detail
        self._streams: dict[str, _Stream] = {}
        self._opening: dict[str, asyncio.Task[_Stream]] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self._for_client: set[asyncio.Timeout] = set()
        self._for_broker: set[asyncio.Timeout] = set()
        self._held = 0
        self._requests = 0
        self._stop_at = math.inf
        self._empty = asyncio.Event()
        self._empty.set()
        self._runner: web.ServerRunner | None = None

    async def serve(self, host: str, port: int) -> tuple[str, int]:
        """Listen.

        Returns:
            The host and port, which is a free one where ``port`` is 0.

        Raises:
            StreamgaugeError: the address cannot be had.
        """
        bound = bind(host, port)
        server = BoundedServer(
            self._answer, access_log=None, logger=_logger(), auto_decompress=False, read_bufsize=READ_BYTES,
            keepalive_timeout=QUIET_S,
        )  # fmt: skip
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, bound, backlog=BACKLOG).start()
        return host, int(bound.getsockname()[1])

    async def stop(self) -> None:
        """Take no more, answer every open request with what was taken of it, and close; within seven seconds."""
        self._stop_at = asyncio.get_running_loop().time() + STOP_S
        runner = self._runner
        if runner is not None:
            for site in list(runner.sites):
                await site.stop()
        for limit in list(self._for_client):
            limit.reschedule(0)
        for limit in list(self._for_broker):
            limit.reschedule(self._stop_at)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S + 1):
                await self._empty.wait()
        if runner is not None:
            await runner.cleanup()
        for pump in self._pumps:
            pump.cancel()
        for stream in self._streams.values():
            stream.intake.fail(StreamgaugeError("the server has stopped"))

    @property
    def _stopping(self) -> bool:
        return self._stop_at < math.inf

    # -- requests

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request, whatever goes wrong with it."""
        self._requests += 1
        began = time.time()
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        host, port = (peer or ("unknown", 0))[:2]
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
        origin = f"{f'[{host}]' if ':' in host else host}:{port}/{moment}/{self._requests}"
        try:
            response = await self._route(request, origin)
        except _Refusal as refusal:
            response = _response(refusal.status, 0, 0, [], str(refusal), refusal.headers)
            if request.body_exists and not request.content.is_eof():
                response.force_close()
        except ConnectionError as error:  # the client went away before its body began
            response = _response(400, 0, 0, [], f"nobody is there any more: {error}")
        except Exception as error:  # noqa: BLE001 (a fault of ours costs a request, not the server)
            self._notice(f"{origin}: internal error: {type(error).__name__}: {error}")
            response = _response(500, 0, 0, [], "internal error; nothing is known of what was taken")
            response.force_close()
        response.headers.update({"X-Request-Id": origin, "Server": "streamgauge"})
        if self._stopping:
            response.force_close()
        self._detail(f"{origin} {request.method} {request.path!r} {response.status} in {time.time() - began:.3f} s")
        return response

    async def _route(self, request: web.BaseRequest, origin: str) -> web.Response:
        path = request.path
        if path in {"/live", "/ready"} and request.method in {"GET", "HEAD"}:
            reason = self._not_ready() if path == "/ready" else ""
            return web.Response(text=f"{reason or path[1:]}\n", status=503 if reason else 200)
        stream = "sessions" if path == "/sessions" else path.removeprefix("/streams/")
        if path not in {"/sessions", f"/streams/{stream}"}:
            raise _Refusal(404, f"nothing is here; POST records to /streams/STREAM, one of {', '.join(self._names)}")
        unpack = self._admit(request, stream)
        self.bodies += 1
        self._empty.clear()
        try:
            return await self._take(request, stream, unpack, origin)
        finally:
            self.bodies -= 1
            if not self.bodies:
                self._empty.set()

    def _admit(self, request: web.BaseRequest, stream: str) -> Unpacker:
        """Refuse what can be refused without looking at the body.

        Raises:
            _Refusal: with the reason.
        """
        refused = self._tokens.refusal(request.headers.get("Authorization"))
        if refused == 401:
            raise _Refusal(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if refused is not None:
            raise _Refusal(refused, "the token is none of those that may send here")
        if stream not in self._names:
            raise _Refusal(404, f"no such stream {stream!r}; there is {', '.join(self._names)}")
        if request.method != "POST":
            raise _Refusal(405, f"records are sent with POST, not {request.method}", {"Allow": "POST"})
        unpack = unpacker(request.headers.get("Content-Encoding", ""))
        if unpack is None:
            known = {"Accept-Encoding": "gzip, zstd"}
            raise _Refusal(415, f"Content-Encoding is one of {', '.join(filter(None, ENCODINGS))}", known)
        if self._stopping:
            raise _Refusal(503, STOPPING)
        if self.bodies >= self._most_bodies:
            raise _Refusal(429, f"{self._most_bodies} requests are being taken already; try again in a moment")
        ready = self._streams.get(stream)
        if ready is not None and ready.intake.stalled_s > STALLED_S and ready.intake.failure is None:
            raise _Refusal(503, f"the broker has not answered for {ready.intake.stalled_s:.0f} s")
        if unpack.memory > LARGE_BYTES and self._held + unpack.memory > HELD_BYTES:
            raise _Refusal(503, "too much is being unpacked already; try again in a moment, or send it as it is")
        return unpack

    async def _take(self, request: web.BaseRequest, name: str, unpack: Unpacker, origin: str) -> web.Response:
        """Take a body to its end, or as far as possible."""
        try:
            async with self._until_stopped():
                stream = await self._ready_stream(name)
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await _say_continue(request)
        except TimeoutError:
            raise _Refusal(503, STOPPING) from None
        except StreamgaugeError as error:
            raise _Refusal(503, str(error)) from error
        body = Body(stream.opened.read(origin), unpack, self._max_body)
        with _Watched(request.content, body, self.hold) as content:
            upload = Upload(content, body, stream.intake, origin, stream.opened.form)
            try:
                status, reason = await self._run(upload, body)
                if not await upload.acknowledged(self._patience):
                    status, reason = 503, "the broker does not answer"
            except StreamgaugeError as error:
                status, reason = 503, str(error)
        if status == 200 and upload.rejected and not upload.accepted:
            status, reason = 400, f"no line is a record of {name}"
        if status == 503:
            reason += f"; send again what begins at line {upload.line}"
        response = _response(status, upload.accepted, upload.rejected, body.errors, reason)
        if not request.content.is_eof():
            response.force_close()
        return response

    async def _run(self, upload: Upload, body: Body) -> tuple[int, str]:
        """Read and send; how that ended, as a status and a reason (200 has none).

        Raises:
            StreamgaugeError: the broker refused.
        """
        try:
            async with self._until_stopped():
                await upload.run()
        except TimeoutError:
            if asyncio.get_running_loop().time() < self._stop_at - STOP_S / 2:  # of very many, some are not read on
                upload.drain()
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
            # The client is gone, or what it sends is no HTTP. What came before is on its way all the same.
            return 400, f"the body breaks off: {error or 'no more can be read of it'}"
        except _TooMuch as error:
            return 503, str(error)
        if body.refused is not None:
            return body.refused
        return (200, "") if upload.whole else (503, STOPPING)

    @asynccontextmanager
    async def _until_stopped(self) -> AsyncGenerator[None]:
        """Within, waiting ends by TimeoutError when the server stops."""
        async with asyncio.timeout(0 if self._stopping else None) as limit:
            self._for_client.add(limit)
            try:
                yield
            finally:
                self._for_client.discard(limit)

    @asynccontextmanager
    async def _patience(self) -> AsyncGenerator[None]:
        """Within, waiting ends by TimeoutError when the broker takes too long."""
        latest = asyncio.get_running_loop().time() + ANSWER_S
        async with asyncio.timeout_at(min(latest, self._stop_at)) as limit:
            self._for_broker.add(limit)
            try:
                yield
            finally:
                self._for_broker.discard(limit)

    def hold(self, more: int, body: Body) -> None:
        """Note that ``body`` keeps ``more`` bytes in memory than before.

        Raises:
            _TooMuch: all together keep too much.
        """
        self._held += more
        if more > 0 and self._held > HELD_BYTES and body.held > LARGE_BYTES:
            raise _TooMuch("too many long lines are on their way at a time")

    # -- streams

    async def _ready_stream(self, name: str) -> _Stream:
        """The stream, made ready when nobody has sent to it yet, or when what was sent by it failed."""
        ready = self._streams.get(name)
        if ready is not None and ready.intake.failure is None:
            return ready
        opening = self._opening.get(name)
        if opening is None:
            opening = asyncio.create_task(self._make_ready(name))
            self._opening[name] = opening
            opening.add_done_callback(lambda done: (self._opening.pop(name), done.cancelled() or done.exception()))
        return await asyncio.shield(opening)

    async def _make_ready(self, name: str) -> _Stream:
        try:
            opened = await _in_a_thread(lambda: self._open_stream(name))
        except StreamgaugeError as error:
            self._notice(f"{name} cannot be sent to: {error}")
            raise
        intake = Intake(opened.publisher, self.totals.setdefault(name, Totals()))
        pump = asyncio.create_task(self._pump(name, intake))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        ready = self._streams[name] = _Stream(opened, intake)
        return ready

    async def _pump(self, name: str, intake: Intake) -> None:
        await intake.pump()
        self._notice(f"{name}: {intake.failure}; its open requests were answered 503, the next one begins anew")

    def _not_ready(self) -> str:
        if self._stopping:
            return STOPPING
        stalled = [name for name, ready in self._streams.items() if ready.intake.stalled_s > STALLED_S]
        return f"the broker does not answer for {', '.join(stalled)}" if stalled else ""


class _Watched:
    """The content of a request; what its body keeps in memory is told to ``hold`` whenever more is read."""

    def __init__(self, content: Any, body: Body, hold: Callable[[int, Body], None]) -> None:
        self.at_eof = content.at_eof
        self.exception = content.exception
        self.read_nowait = content.read_nowait
        self._content = content
        self._body = body
        self._hold = hold
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hold(-self._held, self._body)

    async def readany(self) -> bytes:
        more = self._body.held - self._held
        if more:
            self._held += more
            self._hold(more, self._body)
        return await self._content.readany()


def _response(
    status: int,
    accepted: int,
    rejected: int,
    errors: list[tuple[int, str]],
    reason: str = "",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    told: dict[str, Any] = {
        "accepted": accepted,
        "rejected": rejected,
        "errors": [{"line": line, "reason": why} for line, why in errors],
    }
    if reason:
        told["error"] = reason
    response = web.Response(status=status, text=json.dumps(told) + "\n", content_type="application/json")
    response.headers.update(headers or {})
    if status in BACK_S:
        response.headers["Retry-After"] = str(BACK_S[status])
    return response


async def _say_continue(request: web.BaseRequest) -> None:
    """Let a client go on that asks before it sends its body."""
    if request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp itself does: the answer has not begun


async def _in_a_thread(work: Callable[[], T]) -> T:
    """Do what blocks, in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        tell: Callable[[], None]
        try:
            tell = partial(done.set_result, work())
        except Exception as error:  # noqa: BLE001 (it is raised where it is waited for)
            tell = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if done.done() else tell())

    Thread(target=run, daemon=True).start()
    return await done


def _logger() -> logging.Logger:
    """Where aiohttp complains of what is no HTTP: nowhere, unless somebody listens."""
    logger = logging.getLogger("streamgauge.collect")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    return logger
