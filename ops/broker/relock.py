"""Writes ``kafka.lock``: the jars of Apache Kafka, each with its size and SHA-256. For maintainers, not for users.

    python -m ops.broker.relock

What Kafka's own description asks for is resolved as Maven resolves it, then everything is fetched and summed. To
move to another version change `ROOTS`, run this, run the tests, and name the version in ``docker-compose.yml``.
"""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from ops.broker.jars import LOCK, Jar, download, write_lock

ROOTS = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    # Kafka logs through slf4j 1.7; without these two it would be mute.
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",
    "org.apache.logging.log4j:log4j-core:2.25.3",
)


def resolve(repository: Path) -> list[Jar]:
    """Find every jar that `ROOTS` need at run time, themselves included; size and sum are still unknown.

    Args:
        repository: a directory for the descriptions that are fetched on the way.
    """
    from jgo.maven import MavenContext, PythonResolver

    resolver = PythonResolver()
    context = MavenContext(resolver=resolver, repo_cache=repository)
    wanted = [context.create_dependency(root) for root in ROOTS]
    for dependency in wanted:
        # Not raw, jgo would let log4j's own dependencyManagement choose the version of kafka-clients (3.9.1).
        dependency.raw = True
    roots, others = resolver.resolve(wanted)
    return [
        Jar(str(found.groupId), str(found.artifactId), str(found.version), 0, "")
        for found in cast("list[Any]", [*roots, *others])
    ]


def summed(jar: Jar, repository: Path) -> Jar:
    """Fetch the jar and take its size and sum."""
    content = download(jar, repository, lambda _: None).read_bytes()
    return Jar(jar.group, jar.artifact, jar.version, len(content), hashlib.sha256(content).hexdigest())


def main() -> None:
    """Resolve, fetch, sum, write."""
    with TemporaryDirectory() as directory, ThreadPoolExecutor(8) as pool:
        repository = Path(directory)
        found = resolve(repository)
        jars = sorted(pool.map(summed, found, [repository] * len(found)), key=lambda jar: jar.name)
    write_lock(LOCK, jars)
    sys.stdout.write(f"{LOCK}: {len(jars)} jars, {sum(jar.size for jar in jars):,} bytes\n")


if __name__ == "__main__":
    main()
