"""What texts mean: from the command line, the environment or the file to a setting's value.

>>> address("[::1]:8080"), count("8"), names("os, activity")
(Address(host='::1', port=8080), 8, ('os', 'activity'))
>>> count("eight")
Traceback (most recent call last):
ValueError: 'eight' is no whole number

Each raises ValueError with a reason that is fit to be shown behind the name of the setting. Beside them: the defaults
that depend on the machine.
"""

from __future__ import annotations

import os
import re
import sys
from math import isnan, nan
from pathlib import Path
from typing import NamedTuple


class Address(NamedTuple):
    """Where a server listens; an empty host is all interfaces, port 0 a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def text(said: str) -> str:
    """Any text but the empty one."""
    if not said:
        raise ValueError("must not be empty")
    return said


def path(said: str) -> Path:
    """A path; ``~`` is the user's home."""
    return Path(text(said)).expanduser()


def database(said: str) -> str:
    """The address of a database; a relative path of SQLite's is one of the current directory."""
    from sinks.database import SQLITE, checked

    url = checked(said)
    return f"{SQLITE}{Path(url.removeprefix(SQLITE)).expanduser().absolute()}" if url.startswith(SQLITE) else url


def truth(said: str) -> bool:
    """Yes or no; nothing is no."""
    word = said.strip().lower()
    if word not in {"1", "true", "yes", "on", "0", "false", "no", "off", ""}:
        raise ValueError(f"{said!r} is neither true nor false")
    return word in {"1", "true", "yes", "on"}


def count(said: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch(r"\s*\d+\s*", said):
        raise ValueError(f"{said!r} is no whole number")
    return int(said)


def share(said: str) -> float:
    """A number, such as 0.3.

    >>> share("nan")
    Traceback (most recent call last):
    ValueError: 'nan' is no number
    """
    try:
        number = float(said)
    except ValueError:
        number = nan
    if isnan(number):
        raise ValueError(f"{said!r} is no number")
    return number


def names(said: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name for name in (part.strip() for part in said.split(",")) if name)


def tokens(said: str) -> tuple[str, ...]:
    """Bearer tokens with commas between them, of the characters that RFC 6750 has. A reason repeats none of them."""
    found = names(said)
    if not found:
        raise ValueError("must not be empty")
    from producers.collect.tokens import is_token

    if not all(map(is_token, found)):
        raise ValueError("a token is made of letters, digits and - . _ ~ + /")
    return found


def address(said: str) -> Address:
    """``HOST:PORT``; an IPv6 host stands in brackets."""
    host, colon, port = said.strip().rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{said!r} is not HOST:PORT")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def processes(said: str) -> int:
    """A number of processes; ``auto`` is one a core."""
    if said != "auto":
        return count(said)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def worker_id(said: str) -> str:
    """What may name a directory and a group member."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", said):
        raise ValueError(f"{said!r} must be 1 to 100 of A-Z a-z 0-9 . _ - (it names a directory and a group member)")
    return said


def color(said: str) -> str:
    """``auto``, ``always`` or ``never``."""
    if said not in {"auto", "always", "never"}:
        raise ValueError(f"{said!r} is not auto, always or never")
    return said


def user_data() -> Path:
    """The platform's place for a user's data.

    Raises:
        RuntimeError: the user has no home directory.
    """
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "streamgauge"


def host_name() -> str:
    """This machine's name, as `worker_id` takes it."""
    import socket

    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip(".-")[:100] or "worker"
