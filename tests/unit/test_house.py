"""The rules of the house that no linter knows. Each says why; a failure names the file and line."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "aggregators", "processors", "sinks", "producers", "ops")
IGNORED = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}

PUBLIC = {
    "producers.simulate.answer": "python -m producers.simulate.answer: input whose right answer is known beforehand",
    "ops.start": "streamgauge, and python -m ops.start: what an installation calls",
    "aggregators.laws": "the laws that any plug-in's aggregator can be held to",
    "processors.driver": "the production partition on an in-memory log, for unit tests and the authors of plug-ins",
}
"""Modules that nothing in the product imports, and why they are there."""


@cache
def files() -> list[Path]:
    """Every file that belongs to the project."""
    return sorted(_walk(ROOT))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in IGNORED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and name(path).split("/")[0] in folders]


PRODUCT = sources(*PACKAGES)
TESTS = sources("tests")
each_module = pytest.mark.parametrize("path", PRODUCT, ids=name)
each_test_file = pytest.mark.parametrize("path", TESTS, ids=name)


def found(pattern: str, paths: list[Path]) -> list[str]:
    """``file:line: text`` of each line that matches, binary files left out."""
    hits: list[str] = []
    for path in paths:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        hits += [
            f"{name(path)}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if re.search(pattern, line)
        ]
    return hits


@each_module
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """By a docstring; and it shows the thing in use (a doctest, a picture, a literal) or says why it is there.

    An ``__init__.py`` is a public face: a sentence may do.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{name(path)}: no docstring"
    if path.name != "__init__.py":
        shown = re.search(r"^(>>> |    \S|\* |\|)|``", docstring, re.MULTILINE)
        assert shown or docstring.count("\n") >= 2, f"{name(path)}: neither an example nor a reason"


@pytest.mark.parametrize("path", PRODUCT + TESTS, ids=name)
def test_a_module_holds_one_concept(path: Path) -> None:
    """Beyond 500 lines it never does."""
    assert len(path.read_text().splitlines()) <= 500


def test_nothing_is_left_for_later() -> None:
    """What is not done is an issue, not a comment; what cannot be done raises an error of the tree."""
    later = "|".join(["TO" + "DO", "FIX" + "ME", r"XX" + "X", "HA" + "CK"])
    assert found(rf"\b({later})\b", PRODUCT + TESTS) == []
    assert found(r"\bNotImplementedError\b", PRODUCT) == []


def test_no_file_knows_the_machine_that_it_was_written_on() -> None:
    """Nor the host of a package registry: installers know theirs, and a mirror is one setting away."""
    hosts = "|".join(["py" + "pi", "python" + "hosted", "repo1?", "npm" + "js", "deb" + "ian"])
    assert found(rf"://[^ \"')]*\b({hosts})\b", files()) == []
    machine = "|".join(["ro" + "ot", "home/" + r"\w+", "wo" + "rk", "Us" + "ers"])
    assert found(rf"(^|[\s\"'`(=:])/({machine})/", files()) == []


@pytest.mark.parametrize("path", [path for path in TESTS if "bench" not in path.parts], ids=name)
def test_a_test_waits_for_a_condition_and_never_for_time(path: Path) -> None:
    """A sleep long enough for a slow machine is too long for all others; a benchmark measures time."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}:
            duration = node.args[0] if node.args else None
            long = (
                isinstance(duration, ast.Constant) and isinstance(duration.value, int | float) and duration.value >= 0.3
            )
            assert not long, f"{name(path)}:{node.lineno}: {ast.unparse(node)}"


@each_test_file
def test_no_test_is_skipped(path: Path) -> None:
    """A skipped test reads like a passed one. What a test needs, `make install` installs."""
    skipping = "|".join([r"pytest\.sk" + "ip", r"mark\.sk" + "ip", "importor" + "skip"])
    assert found(skipping, [path]) == []


@each_test_file
def test_the_name_of_a_test_is_a_sentence(path: Path) -> None:
    """It is all that a red build shows."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert node.name.count("_") >= 3, f"{name(path)}:{node.lineno}: {node.name}"


def test_no_module_is_dead() -> None:
    """Each is imported or run by another, is a command's (imported when its word is used), or is there for plug-ins."""
    text = {path: path.read_text() for path in PRODUCT}
    dead: list[str] = []
    for path in PRODUCT:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if path.name == "__init__.py" or module in PUBLIC or module.startswith("ops.commands."):
            continue
        package, _, last = module.rpartition(".")
        used = re.compile(
            rf"\b{re.escape(module)}\b|from {re.escape(package)} import [^)\n]*(\([^)]*)?\b{last}\b|\"{last}\.py\""
        )
        if not any(used.search(source) for other, source in text.items() if other != path):
            dead.append(module)
    assert dead == []


