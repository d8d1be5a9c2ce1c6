"""A broker that speaks TLS and asks for a password: all of our clients come in, and nobody who should not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster import PROGRAM
from tests.faults import tls
from tests.faults.case import THRICE, Case, must_be_exact
from tests.faults.clusters import NodesCluster
from tests.faults.loads import renders
from tests.faults.nemesis import Strikes
from tests.nodes import Listener, Nodes


class Secured(NodesCluster):
    """A broker whose clients come in by TLS and SASL alone."""

    def __init__(self, folder: Path, stream: str) -> None:
        folder.joinpath("tls").mkdir()
        self.files = tls.make_authority(folder / "tls")
        nodes = Nodes(
            folder / "nodes",
            further=Listener("SASL_SSL"),
            properties=tls.broker_properties(self.files),
            format_options=tls.FORMAT_OPTIONS,
        )
        super().__init__(folder, stream, nodes)
        self.bootstrap = nodes.bootstrap(further=True)

    @property
    def kafka(self) -> dict[str, str]:
        """With the user's password."""
        return super().kafka | tls.client_properties(self.files)

    def command(self, *words: str) -> list[str]:
        """With `-X` for each property."""
        options = [f"-X{key}={value}" for key, value in tls.client_properties(self.files).items()]
        return [*super().command(*words), *options]


@pytest.mark.long
@pytest.mark.timeout(300)
@THRICE
def test_every_summary_is_exact_over_tls_with_a_password(tmp_path: Path, seed: int) -> None:
    """Producers, both stages of a worker and readers, through two kills."""
    load = renders.make(seed, 30_000)
    must_be_exact(Case(seed, load, 2_000, Strikes(kills=2), cluster=Secured), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_who_does_not_fit_is_refused_with_one_line_that_says_why(tmp_path: Path) -> None:
    """A wrong password, a certificate of somebody else's authority, no TLS at all; no line shows a password."""
    with Secured(tmp_path, "sites") as cluster:
        right = tls.client_properties(cluster.files)
        for changed, said in (
            ({"sasl.password": "open barley"}, "refused the credentials"),
            ({"ssl.ca.location": str(cluster.files.stranger)}, "no TLS connection"),
            ({"security.protocol": "PLAINTEXT"}, "wants TLS, see -X security.protocol"),
        ):
            options = [f"-X{key}={value}" for key, value in (right | changed).items()]
            command = [str(PROGRAM), "status", "--brokers", cluster.bootstrap, "--data", str(tmp_path / "data")]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 1, done
            assert said in done.stderr, done.stderr
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr
            assert not any(secret in done.stderr for secret in ("sesame", "barley"))  # the passwords' second words
            assert os.sep not in done.stdout
