"""The program as a person meets it: words, options, exit codes, and one line for every failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ops import cli, console
from ops.cli import COMMANDS, program
from ops.options import Command, GlobalOption, command_options
from ops.settings import BROKERS, EPOCH, HTTP, STANDBYS, VERBOSE, Settings
from schemas.errors import StreamgaugeError, UsageError

from .conftest import Program

HEAVY = (
    "aiohttp",
    "aiokafka",
    "asyncio",
    "confluent_kafka",
    "faust",
    "msgspec",
    "numpy",
    "orjson",
    "rocksdict",
    "rich",
)


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    context = click.Context(program)
    for name in COMMANDS:
        yield (name,)
        command = program.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, word) for word in command.list_commands(context))


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...], streamgauge: Program) -> None:
    """Its first line is the command's in the list of all; the global options are there, too."""
    ended = streamgauge(*words, "--help")
    assert ended.code == 0
    assert ended.err == ""
    assert "--brokers" in ended.out
    assert f"streamgauge {' '.join(words)}" in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_of_itself(name: str) -> None:
    """The list is written without importing the commands, so only a test can hold the two together."""
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name]


def test_without_a_word_the_help_is_shown(streamgauge: Program) -> None:
    """As kubectl and rpk do."""
    ended = streamgauge()
    assert ended.code == 0
    assert all(name in ended.out for name in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    """Start-up costs imports; `--help`, completion and typos must not pay for Kafka."""
    code = (
        "import sys; from ops.cli import run; code = run(sys.argv[1:]);"
        f"print(code, sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    for words in (["--help"], ["tail", "--help"], ["topics", "create", "--help"], ["tial"], ["tail", "sits"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(cli.__file__).parents[1],
        )
        assert ended.stderr.splitlines()[-1].split(" ", 1)[1] == "[]", words


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tial"], "no such command 'tial'; did you mean 'tail'? (streamgauge --help)"),
        (["dlq", "lst", "sites"], "no such command 'lst'; did you mean 'list'? (streamgauge dlq --help)"),
        (["tail", "sits"], "no such stream 'sits'; did you mean 'sites'?"),
        (["report", "sits"], "no such command 'sits'; did you mean 'sites'?"),
        (["tail", "sites", "--lates"], "no such option '--lates'; did you mean '--latest'"),
        (["--broker", "a:1", "tail"], "no such option '--broker'; did you mean '--brokers'?"),
        (["xyzzy"], "no such command 'xyzzy'; there is: demo, broker"),
        (["dlq", "list"], "missing argument 'STREAM'"),
        (["tail", "sites", "-o", "middle"], "'middle' is not beginning, end, stored or -N"),
        (["tail", "sites:"], "'sites:' has no key behind the colon"),
        (["tail", "sites.rows"], "sites publishes no rows beside its summaries"),
        (["replay", "products", "a.csv", "--op", "updat"], "no such operation 'updat'; did you mean 'update'?"),
        (["report", "sessions", "--from", "5", "--to", "4"], "--from is after --to"),
        (["tail", "-X", "ssl"], "'ssl' is not KEY=VALUE"),
        (["tail", "--color", "blue"], "'blue' is not auto, always or never"),
        (["tail", "-f", "%k", "-J"], "-f and -J exclude each other"),
        (["tail", "-f", "%z"], "no such token %z"),
        (["dlq", "show", "sites", "first"], "'first' is no dead letter's id"),
        (["report", "sites", "--by", "day", "--coverage"], "--by and --coverage exclude each other"),
        (["topics", "create", "--partitions", "0"], "'0' is less than 1"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_tried(words: list[str], line: str, streamgauge: Program) -> None:
    """Exit 2, one line on stderr, nothing on stdout; no broker runs here, so a try to reach one would show."""
    ended = streamgauge(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("streamgauge: ")
    assert ended.err.count("\n") == 1
    assert line in ended.err


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """A command `completion` that only remembers its settings."""
    seen: list[Settings] = []

    @click.command("completion")
    @command_options(EPOCH, HTTP, STANDBYS)
    def command(settings: Settings) -> int:
        seen.append(settings)
        return 3

    monkeypatch.setattr("ops.commands.completion.command", command)
    return seen


@pytest.mark.parametrize(
    "words",
    [
        ["-b", "a:1", "-v", "completion", "-v"],
        ["completion", "--brokers", "a:1", "-vv"],
        ["-b", "z:9", "--verbose", "completion", "-b", "a:1", "-v"],
    ],
)
def test_global_options_stand_before_or_after_the_words(
    words: list[str], probe: list[Settings], streamgauge: Program
) -> None:
    """The later one wins, ``-v`` adds up; what a command returns is the exit code."""
    assert streamgauge(*words).code == 3
    assert (probe[0][BROKERS], probe[0][VERBOSE]) == ("a:1", 2)


def test_a_flag_counts_also_when_it_says_nothing_or_off(
    probe: list[Settings], streamgauge: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--standbys 0`` and ``--http off`` once lost to the environment, because their values are false."""
    monkeypatch.setenv("STREAMGAUGE_STANDBYS", "2")
    monkeypatch.setenv("STREAMGAUGE_HTTP", "127.0.0.1:80")
    streamgauge("completion", "--standbys", "0", "--http", "off")
    assert (probe[0][STANDBYS], probe[0][HTTP]) == (0, None)


def test_a_packed_file_is_not_followed(streamgauge: Program) -> None:
    """Its bytes were once taken for lines."""
    ended = streamgauge("replay", "sites", "--follow", "plain.jsonl", "packed.jsonl.gz")
    assert ended.code == 2
    assert "packed.jsonl.gz is packed, and packed files are not followed" in ended.err


def test_a_line_that_goes_on_repeats_switches_too(probe: list[Settings], streamgauge: Program) -> None:
    """Who asked for JSON gets it the second time."""
    streamgauge("-v", "--json", "completion", "-vv", "-q", "--color", "never")
    words = ["--verbose", "--json", "--verbose", "--verbose", "--quiet", "--color", "never"]
    assert sorted(probe[0].given) == sorted(words)


def test_client_properties_collect_over_all_words(probe: list[Settings], streamgauge: Program) -> None:
    streamgauge("-X", "a=1", "-X", "b=x=y", "completion", "-X", "a=2")
    assert probe[0].properties == {"a": "2", "b": "x=y"}
    assert probe[0].given == ["-X", "a=1", "-X", "b=x=y", "-X", "a=2"]


def test_a_config_file_that_is_missing_is_exit_1(streamgauge: Program) -> None:
    ended = streamgauge("schema", "sites", "--config", "/no/such.toml")
    assert (ended.code, ended.out) == (1, "")
    assert "cannot read the configuration file /no/such.toml" in ended.err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StreamgaugeError("could not be done"), 1, "streamgauge: could not be done\n"),
        (UsageError("wrong words"), 2, "streamgauge: wrong words\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.jsonl"),
            1,
            "streamgauge: a.jsonl: No such file or directory\n",
        ),
        (OSError(28, "No space left on device"), 1, "streamgauge: No space left on device\n"),
        (KeyError("x"), 1, "streamgauge: internal error: KeyError: 'x' (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    error: BaseException, code: int, line: str, streamgauge: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback: a person wants to know what to do. Whoever closes our pipe (`| head`) has had enough."""

    @click.command()
    @command_options
    def command(_settings: Settings) -> None:
        raise error

    monkeypatch.setattr("ops.commands.completion.command", command)
    monkeypatch.setattr("ops.cli._silence_stdout", lambda: None)
    ended = streamgauge("completion")
    assert (ended.code, ended.err) == (code, line)


def test_debug_shows_the_traceback_of_a_wrong_word_too(streamgauge: Program) -> None:
    ended = streamgauge("tial", "--debug")
    assert ended.code == 2
    assert "Traceback" in ended.err
    assert ended.err.rstrip().endswith("did you mean 'tail'? (streamgauge --help)")


def test_what_was_found_out_before_a_failure_is_shown(streamgauge: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @command_options
    def command(_settings: Settings) -> None:
        console.write("1,messages=4\n")
        raise StreamgaugeError("no such site: 2")

    monkeypatch.setattr("ops.commands.completion.command", command)
    assert streamgauge("completion") == (1, "1,messages=4\n", "streamgauge: no such site: 2\n")


def test_the_version_is_told_before_or_after_the_words(streamgauge: Program) -> None:
    for words in (["--version"], ["tail", "--version"], ["dlq", "list", "--version"]):
        ended = streamgauge(*words)
        assert ended.code == 0
        assert ended.out.startswith("streamgauge ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("streamgauge ta", {"tail"}),
        ("streamgauge tail si", {"sites"}),
        ("streamgauge report ", {"sites"}),
        ("streamgauge dlq ", {"list", "show", "replay"}),
        ("streamgauge tail --la", {"--latest"}),
        ("streamgauge tail --br", {"--brokers"}),
        ("streamgauge tail -o st", {"stored"}),
        ("streamgauge --color al", {"always"}),
        ("streamgauge topics create --par", {"--partitions"}),
    ],
)
def test_a_shell_completes_commands_streams_and_options(words: str, expected: set[str]) -> None:
    """Through the variables that the script of `completion bash` sets."""
    typed = words.split(" ")
    environment = {
        **os.environ,
        "_STREAMGAUGE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(typed) - 1),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "ops.start"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(cli.__file__).parents[1],
    )
    assert expected <= {line.split(",")[1] for line in ended.stdout.splitlines()}
    assert ended.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell: str, streamgauge: Program) -> None:
    ended = streamgauge("completion", shell)
    assert ended.code == 0
    assert "_STREAMGAUGE_COMPLETE" in ended.out


def test_every_command_takes_every_global_option() -> None:
    """Forgetting `command_options` on a new command shows here."""
    context = click.Context(program)
    wanted = {tuple(option.opts) for option in program.params if isinstance(option, GlobalOption)}
    for words in every_command():
        command: click.Command = program
        for word in words:
            assert isinstance(command, click.Group)
            found = command.get_command(context, word)
            assert found is not None
            command = found
        assert wanted <= {tuple(option.opts) for option in command.params}, words


def test_schema_describes_records_and_summaries(streamgauge: Program) -> None:
    import json

    described = json.loads(streamgauge("schema", "sites").out)
    assert described["stream"] == "sites"
    assert set(described["record"]["$defs"]) >= {"Message", "Status"}
    summary = described["summary"]
    assert "revision" in str(summary)


def run_in_shell(line: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A command line as a shell runs it; ``streamgauge`` is the program, ``data`` its data."""
    program = f"{sys.executable} -m ops.start --data {tmp_path}/data"
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("streamgauge", program)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("streamgauge schema sites >&-", 1, "streamgauge: cannot write the result to stdout: Bad file descriptor\n"),
        ("streamgauge simulate sites --events 9 >&-", 1, "streamgauge: cannot write stdout: Bad file descriptor\n"),
        ("streamgauge simulate sites > /dev/full", 1, "streamgauge: cannot write stdout: No space left on device\n"),
        ("streamgauge --help >&-", 1, "streamgauge: Bad file descriptor\n"),
        ("streamgauge nonsense <&- >&- 2>&-", 2, ""),
        ("streamgauge schema sites <&- 2>&-", 0, ""),
    ],
)
def test_a_closed_or_full_output_is_a_line_and_a_code(line: str, code: int, err: str, tmp_path: Path) -> None:
    """What is closed must not be given to the next file or connection that is opened."""
    ended = run_in_shell(line, tmp_path)
    assert (ended.returncode, ended.stderr) == (code, err)


def test_a_reader_that_has_enough_leaves_the_exit_code_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of the work is not known less because nobody read the result."""

    def broken() -> None:
        raise BrokenPipeError

    @click.command(cls=Command)
    @command_options
    def rejecting(_settings: Settings) -> int:
        """Reject something."""
        return 3

    monkeypatch.setattr(console, "flush", broken)
    monkeypatch.setattr(cli, "_silence_stdout", lambda: None)
    monkeypatch.setattr(type(program), "get_command", lambda *_: rejecting)
    assert cli.run(["rejecting"]) == 3


def test_a_worker_that_is_stopped_before_it_began_ends_well(tmp_path: Path) -> None:
    """A supervisor may change its mind at once; to be ended by the signal would look like a crash."""
    stopped = "import asyncio, os, signal; asyncio.run = lambda run: os.kill(os.getpid(), signal.SIGTERM)"
    words = [sys.executable, "-W", "ignore", "-c", f"{stopped}; from ops.cli import main; main()"]
    assert subprocess.run([*words, "worker", "--data", str(tmp_path)], check=False, timeout=60).returncode == 0


HELD = """
import signal, sys
mask = signal.pthread_sigmask
def tell(how, which):
    mask(how, which)
    print(how.name, flush=True)
    sys.stdin.readline()
signal.pthread_sigmask = tell
from ops.start import main
main()
"""
"""The program, which says that it holds signals, and goes on, to its imports, when it is told to."""


@pytest.mark.parametrize(
    ("word", "number", "code"),
    [
        ("worker", signal.SIGTERM, 0),
        ("collect", signal.SIGTERM, 0),
        ("worker", signal.SIGINT, 130),
        ("status", signal.SIGINT, 130),
        ("status", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_signal_that_comes_amid_the_imports_means_to_a_command_what_it_must(
    word: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """A worker had nothing to finish; what was asked for once was not done. Nobody is shown where Python was."""
    words = [sys.executable, "-c", HELD, word, "--data", str(tmp_path), "--brokers", "127.0.0.1:1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"SIG_BLOCK\n"
            process.send_signal(number)
            assert process.communicate(b"\n", timeout=60) == (b"", b"")
            assert process.returncode == code
        finally:
            process.kill()


def test_a_worker_has_room_for_more_files_than_a_shell_allows(tmp_path: Path) -> None:
    """Hundreds of partitions need thousands; its engine processes inherit it."""
    limits = "resource.getrlimit(resource.RLIMIT_NOFILE)"
    shown = (
        f"asyncio.run = lambda run: print(*{limits}); resource.setrlimit(resource.RLIMIT_NOFILE, (256, {limits}[1]))"
    )
    code = f"import asyncio, resource; {shown}; from ops.cli import main; main()"
    words = [sys.executable, "-W", "ignore", "-c", code, "worker", "--data", str(tmp_path)]
    soft, hard = map(int, subprocess.run(words, check=True, timeout=60, capture_output=True, text=True).stdout.split())
    assert soft == min(hard, 65_536)
