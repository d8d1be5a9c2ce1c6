"""Apache Kafka's jars: which they are (``kafka.lock``), fetched once, checked at every use.

A line of the lock is ``group:artifact:version  bytes  sha256``; `ops.broker.relock` writes it. The jars come from
the registry of Java packages through jgo, as any Java build would get them, and lie in the user's cache directory
afterwards; then no network is needed any more.

>>> Jar("org.lz4", "lz4-java", "1.8.0", 1, "").name
'lz4-java-1.8.0.jar'
>>> [jar.version for jar in locked() if jar.artifact == "kafka-clients"] == [kafka_version()]
True
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import rmtree
from typing import Any

from ops.console import Progress, say, warn
from ops.units import format_size
from schemas.errors import StreamgaugeError

LOCK = Path(__file__).with_name("kafka.lock")
THREADS = 8
TRIES = 3
TIMEOUT_S = 30

_HEADER = """\
# The jars of Apache Kafka, as `python -m ops.broker.relock` found them. Do not edit.
# group:artifact:version  bytes  sha256
"""


@dataclass(frozen=True)
class Jar:
    """A locked jar: coordinates, size in bytes, SHA-256 as hexadecimal digits."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Its file name."""
        return f"{self.artifact}-{self.version}.jar"


Download = Callable[[Jar, Path, Callable[[int], None]], Path]
"""Fetches a jar into a directory, calling back with the bytes of each piece; where it lies then."""


@cache
def locked() -> tuple[Jar, ...]:
    """The jars of ``kafka.lock``."""
    found: list[Jar] = []
    for line in LOCK.read_text("ascii").splitlines():
        if not line.startswith("#"):
            coordinates, size, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            found.append(Jar(group, artifact, version, int(size), sha256))
    return tuple(found)


def write_lock(path: Path, jars: Iterable[Jar]) -> None:
    """Write a lock file."""
    lines = (f"{jar.group}:{jar.artifact}:{jar.version}  {jar.size}  {jar.sha256}\n" for jar in jars)
    path.write_text(_HEADER + "".join(lines), "ascii")


def kafka_version() -> str:
    """The locked version of Apache Kafka."""
    return next(jar.version for jar in locked() if jar.artifact == "kafka-clients")


def cache_directory() -> Path:
    """Where the jars are kept: the platform's place for what can be fetched again."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "streamgauge" / f"kafka-{kafka_version()}"


def download(jar: Jar, directory: Path, received: Callable[[int], None]) -> Path:
    """Fetch ``jar`` through jgo, which knows where Java packages are found."""
    import logging
    from contextlib import contextmanager

    from jgo.maven import MavenContext, PythonResolver

    # Its own sums are SHA-1 from the same place as the file; ours decide, and say so.
    logging.getLogger("jgo").setLevel(logging.CRITICAL)

    @contextmanager
    def progress(_name: str, _size: int) -> Any:
        yield received

    context = MavenContext(resolver=PythonResolver(progress_callback=progress), repo_cache=directory, timeout=TIMEOUT_S)
    return context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()


def ensure(
    directory: Path | None = None, jars: Sequence[Jar] | None = None, fetch: Download = download
) -> tuple[Path, ...]:
    """The paths of all ``jars``, every one of them checked against its sum.

    Args:
        directory: where they are kept; default the user's cache.
        jars: default the locked ones.
        fetch: how a missing one is fetched.

    Raises:
        StreamgaugeError: one cannot be fetched, or is not what the lock says.
    """
    directory = directory or cache_directory()
    jars = locked() if jars is None else jars
    with ThreadPoolExecutor(THREADS) as pool:
        good = list(pool.map(_is_good, [directory / jar.name for jar in jars], jars))
    missing = [jar for jar, is_good in zip(jars, good, strict=True) if not is_good]
    if missing:
        _fetch_all(directory, missing, fetch)
    return tuple(directory / jar.name for jar in jars)


def _is_good(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch_all(directory: Path, missing: Sequence[Jar], fetch: Download) -> None:
    """Fetch what is missing, one process at a time: who waited finds everything there."""
    import fcntl

    directory.mkdir(parents=True, exist_ok=True)
    staging = directory / "fetching"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [jar for jar in missing if not _is_good(directory / jar.name, jar)]
        if not missing:
            return
        damaged = [jar.name for jar in missing if (directory / jar.name).exists()]
        if damaged:
            warn(f"{directory}: damaged, fetched again: {', '.join(damaged)}")
        total = sum(jar.size for jar in missing)
        say(f"fetching Apache Kafka {kafka_version()} ({format_size(total)}, once) into {directory}")
        rmtree(staging, ignore_errors=True)  # of a fetch that was killed
        try:
            _fetch_into(staging, directory, missing, fetch)
        finally:
            rmtree(staging, ignore_errors=True)


def _fetch_into(staging: Path, directory: Path, missing: Sequence[Jar], fetch: Download) -> None:
    counting = threading.Lock()
    pool = ThreadPoolExecutor(THREADS)
    with Progress("fetching", sum(jar.size for jar in missing), "bytes") as progress:

        def received(count: int) -> None:
            with counting:
                progress.advance(count)

        def one(jar: Jar) -> None:
            path = _fetch(jar, staging, fetch, received)
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != jar.sha256:
                raise StreamgaugeError(
                    f"{jar.name} is refused: the registry sent SHA-256 {found}, the lock says {jar.sha256}; "
                    "something between here and there changes files (a proxy?), or the registry does"
                )
            path.replace(directory / jar.name)

        try:
            for done in [pool.submit(one, jar) for jar in missing]:
                done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(jar: Jar, staging: Path, fetch: Download, received: Callable[[int], None]) -> Path:
    """Fetch one jar, again when the connection breaks."""
    from requests import RequestException

    tried = 0
    while True:
        tried += 1
        try:
            return fetch(jar, staging / f"{jar.artifact}-{tried}", received)  # a try does not see an earlier one's rest
        except RequestException as error:
            if tried == TRIES:
                raise _not_fetched(jar, "the registry of Java packages cannot be reached") from error
        except OSError as error:
            raise _not_fetched(jar, error.strerror or str(error)) from error
        except RuntimeError as error:  # jgo: found in no repository
            raise _not_fetched(jar, "the registry of Java packages does not have it") from error


def _not_fetched(jar: Jar, reason: str) -> StreamgaugeError:
    return StreamgaugeError(
        f"cannot fetch {jar.name}: {reason}; the local broker needs its jars once: try again with a network, "
        "or name a Kafka of yours (--brokers HOST:PORT)"
    )