def test_nothing_is_defined_and_never_used() -> None:
    """A name at the top of a product module occurs at least once more in the product."""
    counts: Counter[str] = Counter()
    for path in PRODUCT:
        counts.update(re.findall(r"\w+", path.read_text()))
    counts.update(re.findall(r"\w+", (ROOT / "pyproject.toml").read_text()))
    unused = [
        f"{name(path)}:{node.lineno}: {defined}"
        for path in PRODUCT
        if ".".join(path.relative_to(ROOT).with_suffix("").parts) not in PUBLIC
        for node in ast.parse(path.read_text()).body
        for defined in _defined(node)
        if counts[defined] < 2 and not defined.startswith("__")
    ]
    assert unused == []


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [] if node.decorator_list and not isinstance(node, ast.ClassDef) else [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


UNTYPED = {
    "reportMissingTypeArgument",
    "reportMissingTypeStubs",
    "reportPrivateImportUsage",
    "reportUnknownArgumentType",
    "reportUnknownLambdaType",
    "reportUnknownMemberType",
    "reportUnknownParameterType",
    "reportUnknownVariableType",
    "reportUntypedBaseClass",
    "reportUntypedFunctionDecorator",
}
"""What a file that talks to a library without types may turn off."""
HOOKS = {
    "reportIncompatibleMethodOverride",
    "reportIncompatibleVariableOverride",
    "reportPrivateUsage",
    "reportUnusedFunction",
}
"""And what it takes to put a data path of our own into Faust."""


@each_module
def test_types_are_given_up_only_where_a_library_has_none(path: Path) -> None:
    """Private names of libraries are the engine's alone, which drives aiokafka and Faust by some.

    (librdkafka's own error codes, such as ``_PARTITION_EOF``, only look private.)
    """
    for hit in found(r"#\s*(pyright:|type:\s*ignore)", [path]):
        assert "# pyright:" in hit, hit
        rules = set(re.findall(r"\breport\w+", hit))
        allowed = set(UNTYPED)
        if name(path).startswith("processors/"):
            allowed |= HOOKS
        elif "KafkaError._" in hit:
            allowed |= {"reportPrivateUsage"}
        assert rules, f"{hit}: which rule?"
        assert rules <= allowed, hit


def test_the_house_has_the_rooms_it_was_planned_with() -> None:
    """A new top-level folder is a decision, not an accident."""
    folders = {name(path).split("/")[0] for path in files() if "/" in name(path)}
    assert folders == {*PACKAGES, "tests", "docs", ".ci"}


def test_no_large_or_built_file_is_committed() -> None:
    """Clones stay small; what can be built or downloaded is."""
    built = {".so", ".pyd", ".dylib", ".dll", ".jar", ".class", ".whl", ".pyc", ".exe"}
    assert [name(path) for path in files() if path.suffix in built] == []
    assert [f"{name(path)}: {path.stat().st_size} bytes" for path in files() if path.stat().st_size > 512 << 10] == []


def pins(lock: str) -> dict[str, str]:
    """Version by package of a lock file, markers included (some packages stand in it twice)."""
    entries = re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^\s;\\]+)\s*([^\\]*)\\$", (ROOT / lock).read_text(), re.MULTILINE)
    return {f"{package} {marker}".strip(): version for package, version, marker in entries}


def required(requirements: list[str]) -> set[str]:
    names = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements}
    return {re.sub(r"[-_.]+", "-", package).lower() for package in names}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-runtime.lock"])
def test_every_locked_package_is_named_by_its_hashes(lock: str) -> None:
    """And by no index: what is installed is what was tried, wherever it comes from."""
    text = (ROOT / lock).read_text()
    assert not re.search(r"^\s*-(?!-hash=sha256:)", text, re.MULTILINE)
    assert "://" not in text
    for entry in re.split(r"\n(?=[a-z0-9])", text):
        assert "--hash=sha256:" in entry, f"{lock}: {entry[:60]}"


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """`make lock` was run after the last change; both locks name the same versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    everything, runtime = pins("requirements.lock"), pins("requirements-runtime.lock")
    assert required(project["project"]["dependencies"]) <= {entry.split()[0] for entry in runtime}
    assert required(project["dependency-groups"]["dev"]) <= {entry.split()[0] for entry in everything}
    assert {entry: everything.get(entry) for entry in runtime} == runtime


def test_every_library_in_use_is_asked_for() -> None:
    """One that only comes along with another may leave with it."""
    declared = required(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    distributions = packages_distributions()
    used: dict[str, str] = {}
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                used |= {module.split(".")[0]: name(path) for module in modules}
    foreign = {module: path for module, path in used.items() if module not in {*PACKAGES, *sys.stdlib_module_names}}
    missing = {module: path for module, path in foreign.items() if not declared & required(distributions[module])}
    assert missing == {}


def test_the_version_is_in_the_changelog() -> None:
    """In the user's words, before it is released."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
