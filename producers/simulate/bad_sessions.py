"""Every kind of record that `sessions` must reject, made from the parts of a good one.

>>> bad_line("cpu is over 1", b"id-1", 100)
b'{"timestamp":100,"sessionID":"id-1","cpu":1.01}'
"""

from __future__ import annotations

_TIME, _SESSION, _CPU = b'"timestamp":%(time)d', b'"sessionID":"%(session)b"', b'"cpu":0.1234'


def _record(*parts: bytes) -> bytes:
    return b"{" + b",".join(parts) + b"}"


_GOOD = _record(_TIME, _SESSION, _CPU)

KINDS: dict[str, bytes] = {
    "timestamp is missing": _record(_SESSION, _CPU),
    "sessionID is missing": _record(_TIME, _CPU),
    "sessionID is empty": _record(_TIME, b'"sessionID":""', _CPU),
    "sessionID is a number": _record(_TIME, b'"sessionID":7', _CPU),
    "sessionID is null": _record(_TIME, b'"sessionID":null', _CPU),
    "timestamp is no integer": _record(_TIME + b".5", _SESSION, _CPU),
    "timestamp is a string": _record(b'"timestamp":"%(time)d"', _SESSION, _CPU),
    "timestamp is true": _record(b'"timestamp":true', _SESSION, _CPU),
    "timestamp is beyond 64 bits": _record(b'"timestamp":9223372036854775808', _SESSION, _CPU),
    "state is unknown": _record(_TIME, _SESSION, b'"state":"asleep"'),
    "state is a number": _record(_TIME, _SESSION, b'"state":1'),
    "version is a number": _record(_TIME, _SESSION, b'"version":700'),
    "userID is null": _record(_TIME, _SESSION, b'"userID":null'),
    "cpu is over 1": _record(_TIME, _SESSION, b'"cpu":1.01'),
    "cpu is below 0": _record(_TIME, _SESSION, b'"cpu":-0.01'),
    "cpu is a string": _record(_TIME, _SESSION, b'"cpu":"0.1234"'),
    "cpu is NaN": _record(_TIME, _SESSION, b'"cpu":NaN'),
    "the record is cut off": _GOOD[:-9],
    "two records share a line": _GOOD + _GOOD,
    "the record is a list": b"[" + _GOOD + b"]",
    "the record is null": b"null",
    "the line is no JSON": b"%(time)d %(session)b 0.1234",
    "a text is not UTF-8": _record(_TIME, _SESSION, b'"version":"7\xe9"'),
}
"""Templates by what is wrong."""

NAMES = tuple(KINDS)


def bad_line(kind: str, session: bytes, time_ms: int) -> bytes:
    """A line that is bad in one way: one of `NAMES`."""
    return KINDS[kind] % {b"session": session, b"time": time_ms}
