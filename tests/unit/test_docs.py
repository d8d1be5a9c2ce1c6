"""The documents can be believed: what they name is in the code, what it offers is in them, links lead somewhere."""

from __future__ import annotations

import inspect
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from ops.cli import COMMANDS, INTERRUPTED
from ops.settings import KAFKA_PREFIX, PREFIX, TABLE
from ops.worker import metrics
from schemas import errors
from sinks.tables import POSITIONS
from tests import docs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "DESIGN.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
PRODUCT = [
    path
    for package in ("schemas", "aggregators", "processors", "sinks", "producers", "ops")
    for path in (ROOT / package).rglob("*.py")
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code_in(page: Path) -> list[str]:
    """Every code span and every line of a code block."""
    text = page.read_text()
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"^ {4}(.*)$", rest, re.MULTILINE) + re.findall(r"`([^`\n]+)`", rest)


@cache
def options() -> dict[str, set[str]]:
    """The options of each command, by its words."""
    return {
        " ".join(path): {
            name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)
        }
        for path, command, context in docs.commands()
    }


@cache
def every_option() -> set[str]:
    return set().union(*options().values())


@pytest.mark.parametrize("page", docs.PAGES)
def test_a_reference_page_says_what_the_code_says(page: str) -> None:
    """When this fails: `make docs`."""
    assert (ROOT / page).read_text() == docs.PAGES[page]()


def test_every_command_and_every_option_has_a_help_text() -> None:
    """The page of commands is made of these."""
    for path, command, context in docs.commands():
        assert command.help, " ".join(path)
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{' '.join(path)} {parameter.opts[0]}"


def test_the_short_texts_of_the_program_are_those_of_its_commands() -> None:
    """`streamgauge --help` imports no command, so it has the first lines in a table of its own."""
    assert {path[1] for path, _, _ in docs.commands() if len(path) == 2} == set(COMMANDS)


def test_every_exit_code_is_explained_and_no_other() -> None:
    """Scripts branch on them."""
    tree = [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.StreamgaugeError)
    ]
    assert set(docs.EXIT_CODES) == {0, 3, INTERRUPTED} | {error.exit_code for error in tree}


@each_page
def test_every_command_line_in_a_document_can_be_typed(page: Path) -> None:
    """Its words are commands, its options theirs."""
    for line in code_in(page):
        for shown in re.findall(r"(?:^|[\s/])streamgauge((?: +[^\s|;&>#)]+)*)", line):
            words = shown.split()
            command = "streamgauge"
            while words and f"{command} {words[0]}" in options():
                command += f" {words.pop(0)}"
            if command == "streamgauge" and words and re.fullmatch(r"[a-z]+", words[0]):
                pytest.fail(f"{page.name}: no such command: streamgauge {' '.join(words)}")
            given = {word.split("=")[0].rstrip(".,;:") for word in words if re.match(r"--?[A-Za-z]", word)}
            known = options()[command] | options()["streamgauge"]
            assert given <= known, f"{page.name}: {line.strip()}"


@each_page
def test_every_option_setting_and_metric_in_a_document_exists(page: Path) -> None:
    """A name that was changed in the code is changed here, too."""
    text = page.read_text()
    variables = {setting.variable for setting in TABLE.values()}
    for name in re.findall(rf"\b{PREFIX}[A-Z_]+\b", text):
        assert name in variables or name.startswith(KAFKA_PREFIX), f"{page.name}: {name}"
    known = {f"streamgauge_{metric.name}" for metric in metrics.COUNTERS.values()}
    known |= {f"streamgauge_{value.name}" for value in vars(metrics).values() if isinstance(value, metrics.Metric)}
    for name in re.findall(r"\bstreamgauge_[a-z_]+\b", text):
        assert name in known | {POSITIONS}, f"{page.name}: {name}"
    for span in re.findall(r"`(--[a-z][a-z-]*)", text):
        assert span in every_option() or span == "--require-hashes", f"{page.name}: {span}"


def test_advice_in_messages_can_be_followed() -> None:
    """Every option that a text of the product names is one, but for those of Kafka's own tools."""
    parsers = {option for path in PRODUCT for option in re.findall(r'add_argument\("(--[a-z-]+)"', path.read_text())}
    known = every_option() | parsers | {"--standalone"}
    for path in PRODUCT:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.search(r"kafka-[a-z]+ |kafka\.tools", " ".join(lines[max(number - 2, 0) : number + 1])):
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line):
                assert option in known, f"{path.relative_to(ROOT)}:{number + 1}: {option}"


@each_page
def test_every_make_target_in_a_document_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for line in code_in(page) for target in re.findall(r"\bmake ([a-z]+)\b", line)}
    assert named <= targets


def test_the_makefile_explains_every_target() -> None:
    """`make` alone prints these."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)) == set(phony[1].split())


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the project, to a heading of a page, or out of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        aim = page if not file else page.parent / file
        assert aim.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(aim), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_path_in_a_document_exists(page: Path) -> None:
    """And every test that a document calls as a witness."""
    folders = "schemas|aggregators|processors|sinks|producers|ops|tests|docs"
    for span in code_in(page):
        for path, test in re.findall(rf"(?<![\w/.<-])((?:{folders})/[\w/.-]*\w)(?:::(\w+))?", span):
            aim = ROOT / path
            assert aim.exists(), f"{page.name}: {path}"
            if test:
                assert re.search(rf"\b(def|class) {test}\b", aim.read_text()), f"{page.name}: {path}::{test}"


def tables(text: str) -> Iterator[tuple[str, str]]:
    """Each table that holds numbers measured, with the text between it and the heading above."""
    for section in re.split(r"^#+ .*$", text, flags=re.MULTILINE):
        for match in re.finditer(r"(?:^\|.*\n)+", section, re.MULTILINE):
            yield section[: match.start()], match[0]


def test_every_table_of_measurements_names_the_command_that_gave_it() -> None:
    """Numbers that nobody can repeat are decoration."""
    _, _, measured = (ROOT / "DESIGN.md").read_text().partition("\n## Measurements")
    assert measured
    for before, table in tables(measured):
        assert re.search(r"`(make|streamgauge|\.venv/bin/\S+|python3?) [^`]*`", before + table), table.splitlines()[0]


def test_the_picture_is_one() -> None:
    """The README shows it."""
    assert "docs/streamgauge.svg" in (ROOT / "README.md").read_text()
    assert ET.parse(ROOT / "docs" / "streamgauge.svg").getroot().tag.endswith("svg")  # noqa: S314 (it is ours)


def test_the_readme_begins_with_the_two_commands_that_do_all_the_setting_up() -> None:
    """Whoever reads ten lines knows what to type."""
    top = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    assert "make demo" in top
    assert "make test" in top
