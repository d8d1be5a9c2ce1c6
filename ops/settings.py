"""Every setting of the program, once: what `--help`, the environment, `streamgauge.toml` and the docs say of it.

A setting is read from the first of: the flag ``--max-ahead``, the variable ``STREAMGAUGE_MAX_AHEAD``, the key
``max-ahead`` of ``streamgauge.toml``, its default. `ops.options` makes the flags; a command asks by the entry:

>>> settings = resolve({}, {}, {"STREAMGAUGE_EPOCH": "2s", "STREAMGAUGE_KAFKA_SSL_CA_LOCATION": "/ca.pem"})
>>> settings[EPOCH], settings[MEMORY], settings.source(EPOCH)
(2000, 1073741824, 'environment')
>>> settings.properties
{'ssl.ca.location': '/ca.pem'}

Adding one is adding an entry here and naming it in the command that reads it; nothing else knows of it. What its text
means, one of `ops.readers` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from ops import readers
from ops.readers import Address
from ops.suggest import did_you_mean
from ops.units import duration_ms, format_duration, format_size, size_bytes
from schemas.errors import StreamgaugeError, UsageError

T = TypeVar("T")

PREFIX = "STREAMGAUGE_"
KAFKA_PREFIX = PREFIX + "KAFKA_"
CONFIG_FILE = "streamgauge.toml"
DEFAULT_BROKERS = "127.0.0.1:9092"


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One setting.

    Args:
        name: the long option without dashes; also the file's key and, in capitals, the variable's name.
        read: makes the value of a text; raises ValueError with the reason.
        help: what it does, for ``--help`` and the docs.
        why: the reason for its default, for the docs.
        default: the value when nobody says anything (or `machine`, which computes it).
        shown: the default as people read it; empty when there is nothing to show.
        metavar: how ``--help`` names the value; empty for a switch.
        short: a one-letter option beside the long one.
        words: texts that stand for a value of their own, such as ``off``.
        minimum: the smallest value allowed.
        maximum: the greatest value allowed.
        repeatable: the option may be given several times; the values add up.
        commands: the commands that read it; empty: all of them.
    """

    name: str
    read: Callable[[str], T]
    help: str
    why: str
    default: T
    shown: str = ""
    metavar: str = ""
    short: str = ""
    words: Mapping[str, T] | None = None
    minimum: float | None = None
    maximum: float | None = None
    repeatable: bool = False
    commands: tuple[str, ...] = ()
    machine: Callable[[], T] | None = None

    @property
    def variable(self) -> str:
        """The environment variable's name."""
        return PREFIX + self.name.upper().replace("-", "_")

    @property
    def switch(self) -> bool:
        """Whether the option takes no value."""
        return not self.metavar

    def parse(self, text: str) -> T:
        """Make the value of ``text``.

        Raises:
            ValueError: with the reason, fit to be shown behind the name of what said so.
        """
        if self.words and text in self.words:
            return self.words[text]
        value = self.read(text)
        number = cast("float", value)
        if self.minimum is not None and number < self.minimum:
            raise ValueError(f"{text!r} is less than {self._bound(self.minimum)}")
        if self.maximum is not None and number > self.maximum:
            raise ValueError(f"{text!r} is more than {self._bound(self.maximum)}")
        return value

    def fallback(self) -> T:
        """The default, on this machine."""
        return self.machine() if self.machine else self.default

    def _bound(self, number: float) -> str:
        if self.read is cast("Any", duration_ms):
            return format_duration(int(number))
        return format_size(int(number)) if self.read is cast("Any", size_bytes) else f"{number:g}"


# -- the table

BROKERS: Setting[str] = Setting(
    "brokers", readers.text, "Kafka brokers to start from.",
    "The local broker, so that nothing needs to be named on one machine.",
    "", "the local broker, else " + DEFAULT_BROKERS, "HOST:PORT[,…]", "b",
)  # fmt: skip
DATA: Setting[Path] = Setting(
    "data", readers.path, "Where the local broker's and this worker's whole state lies.",
    "The platform's place for a user's data.",
    Path(), "the user's data directory", "DIR", machine=readers.user_data,
)  # fmt: skip
JSON: Setting[bool] = Setting("json", readers.truth, "The result as JSON on stdout.", "People read first.", False)
QUIET: Setting[bool] = Setting(
    "quiet", readers.truth, "No progress, counts or notes on stderr.", "Silence is asked for.", False, short="q"
)
VERBOSE: Setting[int] = Setting(
    "verbose", readers.count, "More on stderr; -vv also what the Kafka client logs.",
    "Silence is asked for.", 0, short="v",
)  # fmt: skip
COLOR: Setting[str] = Setting(
    "color", readers.color, "Colour on stderr and in tables.", "A terminal gets colour unless NO_COLOR is set.",
    "auto", "auto", "auto|always|never",
)  # fmt: skip
DEBUG: Setting[bool] = Setting(
    "debug", readers.truth, "Show the traceback of an error.", "One line says what to do.", False
)

