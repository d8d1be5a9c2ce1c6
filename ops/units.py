"""Durations and sizes as people write them.

>>> duration_ms("500ms"), duration_ms("1h30m"), duration_ms("5")
(500, 5400000, 5000)
>>> size_bytes("1GiB"), size_bytes("500MB"), format_size(1536)
(1073741824, 500000000, '1.5 KiB')
>>> format_duration(5_400_000)
'1h30m'
>>> moment_ms("2021-11-03T20:33:19+01:00"), moment_ms("1635967999000")
(1635967999000, 1635967999000)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_BYTES = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}
_NUMBER = r"\d+(?:\.\d+)?"


def duration_ms(text: str) -> int:
    """Read a duration: ``500ms``, ``1h30m``, ``12h``, ``2d``; a bare number is seconds.

    Returns:
        Milliseconds.

    Raises:
        ValueError: with the reason, fit to be shown.
    """
    text = text.strip().lower()
    if re.fullmatch(_NUMBER, text):
        return round(float(text) * 1000)
    if not re.fullmatch(rf"(?:{_NUMBER}(?:ms|[smhdw]))+", text):
        raise ValueError(f"{text!r} is no duration (500ms, 5s, 30m, 12h, 7d)")
    parts = re.findall(rf"({_NUMBER})(ms|[smhdw])", text)
    return round(sum(float(number) * _MILLISECONDS[unit] for number, unit in parts))


def moment_ms(text: str) -> int:
    """Read a moment: ISO 8601 with a zone, or epoch milliseconds.

    Raises:
        ValueError: with the reason, fit to be shown.
    """
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment (2021-11-03T20:33:19Z, or epoch milliseconds)") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no zone: is it {text}Z, or {text}+01:00?")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def size_bytes(text: str) -> int:
    """Read a size: ``1GiB``, ``512Mi``, ``500MB``; a bare number is bytes.

    Raises:
        ValueError: with the reason, fit to be shown.
    """
    match = re.fullmatch(rf"({_NUMBER})\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"{text!r} is no size (1GiB, 512MiB, 500MB)")
    return int(float(match[1]) * _BYTES[match[2]])


def format_duration(ms: int) -> str:
    """Write a duration so that `duration_ms` reads the same back."""
    parts: list[str] = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, ms = divmod(ms, _MILLISECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(count: float) -> str:
    """Write a size for people, rounded: ``1.5 KiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
