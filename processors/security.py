"""One set of connection settings for both Kafka clients: librdkafka's words, translated for aiokafka.

>>> aiokafka_settings({"bootstrap.servers": "a:1,b:2"})
{'bootstrap_servers': ['a:1', 'b:2'], 'security_protocol': 'PLAINTEXT'}

A setting that only tunes (`fetch.min.bytes`, …) goes to librdkafka alone: the run transport tunes its own consumer.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from schemas.errors import UsageError


def aiokafka_settings(kafka: Mapping[str, str]) -> dict[str, Any]:
    """The keyword arguments of an aiokafka client for librdkafka properties.

    Raises:
        UsageError: a certificate cannot be read, or aiokafka cannot do what is asked.
    """
    protocol = kafka.get("security.protocol", "plaintext").upper()
    settings: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka["bootstrap.servers"].split(",")],
        "security_protocol": protocol,
    }
    if protocol in ("SSL", "SASL_SSL"):
        settings["ssl_context"] = _ssl_context(kafka)
    if protocol.startswith("SASL"):
        mechanism = kafka.get("sasl.mechanism", kafka.get("sasl.mechanisms", "GSSAPI")).upper()
        if mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            raise UsageError(f"sasl.mechanism {mechanism} is not supported by workers; use PLAIN or SCRAM-SHA-256/512")
        settings["sasl_mechanism"] = mechanism
        settings["sasl_plain_username"] = kafka.get("sasl.username", "")
        settings["sasl_plain_password"] = kafka.get("sasl.password", "")
    return settings


def _ssl_context(kafka: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.get("ssl.ca.location"))
        certificate = kafka.get("ssl.certificate.location")
        if certificate:
            context.load_cert_chain(certificate, kafka.get("ssl.key.location"), kafka.get("ssl.key.password"))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"a TLS file cannot be read: {error}; see -X ssl.ca.location, ssl.certificate.location"
        ) from error
    if kafka.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if kafka.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
