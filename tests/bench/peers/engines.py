"""The engines: how each is started, what it promises, and how many events it gets.

>>> [engine.title for engine in ENGINES if engine.guarantee == "exactly once"]
['Streamgauge', 'Kafka Streams', 'Quix Streams']

Every one is told by its environment where Kafka is, what to read and to write, and where its state lies. What can be
set alike is: how often there is a commit (checkpoint, snapshot, epoch), acks=all, one thread, a short session.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.peers import install
from tests.cluster import PROGRAM, ROOT

COMMIT_S = 1.0
RATES = (4_000, 20_000)
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Job:
    """One run of an engine.

    Args:
        bootstrap: of the broker.
        input: the topic of events.
        output: the topic of summaries.
        group: a name of its own, for the consumer group and the engine's own topics.
        state: the engine's directory.
        commit_s: how often it commits.
    """

    bootstrap: str
    input: str
    output: str
    group: str
    state: Path
    commit_s: float = COMMIT_S

    @property
    def environment(self) -> dict[str, str]:
        """What a program is told."""
        return {
            **os.environ,
            "BOOTSTRAP": self.bootstrap,
            "INPUT": self.input,
            "OUTPUT": self.output,
            "GROUP": self.group,
            "STATE": str(self.state),
            "COMMIT_S": f"{self.commit_s:g}",
        }


def _new_state(job: Job) -> None:
    job.state.mkdir(parents=True)


Command = tuple[list[str], Mapping[str, str], Path]
"""Words, environment, working directory."""


@dataclass(frozen=True)
class Engine:
    """One engine.

    Args:
        name: its folder here.
        title: as the table has it.
        guarantee: of the summaries.
        settings: what an expert set, for the table.
        install: fetches what it needs, if that is not there yet.
        command: starts it.
        version: which one.
        share: of the usual backlog: slow engines get less.
        rates: events/s that an open loop asks of it.
        prepare: before the first start.
        recovers: whether it has anything to go on with after a crash.
    """

    name: str
    title: str
    guarantee: str
    settings: str
    install: Callable[[], object]
    command: Callable[[Job], Command]
    version: Callable[[], str]
    share: float = 1.0
    rates: Sequence[int] = RATES
    prepare: Callable[[Job], None] = _new_state
    recovers: bool = True

    @property
    def ours(self) -> bool:
        """Whether it is the one that this repository is about: its topics have names of their own."""
        return self.name == "ours"


def _python(name: str, *words: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        return [str(install.venv(name)), *words], {**job.environment, "PATHWAY_THREADS": "1"}, HERE / name

    return command


def plugged_in() -> dict[str, str]:
    """An environment in which our plug-in is installed."""
    path = os.pathsep.join(filter(None, [str(install.plug_in()), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def _ours(job: Job) -> Command:
    epoch = f"{job.commit_s * 1000:.0f}ms"
    words = ["worker", "visitors", "--id", "bench", "--epoch", epoch, "--leave", "--brokers", job.bootstrap]
    return [str(PROGRAM), *words, "--data", str(job.state)], plugged_in(), ROOT


def _kafka_streams(job: Job) -> Command:
    words = ["java", "-Xmx2g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    return [*words, "-cp", install.kafka_streams(), "peers.Visitors"], job.environment, HERE


def _bytewax_store(job: Job) -> None:
    job.state.mkdir(parents=True)
    subprocess.run([str(install.venv("bytewax")), "-m", "bytewax.recovery", str(job.state), "1"], check=True)


def _locked(name: str, *packages: str) -> Callable[[], str]:
    def version() -> str:
        pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (HERE / name / "requirements.lock").read_text(), re.MULTILINE))
        return ", ".join(f"{package} {pins[package]}" for package in packages)

    return version


def _kafka_version() -> str:
    found = re.search(r"kafka-streams-([\d.]+)\.jar", (HERE / "kafka_streams" / "jars.lock").read_text())
    java = subprocess.run(
        [shutil.which("java") or "java", "--version"], capture_output=True, text=True, check=False
    ).stdout.split("\n")[0]
    return f"kafka-streams {found[1] if found else '?'}, {java}"


def _our_version() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return f"commit {subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or 'unknown'}"


ENGINES = (
    Engine(
        name="ours",
        title="Streamgauge",
        guarantee="exactly once",
        settings="`worker visitors`; behind, an epoch lasts until it is full",
        install=install.plug_in,
        command=_ours,
        version=_our_version,
        prepare=lambda _job: None,
    ),
    Engine(
        name="kafka_streams",
        title="Kafka Streams",
        guarantee="exactly once",
        settings="exactly_once_v2, RocksDB, changelog, 512 MiB of cache over both stores, serial GC, static member",
        install=install.kafka_streams,
        command=_kafka_streams,
        version=_kafka_version,
    ),
    Engine(
        name="quix",
        title="Quix Streams",
        guarantee="exactly once",
        settings="RocksDB, changelog, bytes and orjson, static member",
        install=partial(install.venv, "quix"),
        command=_python("quix", "app.py"),
        version=_locked("quix", "quixstreams", "confluent-kafka"),
        share=0.1,
        rates=RATES[:1],
    ),
    Engine(
        name="pathway",
        title="Pathway",
        guarantee="at least once",
        settings="input snapshots on the disk (operator snapshots ask for a licence key), one thread",
        install=partial(install.venv, "pathway"),
        command=_python("pathway", "app.py"),
        version=_locked("pathway", "pathway"),
    ),
    Engine(
        name="bytewax",
        title="Bytewax",
        guarantee="at least once",
        settings="recovery store, batches of 10,000, batched operators",
        install=partial(install.venv, "bytewax"),
        command=_python("bytewax", "flow.py"),
        version=_locked("bytewax", "bytewax", "confluent-kafka"),
        share=0.25,
        prepare=_bytewax_store,
    ),
    Engine(
        name="faust",
        title="Faust",
        guarantee="at least once",
        settings="a table in RocksDB, its changelog",
        install=partial(install.venv, "faust"),
        command=_python("faust", "app.py", "worker", "-l", "warn"),
        version=_locked("faust", "faust-streaming", "aiokafka", "rocksdict"),
        share=0.01,
        rates=(400,),
    ),
    Engine(
        name="floor",
        title="no engine",
        guarantee="none",
        settings="consumer, orjson and a dict; a crash loses the state",
        install=partial(install.venv, "floor"),
        command=_python("floor", "app.py"),
        version=_locked("floor", "confluent-kafka", "orjson"),
        recovers=False,
    ),
)
