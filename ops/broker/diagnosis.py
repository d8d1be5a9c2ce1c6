r"""Why a broker ended, in one line, from what it logged.

>>> diagnose("2026-01-01 ERROR Exiting Kafka: java.io.IOException: No space left on device\n")
'the disk is full'
>>> diagnose("2026-01-01 INFO all is well\n") is None
True
"""

from __future__ import annotations

import re
from pathlib import Path

TAIL_BYTES = 256 << 10
PORT_TAKEN = "its port was taken by another process"

_KNOWN = {
    "No space left on device": "the disk is full",
    "Address already in use": PORT_TAKEN,
    "Permission denied": "its directory may not be written",
    "Read-only file system": "its directory may not be written",
    "Too many open files": "too many open files; raise the limit (ulimit -n)",
    "Could not reserve enough space": "not enough memory for a Java heap of 1 GiB",
    "Cannot allocate memory": "not enough memory",
    "OutOfMemoryError": "its Java heap of 1 GiB was not enough",
    "UnsupportedClassVersionError": "this Java is too old for it",
    "has incorrect version": "its directory was written by another version of Kafka",
    "meta.properties": "its directory is damaged",
}


def diagnose(logged: str) -> str | None:
    """The reason in ``logged``, if one is known; else what the first error says; None when there is no error."""
    for symptom, reason in _KNOWN.items():
        if any(symptom in line for line in logged.splitlines() if not line.startswith(("\t", " "))):
            return reason
    failure = re.search(r"^(?:\S+ \S+ )?(?:ERROR|FATAL|Error:?) +(?:\[[^]]*\] )?(.{1,200})", logged, re.MULTILINE)
    return failure[1].strip() if failure else None


def tail(path: Path, start: int = 0) -> str:
    """The end of the file from byte ``start`` on (from its beginning when it is shorter now: it was rolled)."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start if start <= end else 0, end - TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
