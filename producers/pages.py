r"""One page of a paged HTTP API, asked for again until it comes: `GET URL?offset=ID&limit=N`.

    async with PageApi(url, limit=100, gate=Gate(100)) as api:
        page = await api.page(658330693)
        page.items, page.next_offset

>>> read_page(b'{"meta":{"code":200,"next_offset":null},"response":[{"id":7}, {"id": 9}]}')
Page(items=[b'{"id":7}', b'{"id": 9}'], next_offset=None, name='')

What passes by itself is asked again, up to `ATTEMPTS` times in all: no connection, no answer in time, 5xx, 429, an
answer that is no page. Between two attempts the wait doubles, up to `BACK_OFF_S`; where the answer says
`Retry-After`, nobody asks before that. Each request passes the gate, also those that the HTTP client repeats by itself
because a connection that it kept turns out to be closed: the gate stands between having a connection and sending.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, InvalidURL, TCPConnector, TraceConfig

from producers.gate import Gate
from schemas.errors import StreamgaugeError

ATTEMPTS = 8
"""After so many a page is given up."""
BACK_OFF_S = 10.0
"""The longest wait between two attempts, where the API names none."""
FIRST_BACK_OFF_S = 0.25
ANSWER_S = 10.0
"""How long the API may say nothing."""
MOST_BYTES = 64 << 20
"""A larger answer is no page."""
BUSY = frozenset({408, 425, 429})
"""Beside 5xx: refusals that pass by themselves."""


class Page(NamedTuple):
    """The items at some offset."""

    items: list[bytes]
    """Each as JSON, as it was sent."""
    next_offset: int | None
    """The id of the first item of the next page; None: there is none."""
    name: str = ""
    """Where it is from."""


class PageGivenUp(StreamgaugeError):
    """A page that could not be had. ``str(error)`` says which, and why at last."""


class _Meta(msgspec.Struct):
    next_offset: int | None
    code: int = 200


class _Answer(msgspec.Struct):
    meta: _Meta
    response: list[msgspec.Raw]


class _Again(Exception):
    """An attempt that failed in a way that passes; ``after`` is what the API asked to wait, in seconds."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


_decode = msgspec.json.Decoder(_Answer).decode


def read_page(body: bytes, name: str = "") -> Page:
    """Read an answer.

    Raises:
        ValueError: it is no page; the reason.
    """
    answer = _decode(body)
    if answer.meta.code != 200:
        raise ValueError(f"the answer's code is {answer.meta.code}")
    return Page([bytes(item) for item in answer.response], answer.meta.next_offset, name)


class PageApi:
    """The API, as all readers share it.

    Args:
        url: the endpoint; ``offset`` and ``limit`` are added to its query.
        limit: items of a page.
        gate: passed before each request.
        sleep: waits so many seconds, between two attempts.
    """

    def __init__(
        self, url: str, *, limit: int, gate: Gate, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._url = url + ("&" if "?" in url else "?")
        self.limit = limit
        self._gate = gate
        self._sleep = sleep
        self._session: ClientSession | None = None
        self.answered = 0
        """Pages that came."""
        self.repeated = 0
        """Requests that failed and were asked again."""

    def name(self, offset: int) -> str:
        """The address of the page at ``offset``."""
        return f"{self._url}offset={offset}&limit={self.limit}"

    async def page(self, offset: int) -> Page:
        """The page at ``offset``.

        Raises:
            PageGivenUp: it did not come in `ATTEMPTS`, or asking again is of no use.
        """
        name = self.name(offset)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                page = await self._ask(name)
                if page.next_offset is not None and page.next_offset <= offset:
                    raise _Again(f"the answer's next_offset {page.next_offset} does not go on")
            except _Again as failed:
                if failed.after is not None:
                    self._gate.close_for(failed.after)  # also after the last attempt: it is meant for all readers
                if attempt == ATTEMPTS:
                    raise PageGivenUp(f"{name} was given up after {ATTEMPTS} attempts: {failed}") from failed
                self.repeated += 1
                longest = min(BACK_OFF_S, FIRST_BACK_OFF_S * 2**attempt)
                await self._sleep(random.uniform(longest / 2, longest))
            else:
                self.answered += 1
                return page
        raise RuntimeError("unreachable: the last attempt returns or raises")

    async def _ask(self, name: str) -> Page:
        """Ask once."""
        if self._session is None:
            raise RuntimeError("the API is used within its context only")
        try:
            async with self._session.get(name, allow_redirects=False) as response:
                body = await _body(response)
        except InvalidURL as error:
            raise PageGivenUp(f"{name} is no address of an HTTP server") from error
        except TimeoutError as error:
            raise _Again(f"no answer within {ANSWER_S:g} s") from error
        except ClientError as error:
            raise _Again(str(error) or type(error).__name__) from error
        if response.status == 200:
            try:
                return read_page(body, name)
            except (ValueError, RecursionError) as error:
                raise _Again(f"the answer is no page: {error}") from error
        status = f"{response.status} {response.reason or ''}".strip()
        if response.status in BUSY or response.status >= 500:
            raise _Again(status, _retry_after(response.headers.get("Retry-After")))
        moved = response.headers.get("Location")
        raise PageGivenUp(f"{name} was refused: {status}{f'; it has moved to {moved}' if moved else ''}")

    async def __aenter__(self) -> Self:
        async def turn(_session: ClientSession, _context: Any, _params: Any) -> None:
            await self._gate.passed()

        trace = TraceConfig()
        trace.on_connection_create_end.append(turn)
        trace.on_connection_reuseconn.append(turn)
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None, sock_connect=ANSWER_S, sock_read=ANSWER_S),
            trace_configs=[trace],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()


async def _body(response: ClientResponse) -> bytes:
    """The body, unless it is beyond all measure."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise _Again(f"the answer is longer than {MOST_BYTES} bytes")
    return bytes(body)


def _retry_after(header: str | None) -> float | None:
    """Seconds, of a header that gives seconds or a date; None where it gives neither.

    >>> _retry_after("3"), _retry_after("soon"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    (3.0, None, 0.0)
    """
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
