"""Writes the reference pages from the code, so that they cannot be out of date.

    python -m tests.docs            writes docs/cli.md, docs/settings.md, docs/metrics.md, docs/map.md
    python -m tests.docs --check    exit 1, naming the pages that are stale

`make docs` and `make check` run these.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import click

from ops.cli import program
from ops.settings import PREFIX, TABLE, Setting
from ops.worker import metrics

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "aggregators", "processors", "sinks", "producers", "ops")
WIDTH = 100
GENERATED = "<!-- Written by `make docs` from the code: change it there. -->\n"

EXIT_CODES = {
    0: "done",
    1: "could not be done; one line on stderr says what happened, where and what to do (wins over 3)",
    2: "wrong usage; nothing was tried",
    3: "done, but records were rejected: the counts and where the dead letters lie are on stderr",
    130: "interrupted; what was acknowledged is kept, and the command says how to go on",
}


def cli() -> str:
    """The page of commands."""
    page = [
        GENERATED,
        "# The command line\n",
        "Global options stand before or after a command's words. Results go to stdout, everything else to stderr.\n",
    ]
    for path, command, context in commands():
        page.append(f"{'#' * min(2 + max(len(path) - 2, 0), 4)} {' '.join(path)}\n")
        page.append(f"```\n{help_of(command, context)}\n```\n")
    page.append("## Exit codes\n")
    page.append("| exit | when |\n|---|---|")
    page += [f"| {code} | {when} |" for code, when in EXIT_CODES.items()]
    return "\n".join(page) + "\n"


def commands() -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Every command with its words, the program itself first, in the order of the help."""
    todo: list[tuple[tuple[str, ...], click.Command, click.Context | None]] = [(("streamgauge",), program, None)]
    while todo:
        path, command, parent = todo.pop(0)
        settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
        context = click.Context(command, info_name=path[-1], parent=parent, **settings)
        yield path, command, context
        if isinstance(command, click.Group):
            found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
            todo[:0] = [((*path, name), cast("click.Command", child), context) for name, child in found]


def help_of(command: click.Command, context: click.Context) -> str:
    """What ``--help`` prints; the options that every command has are shown once, with the program."""
    text = command.get_help(context)
    if context.parent is not None:
        text = text.split("\nGlobal options", 1)[0]
    return text.rstrip()


def settings() -> str:
    """The page of settings."""
    page = [
        GENERATED,
        "# Settings\n",
        "A setting is read from the first of: the flag, the environment variable, the key of the file that `--config`",
        "names (`streamgauge.toml` of the current directory when there is one), the default. Durations are written",
        "`500ms`, `30m`, `12h`, `1d`; sizes `64KiB`, `1GiB`.\n",
        f"`-X KEY=VALUE` passes a property on to the Kafka clients; `{PREFIX}KAFKA_SSL_CA_LOCATION=…` is",
        "`-X ssl.ca.location=…`.\n",
        "| flag | variable | default | commands | what it sets | why this default |",
        "|---|---|---|---|---|---|",
        *(setting_row(setting) for setting in TABLE.values()),
    ]
    return "\n".join(page) + "\n"


def setting_row(setting: Setting[object]) -> str:
    """One setting as a row of the table."""
    flag = f"-{setting.short}, " if setting.short else ""
    flag += f"--{setting.name} {setting.metavar}".strip()
    cells = [
        f"`{flag}`",
        f"`{setting.variable}`",
        setting.shown or "off",
        ", ".join(f"`{command}`" for command in setting.commands) or "all",
        setting.help,
        setting.why,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def metric_page() -> str:
    """The page of metrics."""
    known = [value for value in vars(metrics).values() if isinstance(value, metrics.Metric)]
    page = [
        GENERATED,
        "# Metrics\n",
        "`GET /metrics` of a worker (`--http`), in Prometheus' text format. `_total` only rises and begins at 0 when",
        "an engine process starts. Every engine has the labels `stream` and `instance`; a partition's figures have",
        "`partition`, too.\n",
        "| metric | kind | meaning |",
        "|---|---|---|",
        *(
            f"| `streamgauge_{metric.name}` | {metric.kind} | {metric.help} |"
            for metric in [*known, *metrics.COUNTERS.values()]
        ),
    ]
    return "\n".join(page) + "\n"


def module_map() -> str:
    """The page of modules."""
    page = [
        GENERATED,
        "# The map of the code\n",
        "Every module with its first sentence; the rest of it stands in the file.\n",
    ]
    for package in PACKAGES:
        folders = sorted({path.parent for path in (ROOT / package).rglob("*.py")})
        for folder in folders:
            title = folder.relative_to(ROOT).as_posix()
            page.append(
                f"## {title}/\n\n{_first_sentence(folder / '__init__.py')}\n\n| module | what it is |\n|---|---|"
            )
            modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
            page += [f"| [{path.stem}](../{title}/{path.name}) | {_first_sentence(path)} |" for path in modules]
            page.append("")
    return "\n".join(page)


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n\n")[0].replace("\n", " ").replace("``", "`").replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "docs/cli.md": cli,
    "docs/settings.md": settings,
    "docs/metrics.md": metric_page,
    "docs/map.md": module_map,
}


def stale() -> list[str]:
    """The pages that differ from what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> None:
    """Write the pages, or check them."""
    pages = stale()
    if "--check" in sys.argv[1:]:
        if pages:
            sys.exit(f"stale: {', '.join(pages)}; `make docs` writes them anew")
        return
    for name in pages:
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
        click.echo(f"written: {name}")


if __name__ == "__main__":
    main()
