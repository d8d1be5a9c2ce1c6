"""Reaching Kafka: does a broker answer, and what its errors mean to a person.

    admin = connect(settings.kafka)      # within 10 s, or BrokerUnreachable; a refusal (TLS, SASL) says so at once

librdkafka's own log lines go to the Python logger ``librdkafka``, never straight to stderr: give `client_logger` to
every client that is made.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ops import console
from ops.suggest import did_you_mean
from schemas.errors import BrokerUnreachable, StreamgaugeError, UsageError
from schemas.outage import Clock, passes, ride_out

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

ANSWER_S = 10.0
"""How long a command waits at its start for a broker to answer."""
FIRST_ASK_S = 1.0

T = TypeVar("T")

_SECURITY = (
    "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password", "ssl.ca.location",
    "ssl.certificate.location", "ssl.key.location", "ssl.key.password", "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification", "client.id", "bootstrap.servers", "compression.type", "linger.ms",
)  # fmt: skip
"""The properties that people set most, to suggest from; librdkafka itself knows all of them."""
_AWAY = "; the broker went away, or has no time to answer: see that it runs, and run this again"
_ADVICE: dict[str, str] = dict.fromkeys(["_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "REQUEST_TIMED_OUT"], _AWAY)


def client_logger() -> logging.Logger:
    """Where Kafka clients log to: shown with ``-vv`` and by a worker's log, otherwise silent."""
    logger = logging.getLogger("librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler() if console.chatty() else logging.NullHandler())
    return logger


def connect(kafka: Mapping[str, str], seconds: float = ANSWER_S) -> AdminClient:
    """An admin client of a cluster that answers.

    Args:
        kafka: client properties.
        seconds: how long to wait for the first answer.

    Raises:
        BrokerUnreachable: none answered in time.
        StreamgaugeError: a broker answered and refused (TLS, authentication).
        UsageError: a property is unknown or has a wrong value.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    _check_files(kafka)
    seen: list[KafkaError] = []
    try:
        admin = AdminClient(cast("Any", {**kafka, "error_cb": seen.append}), logger=client_logger())
    except KafkaException as error:
        raise translate(error) from error
    deadline = time.monotonic() + seconds
    while True:
        try:
            admin.list_topics(timeout=max(0.1, min(FIRST_ASK_S, deadline - time.monotonic())))
            return admin
        except KafkaException as error:
            admin.poll(0)
            _raise_refusal(kafka, seen)
            if time.monotonic() >= deadline:
                brokers = kafka["bootstrap.servers"]
                raise BrokerUnreachable(brokers, seconds, _detail(seen) or _silence(brokers)) from error


def answered(ask: Callable[[], T], clock: Clock = time) -> T:
    """What a cluster that was connected to answers; while it is away, or has no time, it is asked again.

    Args:
        ask: the question; it limits how long it waits for one answer.
        clock: the module `time`.

    Raises:
        StreamgaugeError: no answer within `OUTAGE_S`.
        KafkaException: a refusal, which asking again would not change.
    """
    from confluent_kafka import KafkaException

    try:
        return ride_out(ask, KafkaException, clock)
    except KafkaException as error:
        if passes(error.args[0]):
            raise translate(error) from error
        raise


def translate(error: KafkaException) -> StreamgaugeError:
    """What ``error`` means to a person, with its exit code."""
    kafka_error: KafkaError = error.args[0]
    text = kafka_error.str()
    unknown = re.search(r'No such configuration property: "([^"]*)"', text)
    if unknown:
        return UsageError(f"-X {unknown[1]}: Kafka clients have no such property{did_you_mean(unknown[1], _SECURITY)}")
    if kafka_error.name() == "_INVALID_ARG":
        return UsageError(f"a Kafka client property (-X) does not fit: {text}")
    return StreamgaugeError(f"Kafka: {text} ({kafka_error.name().lstrip('_')}){_ADVICE.get(kafka_error.name(), '')}")


def _check_files(kafka: Mapping[str, str]) -> None:
    """Name a missing certificate or key: librdkafka gives an error number for it."""
    for key, value in kafka.items():
        if key.startswith("ssl.") and key.endswith(".location") and value != "probe" and not Path(value).exists():
            raise StreamgaugeError(f"{key}: {value}: no such file")


def _raise_refusal(kafka: Mapping[str, str], seen: list[KafkaError]) -> None:
    for error in seen:
        if error.name() == "_AUTHENTICATION":
            raise StreamgaugeError(
                f"the broker at {kafka['bootstrap.servers']} refused the credentials: {_reason(error)}; "
                "check -X sasl.mechanism, sasl.username, sasl.password"
            )
        if error.name() == "_SSL" or "SSL handshake failed" in error.str():
            raise StreamgaugeError(
                f"no TLS connection to {kafka['bootstrap.servers']}: {_reason(error)}; "
                "check -X security.protocol and ssl.ca.location"
            )
        if "security.protocol" in error.str():
            raise StreamgaugeError(
                f"{kafka['bootstrap.servers']} closed the connection at once, as a TLS or SASL listener does; "
                "check -X security.protocol"
            )


def _detail(seen: list[KafkaError]) -> str:
    """The newest reason that says more than "all brokers are down"."""
    return next((_reason(error) for error in reversed(seen) if error.name() != "_ALL_BROKERS_DOWN"), "")


def _silence(brokers: str) -> str:
    """What may be wrong where no error came: the port is open, and closes what it does not understand."""
    import socket

    host, _, port = brokers.split(",", maxsplit=1)[0].strip().rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
    except (OSError, ValueError):
        return ""
    return "the port is open: the broker hangs, or wants TLS, see -X security.protocol"


def _reason(error: KafkaError) -> str:
    """The text of librdkafka without its thread name, its addresses and its timings.

    >>> from confluent_kafka import KafkaError
    >>> said = "a:1/bootstrap: Connect to ipv4#1.2.3.4:1 failed: Connection refused"
    >>> _reason(KafkaError(-195, f"{said} (after 0ms in state CONNECT, 11 identical error(s) suppressed)"))
    'Connection refused'
    """
    text = re.sub(r" \((after|in state|with)([^()]|\(s\))*\)", "", error.str()).strip()
    text = re.sub(r"^\S*(bootstrap|/\d+): ", "", text)
    return re.sub(r"^Connect to ipv[46]#\S+ failed: ", "", text)
