"""A certificate authority of our own, and what a broker needs to speak TLS with its certificates.

files = make_authority(folder)
Nodes(…, further=Listener("SASL_SSL"), properties=broker_properties(files))
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which
from typing import NamedTuple

USER, PASSWORD = "alice", "open sesame"
MECHANISM = "SCRAM-SHA-512"


class Files(NamedTuple):
    """PEM files.

    Args:
        authority: the certificate that clients trust.
        broker: key and certificate of the broker, which is 127.0.0.1.
        stranger: the certificate of an authority that signed nothing.
    """

    authority: Path
    broker: Path
    stranger: Path


def make_authority(folder: Path) -> Files:
    """Make two authorities, and a broker's certificate by the first, with the `openssl` of the machine."""
    for name in ("authority", "stranger"):
        openssl(
            folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem",
        )  # fmt: skip
    openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=broker", "-keyout", "broker.key",
        "-out", "broker.csr",
    )  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    openssl(
        folder, "x509", "-req", "-in", "broker.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
        "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "broker.crt",
    )  # fmt: skip
    broker = folder / "broker.pem"
    broker.write_bytes((folder / "broker.key").read_bytes() + (folder / "broker.crt").read_bytes())
    return Files(folder / "authority.pem", broker, folder / "stranger.pem")


def openssl(folder: Path, *words: str) -> None:
    """Run it in ``folder``."""
    program = which("openssl")
    if program is None:
        raise RuntimeError("this case needs the program openssl, for an authority of its own")
    subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)


def broker_properties(files: Files) -> dict[str, str]:
    """What a broker with a SASL_SSL listener needs to know."""
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files.broker),
        "sasl.enabled.mechanisms": MECHANISM,
        "listener.name.further.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }


FORMAT_OPTIONS = ("--add-scram", f"{MECHANISM}=[name={USER},password={PASSWORD}]")
"""Of the broker's storage: it knows the user from its first start on."""


def client_properties(files: Files) -> dict[str, str]:
    """What a client needs, as `-X KEY=VALUE`."""
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(files.authority),
        "sasl.mechanism": MECHANISM,
        "sasl.username": USER,
        "sasl.password": PASSWORD,
    }
