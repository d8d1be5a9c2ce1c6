"""The program ``streamgauge``: finds the command's module, runs it, and turns every failure into one line and a code.

A command is a module ``ops/commands/NAME.py`` with a `click.Command` called ``command``. It is imported when its
word is used; `--help` reads the table below and imports none of them.
"""

# ruff: noqa: ARG002 (click calls these methods with arguments of its own)

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn, cast

import click

from ops import console
from ops.options import Group
from ops.start import release
from schemas.errors import StreamgaugeError

COMMANDS = {
    "demo": "Start everything on sample data and print the reports.",
    "broker": "A local Apache Kafka, without Docker and without an installed Java.",
    "topics": "Create or describe the topics.",
    "worker": "Keep the summaries of streams up to date.",
    "replay": "Send files into a stream.",
    "collect": "Take records in over HTTP.",
    "poll": "Read a paged API into a stream.",
    "simulate": "Make synthetic input of a stream.",
    "tail": "Follow the summaries as they change.",
    "report": "The newest summaries, as people read them.",
    "dlq": "Dead letters: list, show, replay.",
    "status": "Brokers, partitions, owners, lag.",
    "state": "The live state of one key.",
    "verify": "Recompute summaries from files and compare.",
    "schema": "JSON Schema of a stream's records and summaries.",
    "completion": "The script that makes a shell complete our words.",
}
"""Every command with the first line of its help, in the order in which a newcomer meets them."""

SERVICES = frozenset({"worker", "collect"})
"""What supervisors start and stop. To be stopped before there was anything to finish is a good end."""

INTERRUPTED = 130


class Program(Group):
    """The root of all words: knows every command by name, imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None when there is no such word."""
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", import_module(f"ops.commands.{cmd_name}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is to run; from here on a signal means to it what it must.

        Raises:
            click.UsageError: there is none of that name.
            KeyboardInterrupt: Ctrl-C came before.
        """
        found = super().resolve_command(ctx, args)
        if found[0] in SERVICES:
            signal.signal(signal.SIGTERM, _nothing_began)
        release()
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _nothing_began(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


program = Program(
    "streamgauge",
    help="Running summaries of event streams on Kafka, exact through crashes.",
    epilog="First steps: streamgauge demo. Completion: streamgauge completion --help.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def run(words: Sequence[str]) -> int:
    """Run one command line; the exit code. Never raises for what a person or the world did wrong."""
    debug = "--debug" in words or os.environ.get("STREAMGAUGE_DEBUG", "") not in {"", "0", "false"}
    try:
        with program.make_context("streamgauge", list(words)) as context:
            code = program.invoke(context)
        code = code if isinstance(code, int) else 0
        try:
            console.flush()
        except BrokenPipeError:
            _silence_stdout()  # and yet the exit code says what came of the work
        return code
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        if debug:
            _traceback()
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our result has seen enough (`| head`): that is no failure.
        _silence_stdout()
        return 0
    except Exception as error:  # noqa: BLE001 (the last place where a failure can become a line)
        with suppress(Exception):
            console.flush()  # what was found out before it failed
        if debug:
            _traceback()
        line, code = explain(error)
        console.fail(line)
        return code


def explain(error: Exception) -> tuple[str, int]:
    """The one line that says what happened, where and what to do, and the exit code."""
    if isinstance(error, StreamgaugeError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError):
        return _usage(error), 2
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}", 1
    kafka = sys.modules.get("confluent_kafka")
    if kafka is not None and isinstance(error, kafka.KafkaException):
        from ops.kafka import translate

        return explain(translate(cast("Any", error)))
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)", 1


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        from ops.suggest import did_you_mean

        known = error.possibilities or []
        line = f"no such option {error.option_name!r}{did_you_mean(error.option_name, known)}"
    else:
        message = error.format_message().rstrip(".")
        line = message[:1].lower() + message[1:]
    return f"{line} ({error.ctx.command_path} --help)" if error.ctx else line


def _traceback() -> None:
    import traceback

    traceback.print_exc()


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere: what it does not take was told."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Run the process's command line and end the process with its exit code."""
    console.open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Text is UTF-8 whatever the locale says; a file name's odd byte must not break a message.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if "_STREAMGAUGE_COMPLETE" in os.environ:
        program.main(prog_name="streamgauge")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()
    sys.exit(code)
