"""No broker, the wrong broker, the wrong words for one: one line each."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from ops.kafka import connect
from schemas.errors import BrokerUnreachable, StreamgaugeError, UsageError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_broker_that_is_away_is_given_up_after_a_while(capfd: pytest.CaptureFixture[str]) -> None:
    """The reason is in the line, and nothing that librdkafka logs reaches stderr."""
    brokers = f"127.0.0.1:{free_port()}"
    with pytest.raises(
        BrokerUnreachable, match=r"within 0\.5 s .*Connection refused.*streamgauge broker start"
    ) as info:
        connect({"bootstrap.servers": brokers}, 0.5)
    assert brokers in str(info.value)
    assert info.value.exit_code == 1
    assert capfd.readouterr().err == ""


def test_a_port_that_is_open_and_silent_is_no_broker_that_is_away() -> None:
    """A TLS listener closes what it does not understand, and the client says nothing of it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(BrokerUnreachable, match=r"the port is open: .* see -X security\.protocol"),
    ):
        connect({"bootstrap.servers": f"127.0.0.1:{server.getsockname()[1]}"}, 0.5)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"security.protocol": "SSL"}, "no TLS connection to .*; check -X security.protocol"),
        (
            {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "a",
                "sasl.password": "b",
            },
            "refused the credentials: .*; check -X sasl.mechanism",
        ),
    ],
)
def test_a_refusal_is_told_at_once(properties: dict[str, str], reason: str, broker: dict[str, Any]) -> None:
    """Waiting would not help, and "no broker answered" would send the person the wrong way."""
    with pytest.raises(StreamgaugeError, match=reason) as info:
        connect({**broker, **properties}, 20)
    assert not isinstance(info.value, BrokerUnreachable)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"security.protocl": "SSL"}, "no such property; did you mean 'security.protocol'"),
        ({"security.protocol": "TLS"}, 'Invalid value "TLS"'),
    ],
)
def test_a_property_that_is_none_is_wrong_usage(properties: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        connect({"bootstrap.servers": "127.0.0.1:1", **properties})


def test_a_certificate_that_is_not_there_is_named() -> None:
    with pytest.raises(StreamgaugeError, match=r"ssl\.ca\.location: /no/ca\.pem: no such file"):
        connect({"bootstrap.servers": "127.0.0.1:1", "ssl.ca.location": "/no/ca.pem"})


def test_a_reader_that_has_enough_ends_a_command_quietly(start: Callable[..., Any], sites: dict[str, Any]) -> None:
    """`topics describe sites | head -0`: exit 0, nothing on stderr."""
    process = start(sites["bootstrap.servers"], "topics", "describe", "sites")
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (0, "")
