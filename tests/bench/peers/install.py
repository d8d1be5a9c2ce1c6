"""What the peers need, fetched at their first run and kept in the user's cache; nothing of it is ever in our `.venv`.

    python, = venv("quix")                  # ~/.cache/streamgauge/peers/quix-1a2b3c4d5e6f/bin/python

Python packages are those of the engine's ``requirements.lock``, jars those of ``jars.lock``: each is checked against
its hash. The name of a directory ends with a hash of what was asked for, so a changed lock is a new directory; one
that was begun and not finished has another name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.cluster import ROOT

HERE = Path(__file__).parent


class Unavailable(Exception):
    """An engine cannot be run on this machine; the text says what is missing."""


def cache() -> Path:
    """Where all of it lies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgauge" / "peers"


def venv(name: str) -> Path:
    """The Python of the engine in the folder ``name``, with the packages of its lock.

    Raises:
        Unavailable: they could not be installed.
    """
    lock = HERE / name / "requirements.lock"

    def make(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", *options, "-r", str(lock)])

    return _made(name, [lock], make, about=sys.version) / "bin" / "python"


def plug_in() -> Path:
    """The directory of our plug-in as pip lays it out: on the path, it is installed.

    Raises:
        Unavailable: pip failed.
    """
    source = HERE / "ours"

    def make(folder: Path) -> None:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--target"]
        _run([sys.executable, "-m", "pip", "install", *options, str(folder), str(source)])

    return _made("ours", [source / "pyproject.toml", source / "streamgauge_visitors.py"], make, about=str(ROOT))


def kafka_streams() -> str:
    """The class path of the program on Kafka Streams, compiled.

    Raises:
        Unavailable: there is no Java compiler or no Maven, or a jar is not the locked one.
    """
    source = HERE / "kafka_streams"
    missing = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"there is no {' and no '.join(missing)} on the path")

    def make(folder: Path) -> None:
        shutil.copytree(source, folder)
        goals = ["compile", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"]
        _run(["mvn", "--quiet", "--batch-mode", "--strict-checksums", *goals], folder)
        locked = {line.split()[1]: line.split()[0] for line in (source / "jars.lock").read_text().splitlines()}
        found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in (folder / "lib").iterdir()}
        if found != locked:
            raise Unavailable(f"not as jars.lock has them: {sorted(dict(found.items() ^ locked.items()))}")

    files = sorted(path for path in source.rglob("*") if path.is_file())
    home = _made("kafka-streams", files, make)
    return f"{home / 'target' / 'classes'}:{home / 'lib' / '*'}"


def _made(name: str, sources: Iterable[Path], make: Callable[[Path], None], about: str = "") -> Path:
    """The directory that ``make`` makes of ``sources``; made once."""
    digest = hashlib.sha256(about.encode())
    for path in sources:
        digest.update(path.read_bytes())
    home = cache() / f"{name}-{digest.hexdigest()[:12]}"
    if home.exists():
        return home
    print(f"peers: installing {name} into {home}", file=sys.stderr, flush=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        make(home)
    except BaseException:
        # A venv cannot be renamed, so it is made where it stays, and is not left there half made.
        shutil.rmtree(home, ignore_errors=True)
        raise
    return home


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Unavailable(f"{' '.join(command[:4])} … failed: {said[-1] if said else done.returncode}")
