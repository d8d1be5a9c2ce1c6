r"""Records as kcat prints them: its format string and its JSON envelope.

>>> record = Shown("sites.summaries", 3, 41, 1700000000000, b"7", [("a", b"b")], b'{"site_id":"7"}')
>>> formatter(r"%k@%p/%o %h\n")(record)
b'7@3/41 a=b\n'
>>> envelope(record).decode()[:62]
'{"topic":"sites.summaries","partition":3,"offset":41,"ts":1700'

The tokens are kcat's: ``%s`` payload, ``%S`` its length, ``%k`` key, ``%K`` its length, ``%t`` topic, ``%p``
partition, ``%o`` offset, ``%T`` timestamp (ms), ``%h`` headers, ``%%``; and ``\n \r \t \\ \xNN``. No line end is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from schemas.errors import UsageError


class Shown(NamedTuple):
    """A record as it is shown."""

    topic: str
    partition: int
    offset: int
    ts: int
    """Milliseconds."""
    key: bytes
    headers: Sequence[tuple[str, bytes | None]]
    payload: bytes | None
    """None for a tombstone."""


_TOKENS: dict[str, Callable[[Shown], bytes]] = {
    "s": lambda record: record.payload or b"",
    "S": lambda record: b"%d" % (-1 if record.payload is None else len(record.payload)),
    "k": lambda record: record.key,
    "K": lambda record: b"%d" % len(record.key),
    "t": lambda record: record.topic.encode(),
    "p": lambda record: b"%d" % record.partition,
    "o": lambda record: b"%d" % record.offset,
    "T": lambda record: b"%d" % record.ts,
    "h": lambda record: b",".join(name.encode() + b"=" + (value or b"NULL") for name, value in record.headers),
}
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\"}
_PIECE = re.compile(
    r"%(?P<token>.)|\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<escape>[nrt0\\])|(?P<text>[^%\\]+|\\|%)", re.DOTALL
)


def formatter(template: str) -> Callable[[Shown], bytes]:
    """What writes a record as ``template`` says.

    Raises:
        UsageError: the template has a token that is none.
    """
    pieces: list[bytes | Callable[[Shown], bytes]] = []
    for match in _PIECE.finditer(template):
        name, number, escape, text = match.group("token", "hex", "escape", "text")
        if name == "%":
            pieces.append(b"%")
        elif name is not None:
            if name not in _TOKENS:
                raise UsageError(f"-f: no such token %{name}; there is: {' '.join('%' + each for each in _TOKENS)} %%")
            pieces.append(_TOKENS[name])
        elif number is not None:
            pieces.append(bytes([int(number, 16)]))
        else:
            pieces.append(_ESCAPES[escape] if escape is not None else text.encode())
    return lambda record: b"".join(piece if isinstance(piece, bytes) else piece(record) for piece in pieces)


def envelope(record: Shown) -> bytes:
    """The record as one line of JSON; as in kcat's, ``payload`` is a text (null for a tombstone), headers are flat."""
    flat = [part for name, value in record.headers for part in (name, None if value is None else _text(value))]
    shown = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "ts": record.ts,
        "key": _text(record.key),
        "headers": flat,
        "payload": None if record.payload is None else _text(record.payload),
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
