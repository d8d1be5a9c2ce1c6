"""Every kind of record that `sites` must reject, made from the parts of a good one.

>>> bad_line("timestamp is no integer", b"id-1", b"7", 100)
b'{"id":"id-1","type":"message","from":"visitor1","site_id":"7","timestamp":100.0,"data":{"message":"to and tangled"}}'
"""

from __future__ import annotations

_ID, _TYPE, _FROM = b'"id":"%(id)b"', b'"type":"message"', b'"from":"visitor1"'
_SITE, _TIME, _DATA = b'"site_id":"%(site)b"', b'"timestamp":%(time)d', b'"data":{"message":"to and tangled"}'
_STATUS = b'"type":"status"'


def _record(*parts: bytes) -> bytes:
    return b"{" + b",".join(parts) + b"}"


_GOOD = _record(_ID, _TYPE, _FROM, _SITE, _TIME, _DATA)

KINDS: dict[str, bytes] = {
    "id is missing": _record(_TYPE, _FROM, _SITE, _TIME, _DATA),
    "type is missing": _record(_ID, _FROM, _SITE, _TIME, _DATA),
    "from is missing": _record(_ID, _TYPE, _SITE, _TIME, _DATA),
    "site_id is missing": _record(_ID, _TYPE, _FROM, _TIME, _DATA),
    "timestamp is missing": _record(_ID, _TYPE, _FROM, _SITE, _DATA),
    "data is missing": _record(_ID, _TYPE, _FROM, _SITE, _TIME),
    "status is missing": _record(_ID, _STATUS, _FROM, _SITE, _TIME, b'"data":{}'),
    "id is empty": _record(b'"id":""', _TYPE, _FROM, _SITE, _TIME, _DATA),
    "from is empty": _record(_ID, _TYPE, b'"from":""', _SITE, _TIME, _DATA),
    "site_id is empty": _record(_ID, _TYPE, _FROM, b'"site_id":""', _TIME, _DATA),
    "site_id is a number": _record(_ID, _TYPE, _FROM, b'"site_id":%(site)b', _TIME, _DATA),
    "site_id is null": _record(_ID, _TYPE, _FROM, b'"site_id":null', _TIME, _DATA),
    "type is unknown": _record(_ID, b'"type":"typing"', _FROM, _SITE, _TIME, _DATA),
    "status is unknown": _record(_ID, _STATUS, _FROM, _SITE, _TIME, b'"data":{"status":"away"}'),
    "timestamp is no integer": _record(_ID, _TYPE, _FROM, _SITE, _TIME + b".0", _DATA),
    "timestamp is a string": _record(_ID, _TYPE, _FROM, _SITE, b'"timestamp":"%(time)d"', _DATA),
    "timestamp is true": _record(_ID, _TYPE, _FROM, _SITE, b'"timestamp":true', _DATA),
    "timestamp is beyond 64 bits": _record(_ID, _TYPE, _FROM, _SITE, b'"timestamp":9223372036854775808', _DATA),
    "timestamp is NaN": _record(_ID, _TYPE, _FROM, _SITE, b'"timestamp":NaN', _DATA),
    "data is a string": _record(_ID, _TYPE, _FROM, _SITE, _TIME, b'"data":"to and tangled"'),
    "message is a number": _record(_ID, _TYPE, _FROM, _SITE, _TIME, b'"data":{"message":7}'),
    "the record is cut off": _GOOD[:-9],
    "two records share a line": _GOOD + _GOOD,
    "the record is a list": b"[" + _GOOD + b"]",
    "the record is null": b"null",
    "the line is no JSON": b"%(time)d visitor1 to and tangled %(id)b",
    "a text is not UTF-8": _record(_ID, _TYPE, _FROM, _SITE, _TIME, b'"data":{"message":"to and tangl\xe9d"}'),
    "a text holds a bare control character": _record(_ID, _TYPE, _FROM, _SITE, _TIME, b'"data":{"message":"to\tand"}'),
    "nesting is too deep": _record(_ID, b'"extra":' + b"[" * 10_000 + b"]" * 10_000, _TYPE, _FROM, _SITE, _TIME, _DATA),
}
"""Templates by what is wrong."""

NAMES = tuple(KINDS)


def bad_line(kind: str, event_id: bytes, site: bytes, timestamp: int) -> bytes:
    """A line that is bad in one way: one of `NAMES`."""
    return KINDS[kind] % {b"id": event_id, b"site": site, b"time": timestamp}
