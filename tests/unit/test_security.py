"""What strangers send is data: never run, never a path, never compared in a time that tells; nothing listens to all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import cli, readers
from ops.registry import stream
from ops.settings import HTTP, LISTEN
from schemas.errors import UsageError

ROOT = Path(__file__).parents[2]
PRODUCT = [
    path
    for folder in ("schemas", "aggregators", "processors", "sinks", "producers", "ops")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
RUNS_DATA = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "yaml", "imp"}
"""Modules that make objects, or run code, of bytes that somebody sent."""
CALLS_DATA = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"}
SECRETS = re.compile(r"token|secret|passw|authorization", re.IGNORECASE)
PATHS = [
    "..", "../sites", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "sites/..", "%2e%2e%2fsites", "sites\0x",
    "\0", ".", "", "si tes", "sites\n", "C:sites", "~", "-sites", "é",
]  # fmt: skip
"""Names that would leave a directory, or name another file than it seems."""


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text())):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def test_no_module_makes_objects_or_runs_code_of_data() -> None:
    """What comes from Kafka, HTTP and files is decoded as JSON or CSV into types of ours, and nothing else."""
    found: list[str] = []
    for where, node in nodes():
        if isinstance(node, ast.Import):
            found += [f"{where}: import {a.name}" for a in node.names if a.name.split(".")[0] in RUNS_DATA]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNS_DATA:
            found.append(f"{where}: from {node.module} import …")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            shell = [k for k in node.keywords if k.arg == "shell" and ast.unparse(k.value) != "False"]
            pickled = [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"]
            if name in CALLS_DATA or shell or pickled:
                found.append(f"{where}: {ast.unparse(node)}")
    assert found == []


def test_secrets_are_compared_in_a_time_that_tells_nothing() -> None:
    """By `hmac.compare_digest`: how long `==` takes tells how much of a guess is right."""
    compared: list[str] = []
    for where, node in nodes():
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            names = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
            said = {n.id for n in names if isinstance(n, ast.Name)} | {
                n.attr for n in names if isinstance(n, ast.Attribute)
            }
            compared += [f"{where}: {ast.unparse(node)}" for name in said if SECRETS.search(name)]
    assert compared == []


def test_what_serves_http_listens_on_this_machine_alone_unless_told() -> None:
    """A worker's state and an intake without a token are nobody else's by accident."""
    hosts = [address.host for address in (HTTP.default, LISTEN.default) if address is not None]
    assert hosts == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize("name", PATHS)
def test_a_worker_id_names_one_directory_and_nothing_else(name: str) -> None:
    """It is a directory below `--data`."""
    with pytest.raises(ValueError, match="names a directory"):
        readers.worker_id(name)


@pytest.mark.parametrize("name", PATHS)
def test_a_stream_that_is_no_stream_is_no_path_either(name: str) -> None:
    """Its name becomes a topic and a directory: only those of the registry do."""
    with pytest.raises(UsageError, match="no such stream"):
        stream(name)


@pytest.mark.parametrize("words", [("schema",), ("dlq", "list"), ("state",), ("simulate",), ("tail",)])
def test_commands_refuse_a_stream_that_is_a_path(words: tuple[str, ...]) -> None:
    """Before any connection is tried or any file is looked at."""
    assert cli.run([*words, "../sites"]) == 2
