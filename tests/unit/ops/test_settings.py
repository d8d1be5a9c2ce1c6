"""Where a setting comes from: flag before environment before file before default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.settings import (
    BROKERS,
    DATA,
    DEFAULT_BROKERS,
    DIMENSIONS,
    EPOCH,
    HTTP,
    ID,
    MAX_AHEAD,
    MEMORY,
    PROCESSES,
    RETENTION,
    SKIP_LOST,
    STANDBYS,
    TABLE,
    THRESHOLD,
    Address,
    Setting,
    resolve,
)
from ops.units import duration_ms, format_duration
from schemas.errors import StreamgaugeError, UsageError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No streamgauge.toml but those that a test writes."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("flag", "variable", "key", "value", "source"),
    [
        (1000, "2s", "3s", 1000, "flag"),
        (None, "2s", "3s", 2000, "environment"),
        (None, None, "3s", 3000, "file"),
        (None, "", "3s", 3000, "file"),
        (None, None, None, 500, "default"),
    ],
)
def test_the_first_of_flag_environment_file_default_decides(
    flag: int | None, variable: str | None, key: str | None, value: int, source: str
) -> None:
    """An empty variable is as good as none: shells and compose files cannot unset one."""
    if key is not None:
        Path("streamgauge.toml").write_text(f'epoch = "{key}"\n')
    environment = {} if variable is None else {"STREAMGAUGE_EPOCH": variable}
    settings = resolve({} if flag is None else {"epoch": flag}, {}, environment)
    assert (settings[EPOCH], settings.source(EPOCH)) == (value, source)


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (EPOCH, "30s", 30_000),
        (MEMORY, "2GiB", 2 << 30),
        (PROCESSES, "3", 3),
        (RETENTION, "unlimited", None),
        (RETENTION, "7d", 7 * 86_400_000),
        (MAX_AHEAD, "off", 0),
        (HTTP, "off", None),
        (HTTP, "0.0.0.0:8000", Address("0.0.0.0", 8000)),  # noqa: S104 (that is what a container says)
        (HTTP, "[::1]:0", Address("::1", 0)),
        (SKIP_LOST, "true", True),
        (SKIP_LOST, "0", False),
        (THRESHOLD, "0.25", 0.25),
        (DIMENSIONS, "a, b", ("a", "b")),
        (ID, "host-1.example", "host-1.example"),
    ],
)
def test_a_text_is_read_as_its_setting_says(setting: Setting[Any], text: str, value: Any) -> None:
    assert setting.parse(text) == value


@pytest.mark.parametrize(
    ("setting", "text", "reason"),
    [
        (EPOCH, "5ms", "less than 20ms"),
        (EPOCH, "soon", "no duration"),
        (EPOCH, "1h", "more than 30s"),
        (MEMORY, "lots", "no size"),
        (PROCESSES, "0", "less than 1"),
        (MEMORY, "5", "less than 32.0 MiB"),
        (PROCESSES, "-1", "no whole number"),
        (HTTP, "8000", "not HOST:PORT"),
        (HTTP, "host:99999", "not HOST:PORT"),
        (THRESHOLD, "1.5", "more than 1"),
        (SKIP_LOST, "maybe", "neither true nor false"),
        (ID, "a/b", "must be"),
        (ID, "..", "must be"),
        (BROKERS, "", "empty"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_the_reason(setting: Setting[Any], text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        setting.parse(text)


def test_a_variable_that_does_not_fit_is_named() -> None:
    with pytest.raises(UsageError, match="STREAMGAUGE_EPOCH: 'soon' is no duration"):
        resolve({}, {}, {"STREAMGAUGE_EPOCH": "soon"})


def test_client_properties_come_from_all_places_and_merge() -> None:
    """``-X`` beats ``STREAMGAUGE_KAFKA_…`` beats ``[kafka]``, key by key."""
    Path("streamgauge.toml").write_text(
        '[kafka]\nsecurity.protocol = "SSL"\n"ssl.ca.location" = "/file.pem"\nlinger.ms = 5\n'
    )
    settings = resolve(
        {},
        {"security.protocol": "SASL_SSL"},
        {"STREAMGAUGE_KAFKA_SSL_CA_LOCATION": "/env.pem", "STREAMGAUGE_BROKERS": "k:1"},
    )
    assert settings.kafka == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/env.pem",
        "linger.ms": "5",
        "bootstrap.servers": "k:1",
    }


def test_what_kubernetes_says_of_its_services_is_no_setting() -> None:
    """A service called streamgauge-kafka puts STREAMGAUGE_KAFKA_PORT=tcp://… into every pod beside it."""
    noise = {
        "STREAMGAUGE_KAFKA_SERVICE_HOST": "10.0.0.1",
        "STREAMGAUGE_KAFKA_SERVICE_PORT": "9092",
        "STREAMGAUGE_KAFKA_SERVICE_PORT_TLS": "9093",
        "STREAMGAUGE_KAFKA_PORT": "tcp://10.0.0.1:9092",
        "STREAMGAUGE_KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "STREAMGAUGE_KAFKA_BOOTSTRAP_PORT_9092_TCP_ADDR": "10.0.0.1",
        "STREAMGAUGE_PORT": "tcp://10.0.0.2:80",
    }
    assert resolve({}, {}, noise).properties == {}