PARTITIONS: Setting[int | None] = Setting(
    "partitions", readers.count, "Partitions of each stream that is created.",
    "Room for eight engine processes; a count cannot be changed later.",
    None, "8", "N", minimum=1, maximum=1000, commands=("topics",),
)  # fmt: skip
REPLICATION: Setting[int] = Setting(
    "replication", readers.count, "Copies of each partition that is created.",
    "One broker is what a newcomer has; a cluster wants 3.",
    1, "1", "N", minimum=1, maximum=100, commands=("topics",),
)  # fmt: skip

ID: Setting[str] = Setting(
    "id", readers.worker_id, "Name of this worker: of its state directory and its group members.",
    "A worker that comes back under its name goes on with its partitions.",
    "", "the host name", "NAME", commands=("worker",), machine=readers.host_name,
)  # fmt: skip
PROCESSES: Setting[int] = Setting(
    "processes", readers.processes, "Engine processes per stream; auto: one a core.",
    "One process serves some 16 busy partitions.",
    1, "1", "N|auto", minimum=1, maximum=256, commands=("worker",),
)  # fmt: skip
EPOCH: Setting[int] = Setting(
    "epoch", duration_ms, "How often counted records become durable and their summaries visible.",
    "Shorter costs about 4 ms CPU per busy partition and epoch; longer delays summaries.",
    500, "500ms", "DURATION", minimum=20, maximum=30_000, commands=("worker",),
)  # fmt: skip
STANDBYS: Setting[int] = Setting(
    "standbys", readers.count, "Warm copies of each partition's state on other workers.",
    "State is rebuilt from its changelog without one; a copy saves that time and costs a disk.",
    0, "0", "N", maximum=10, commands=("worker",),
)  # fmt: skip
HTTP: Setting[Address | None] = Setting(
    "http", readers.address, "Where health, metrics and state queries are served; off: nowhere.",
    "A free port on loopback never collides; the log names it.",
    Address("127.0.0.1", 0), "127.0.0.1:0, a free port", "HOST:PORT", words={"off": None}, commands=("worker",),
)  # fmt: skip
ADVERTISE: Setting[Address | None] = Setting(
    "advertise", readers.address, "How other machines reach this worker's --http.",
    "On one machine they are the same.",
    None, "that of --http", "HOST:PORT", commands=("worker",),
)  # fmt: skip
RETENTION: Setting[int | None] = Setting(
    "retention", duration_ms, "How long late corrections are accepted, in event time before a key's newest record.",
    "Nothing is too late until somebody bounds the state.",
    None, "unlimited", "DURATION", words={"unlimited": None}, minimum=1, commands=("worker", "verify"),
)  # fmt: skip
IDLE: Setting[int] = Setting(
    "idle", duration_ms, "sessions: the event-time gap that ends a session.",
    "Half an hour is what web analytics uses.",
    30 * 60_000, "30m", "DURATION", minimum=1, commands=("worker", "verify"),
)  # fmt: skip
GRACE: Setting[int] = Setting(
    "grace", duration_ms, "sessions: how long late records of a window are accepted.",
    "Clients buffer for minutes, not hours.",
    5 * 60_000, "5m", "DURATION", minimum=0, commands=("worker", "verify"),
)  # fmt: skip
THRESHOLD: Setting[float] = Setting(
    "threshold", readers.share, "sessions: the CPU share over which a sample or a peak is high.",
    "The share that the first readers asked about.",
    0.3, "0.3", "SHARE", minimum=0, maximum=1, commands=("worker", "verify", "report"),
)  # fmt: skip
DIMENSIONS: Setting[tuple[str, ...]] = Setting(
    "dimensions", readers.names,
    "sessions: further fields of the records to drill down by (os,file:length: a text's length).",
    "version, state and user are always there.",
    (), "none", "FIELD,…", repeatable=True, commands=("worker", "verify"),
)  # fmt: skip
MAX_AHEAD: Setting[int | None] = Setting(
    "max-ahead", duration_ms, "How far a record's event time may be ahead of the broker's clock; off: any.",
    "The timestamps of sites are in no clock's unit; a client's clock that is a day ahead is wrong.",
    None, "1d for sessions, else off", "DURATION", words={"off": 0}, commands=("worker", "verify"),
)  # fmt: skip
MEMORY: Setting[int] = Setting(
    "memory", size_bytes, "Budget of a worker process for state in memory; the rest lies on disk.",
    "State is larger than memory by design; this keeps the hot part.",
    1 << 30, "1GiB", "SIZE", minimum=32 << 20, commands=("worker",),
)  # fmt: skip
SKIP_LOST: Setting[bool] = Setting(
    "skip-lost", readers.truth, "Go on when the topic's retention removed input that was never counted.",
    "A silent gap is the one thing a counter must not have.", False, commands=("worker",),
)  # fmt: skip
SKETCH: Setting[bool] = Setting(
    "sketch", readers.truth, "items: approximate counts in fixed memory, with their error bound.",
    "Exact unless asked.", False, commands=("worker", "verify"),
)  # fmt: skip
DATABASE: Setting[str | None] = Setting(
    "database", readers.database,
    "products: the database whose tables are kept up to date, too (postgresql://USER@HOST/NAME, sqlite:///PATH).",
    "The topics hold all of it; a database is for those who ask in SQL.",
    None, "none", "URL", commands=("worker",),
)  # fmt: skip
LEAVE: Setting[bool] = Setting(
    "leave", readers.truth, "Leave the consumer group when stopping (for scaling in).",
    "A worker that restarts finds its partitions waiting.", False, commands=("worker",),
)  # fmt: skip

