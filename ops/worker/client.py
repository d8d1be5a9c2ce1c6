"""Asking workers over HTTP, from a command.

    answer = ask("10.0.0.7:9100", "/state/sites/7")
    answer.status, answer.value              # 200, {…}; None: nobody answers there

Plain blocking calls: a command asks a handful of workers once (`ask_all`: at the same time).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

TIMEOUT_S = 6.0
"""A little more than a worker gives its engines."""
MOST_BYTES = 64 << 20

# Workers are near: what http_proxy says is for elsewhere.
_opener = build_opener(ProxyHandler({}))


class Answer(NamedTuple):
    """What a worker said."""

    status: int
    value: Any


def ask(http: str, path: str, timeout_s: float = TIMEOUT_S) -> Answer | None:
    """The JSON that the worker at ``http`` (``HOST:PORT``) answers; None when none does."""
    try:
        with _opener.open(f"http://{http}{path}", timeout=timeout_s) as answer:
            return Answer(answer.status, json.loads(answer.read(MOST_BYTES)))
    except HTTPError as error:
        with error:
            return _refusal(error)
    except (OSError, ValueError, HTTPException):
        return None


def ask_all(https: Iterable[str], path: str, timeout_s: float = TIMEOUT_S) -> dict[str, Answer]:
    """`ask` of several workers at once; who does not answer is not in it."""
    places = sorted(set(https))
    if not places:
        return {}
    with ThreadPoolExecutor(min(len(places), 16)) as threads:
        answers = [(http, threads.submit(ask, http, path, timeout_s)) for http in places]
        return {http: said for http, answer in answers if (said := answer.result()) is not None}


def state_path(stream: str, key: str) -> str:
    """Where a worker answers for one key.

    >>> state_path("sites", "a/b c")
    '/state/sites/a%2Fb%20c'
    """
    return f"/state/{quote(stream, safe='')}/{quote(key, safe='')}"


def _refusal(error: HTTPError) -> Answer:
    try:
        return Answer(error.code, json.loads(error.read(MOST_BYTES)))
    except (OSError, ValueError, HTTPException):
        return Answer(error.code, {"error": error.reason})