@pytest.mark.parametrize(
    ("flags", "properties", "environment", "brokers"),
    [
        ({"brokers": "flag:1"}, {"bootstrap.servers": "x:1"}, {}, "flag:1"),
        ({}, {"bootstrap.servers": "x:1"}, {"STREAMGAUGE_BROKERS": "env:1"}, "x:1"),
        ({}, {}, {"STREAMGAUGE_KAFKA_BOOTSTRAP_SERVERS": "env:2"}, "env:2"),
        ({}, {}, {}, DEFAULT_BROKERS),
    ],
)
def test_brokers_may_be_named_as_a_client_property_too(
    flags: dict[str, Any], properties: dict[str, str], environment: dict[str, str], brokers: str, tmp_path: Path
) -> None:
    settings = resolve({"data": tmp_path, **flags}, properties, environment)
    assert settings.kafka["bootstrap.servers"] == brokers


def test_a_file_that_is_named_and_missing_is_an_error() -> None:
    with pytest.raises(StreamgaugeError, match=r"file /no/such\.toml: No such file") as info:
        resolve({}, {}, {}, "/no/such.toml")
    assert info.value.exit_code == 1


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("standbys = 2\n")
    assert resolve({}, {}, {"STREAMGAUGE_CONFIG": str(tmp_path / "mine.toml")})[STANDBYS] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('brokrs = "a:1"', "unknown key 'brokrs'; did you mean 'brokers'"),
        ('epoch = "soon"', "epoch: 'soon' is no duration"),
        ("epoch = { every = 1 }", "epoch: is a table"),
        ("kafka = 3", "kafka must be a table"),
        ("epoch = = 1", "is not TOML"),
    ],
)
def test_a_file_that_is_not_understood_says_where_and_why(text: str, message: str) -> None:
    Path("streamgauge.toml").write_text(text)
    with pytest.raises(UsageError, match=message) as info:
        resolve({}, {}, {})
    assert "streamgauge.toml" in str(info.value)


def test_toml_values_need_no_quotes_where_they_are_numbers_switches_or_lists() -> None:
    Path("streamgauge.toml").write_text('processes = 4\nskip-lost = true\ndimensions = ["a", "b"]\nthreshold = 0.5\n')
    settings = resolve({}, {}, {})
    assert (settings[PROCESSES], settings[SKIP_LOST], settings[DIMENSIONS], settings[THRESHOLD]) == (
        4,
        True,
        ("a", "b"),
        0.5,
    )


def test_data_lies_where_the_platform_keeps_a_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert resolve({}, {}, {}).data == tmp_path / "streamgauge"


def test_a_user_without_a_home_is_told_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container an unknown uid may have none; only what needs the directory fails."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    settings = resolve({}, {}, {})
    with pytest.raises(UsageError, match="name one with --data or STREAMGAUGE_DATA"):
        settings.data  # noqa: B018 (reading it is what fails)


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is_and_why(setting: Setting[Any]) -> None:
    """Help, docs and the file's keys come from the entry alone; a default that is shown reads back as itself."""
    assert setting.help.endswith(".")
    assert setting.why.endswith(".")
    assert setting.variable == "STREAMGAUGE_" + setting.name.upper().replace("-", "_")
    simple = setting.shown and " " not in setting.shown and "none" not in setting.shown
    if simple and setting is not DATA and setting.default is not None and setting.machine is None:
        assert setting.parse(setting.shown) == setting.default


@given(st.integers(min_value=0, max_value=10**12))
def test_a_duration_that_is_written_reads_back(ms: int) -> None:
    assert duration_ms(format_duration(ms)) == ms