LISTEN: Setting[Address] = Setting(
    "listen", readers.address, "Where records are taken in.", "Loopback until somebody opens it.",
    Address("127.0.0.1", 8080), "127.0.0.1:8080", "HOST:PORT", commands=("collect",),
)  # fmt: skip
TOKEN: Setting[tuple[str, ...]] = Setting(
    "token", readers.tokens, "A bearer token that clients must show; may be repeated.", "Loopback needs none.",
    (), "none", "TOKEN", repeatable=True, commands=("collect",),
)  # fmt: skip
TOKEN_FILE: Setting[Path | None] = Setting(
    "token-file", readers.path, "A file of tokens, one a line.", "Keeps tokens out of the process list.",
    None, "none", "FILE", commands=("collect",),
)  # fmt: skip
MAX_BODY: Setting[int | None] = Setting(
    "max-body", size_bytes, "The largest body of one request, unpacked.", "A connection may stay open for hours.",
    None, "unlimited", "SIZE", words={"unlimited": None}, minimum=1, commands=("collect",),
)  # fmt: skip

TABLE: dict[str, Setting[Any]] = {
    value.name: cast("Setting[Any]", value) for value in list(globals().values()) if isinstance(value, Setting)
}
"""All settings by name, in the order of this file."""


def of(command: str) -> tuple[Setting[Any], ...]:
    """The settings that ``command`` reads beside the global ones."""
    return tuple(setting for setting in TABLE.values() if command in setting.commands)


class Settings:
    """What holds for one run of a command. Made by `resolve`."""

    def __init__(self, values: dict[str, tuple[Any, str]], properties: dict[str, str], given: list[str]) -> None:
        self._values = values
        self.properties = properties
        """What ``-X`` said: client properties without the brokers."""
        self.given = given
        """The global options as words, as they were given: what a line "run … again" must repeat."""

    def __getitem__(self, setting: Setting[T]) -> T:
        if setting.name in self._values:
            return cast("T", self._values[setting.name][0])
        try:
            return setting.fallback()
        except RuntimeError as error:  # a container's user without a home directory
            raise UsageError(f"{error}; name one with --{setting.name} or {setting.variable}") from error

    def source(self, setting: Setting[Any]) -> str:
        """What decided: ``flag``, ``environment``, ``file`` or ``default``."""
        return self._values.get(setting.name, (None, "default"))[1]

    @cached_property
    def brokers(self) -> str:
        """The brokers that were named, else the local one when it runs, else `DEFAULT_BROKERS`."""
        if self[BROKERS]:
            return self[BROKERS]
        from ops.broker import running_bootstrap

        return running_bootstrap(self.data) or DEFAULT_BROKERS

    @cached_property
    def kafka(self) -> dict[str, str]:
        """Properties for any Kafka client."""
        return {**self.properties, "bootstrap.servers": self.brokers}

    @property
    def data(self) -> Path:
        """Where everything that is kept on this machine lies."""
        return self[DATA]

    @property
    def json(self) -> bool:
        """Whether the result is wanted as JSON."""
        return self[JSON]

    @property
    def quiet(self) -> bool:
        """Whether notes and progress are unwanted."""
        return self[QUIET]

    @property
    def verbose(self) -> int:
        """How often ``-v`` was given."""
        return self[VERBOSE]

    @property
    def color(self) -> str:
        """``auto``, ``always`` or ``never``."""
        return self[COLOR]

    @property
    def debug(self) -> bool:
        """Whether tracebacks are wanted."""
        return self[DEBUG]


def resolve(
    flags: Mapping[str, Any],
    properties: Mapping[str, str],
    environment: Mapping[str, str],
    config: str | None = None,
    given: list[str] | None = None,
) -> Settings:
    """Put the layers together: flags, environment, file, defaults.

    Args:
        flags: values by setting name, of the options that were given.
        properties: what ``-X`` said.
        environment: the process's variables.
        config: ``--config``; without it ``STREAMGAUGE_CONFIG``, else ``./streamgauge.toml`` when there is one.
        given: the global options as words.

    Raises:
        StreamgaugeError: the file that was named cannot be read.
        UsageError: a variable or a key of the file is not understood.
    """
    config = config or environment.get(PREFIX + "CONFIG") or None
    layers = [
        ("flag", dict(flags), dict(properties)),
        ("environment", *_from_environment(environment)),
        ("file", *_from_file(config)),
    ]
    for _, values, more in layers:
        servers = more.pop("bootstrap.servers", more.pop("metadata.broker.list", None))
        if servers:
            values.setdefault(BROKERS.name, servers)
    chosen: dict[str, tuple[Any, str]] = {}
    for setting in TABLE.values():
        for source, values, _ in layers:
            if setting.name in values:
                chosen[setting.name] = (values[setting.name], source)
                break
    merged = {key: value for _, _, more in reversed(layers) for key, value in more.items()}
    return Settings(chosen, merged, given or [])


def _from_environment(environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    for setting in TABLE.values():
        text = environment.get(setting.variable)
        if text is not None and text != "":
            try:
                values[setting.name] = setting.parse(text)
            except ValueError as error:
                raise UsageError(f"{setting.variable}: {error}") from None
    properties = {
        name.removeprefix(KAFKA_PREFIX).lower().replace("_", "."): text
        for name, text in environment.items()
        if name.startswith(KAFKA_PREFIX) and not _KUBERNETES.fullmatch(name.removeprefix(KAFKA_PREFIX))
    }
    return values, properties


_KUBERNETES = re.compile(r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_.*)?)")
"""Kubernetes puts such variables beside a service called ``streamgauge-kafka``; they are no client properties."""


def _from_file(config: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    path = Path(config or CONFIG_FILE).expanduser()
    if config is None and not path.is_file():
        return {}, {}
    import tomllib

    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise StreamgaugeError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    values: dict[str, Any] = {}
    properties: dict[str, str] = {}
    for key, value in document.items():
        if key == "kafka":
            if not isinstance(value, dict):
                raise UsageError(f"{path}: kafka must be a table of client properties ([kafka])")
            properties = dict(_flat("", cast("dict[str, Any]", value)))
            continue
        setting = TABLE.get(key)
        if setting is None:
            raise UsageError(f"{path}: unknown key {key!r}{did_you_mean(key, [*TABLE, 'kafka'])}")
        try:
            values[key] = setting.parse(_as_text(value))
        except ValueError as error:
            raise UsageError(f"{path}: {key}: {error}") from None
    return values, properties


def _as_text(value: Any) -> str:
    """A TOML value as the command line would have it, so that one reader serves both."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(str(part) for part in cast("list[Any]", value))
    if isinstance(value, dict):
        raise ValueError("is a table, but a value is wanted")  # noqa: TRY004 (all readers raise ValueError)
    return str(value)


def _flat(prefix: str, table: dict[str, Any]) -> list[tuple[str, str]]:
    """TOML reads ``ssl.ca.location = …`` as nested tables; client properties are flat."""
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            found += _flat(f"{prefix}{key}.", cast("dict[str, Any]", value))
        else:
            found.append((f"{prefix}{key}", _as_text(value)))
    return found
