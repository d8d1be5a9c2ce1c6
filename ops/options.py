"""How a command gets its options: the global ones stand before or after its words, in any of them.

    @click.command(cls=Command)
    @click.argument("stream", type=STREAM)
    @command_options(PARTITIONS)
    def command(settings: Settings, stream: str) -> int | None:
        '''What it does, in one line.'''
        …
        return 3

``streamgauge -v topics -b a:1 create -b b:2`` runs with ``-v`` and ``-b b:2``: what stands later wins, ``-v`` adds
up, ``-X`` collects. The returned number is the exit code (None: 0). Nothing heavy is imported here: every
``--help`` and every completion passes through.
"""

# ruff: noqa: ARG001, ARG002 (click calls callbacks and parameter types with arguments of its own)

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from math import isfinite
from typing import Any, ParamSpec, TypeVar, cast, overload

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from ops import console
from ops.settings import BROKERS, COLOR, DATA, DEBUG, JSON, QUIET, VERBOSE, Setting, Settings, resolve
from ops.suggest import did_you_mean
from ops.units import duration_ms, size_bytes

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_GIVEN = "streamgauge.given"
_FLAGS = "streamgauge.flags"
_PROPERTIES = "streamgauge.properties"
_CONFIG = "streamgauge.config"


class Number(click.FloatRange):
    """A number between bounds. Python takes ``nan`` and ``inf`` for numbers, too, and no bound holds ``nan``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class SettingType(click.ParamType):
    """Lets a setting of the table read its own option."""

    def __init__(self, setting: Setting[Any]) -> None:
        self.setting = setting
        self.name = setting.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The setting's value, or a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self.setting.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that the setting knows; files for what is a path."""
        if self.setting.metavar in {"FILE", "DIR"}:
            return [CompletionItem(incomplete, type=self.setting.metavar.lower())]
        words = [*(self.setting.words or ()), *(self.setting.metavar.split("|") if self.setting is COLOR else ())]
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class UnitType(click.ParamType):
    """A duration (milliseconds) or a size (bytes) of an option that is no setting."""

    def __init__(self, name: str, read: Callable[[str], int]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = UnitType("duration", duration_ms)
"""``type=DURATION``: milliseconds, from ``500ms``, ``30m``, ``12h``."""
SIZE = UnitType("size", size_bytes)
"""``type=SIZE``: bytes, from ``1GiB``."""


class StreamType(click.ParamType):
    """The name of a stream that is known here; an unknown one is refused before anything is tried."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a usage error that suggests one."""
        from ops.registry import names

        known = names()
        if value not in known:
            self.fail(f"no such stream {value!r}{did_you_mean(value, known, otherwise_list=True)}")
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The streams."""
        from ops.registry import names

        return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


STREAM = StreamType()


class GlobalOption(click.Option):
    """An option that every command has, listed apart from the command's own."""


class Command(click.Command):
    r"""A command whose help lists the global options apart.

    A line ``\b`` in its docstring, as it stands in the source, keeps the paragraph below it as it is written.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.help:
            self.help = self.help.replace("\\b\n", "\b\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the global ones."""
        _write_options(self, ctx, formatter)


class Group(click.Group):
    """A group of commands: global options, and "did you mean" for a wrong word."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_global_options()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; when there are none, show the help, as kubectl and rpk do."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand.

        Raises:
            click.UsageError: there is none of that name; the nearest is named.
        """
        word = args[0]
        if not word.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, word) is None:
            known = self.list_commands(ctx)
            ctx.fail(f"no such command {word!r}{did_you_mean(word, known, otherwise_list=True)}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)


@overload
def command_options(*settings: Setting[Any]) -> Callable[[Callable[..., R]], Callable[..., R]]: ...
@overload
def command_options(function: Callable[..., R], /) -> Callable[..., R]: ...
def command_options(*arguments: Any) -> Any:
    """Give a command the global options and those of ``settings``, and its `Settings` as first argument."""
    if len(arguments) == 1 and not isinstance(arguments[0], Setting):
        return command_options()(arguments[0])

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @wraps(function)
        def run(**options: Any) -> R:
            return function(_settings(click.get_current_context()), **options)

        params: list[click.Parameter] = list(getattr(function, "__click_params__", []))
        # click applies decorators from the innermost and reverses the list at the end.
        params += reversed([*(_setting_option(setting) for setting in arguments), *_global_options()])
        cast("Any", run).__click_params__ = params
        return run

    return decorate


def _settings(context: click.Context) -> Settings:
    """Resolve what was given so far in all of the words."""
    meta = context.meta
    settings = resolve(
        meta.get(_FLAGS, {}), meta.get(_PROPERTIES, {}), os.environ, meta.get(_CONFIG), meta.get(_GIVEN, [])
    )
    console.configure(quiet=settings.quiet, verbose=settings.verbose, color=settings.color)
    return settings


def _setting_option(setting: Setting[Any], kind: type[click.Option] = click.Option) -> click.Option:
    names = [f"--{setting.name}", *([f"-{setting.short}"] if setting.short else ())]
    help_text = f"{setting.help}  [default: {setting.shown}]" if setting.shown else setting.help
    if setting is VERBOSE:
        return kind(names, count=True, help=help_text, expose_value=False, callback=_remember(setting))
    if setting.switch:
        return kind(names, is_flag=True, help=help_text, expose_value=False, callback=_remember(setting))
    return kind(
        names,
        type=SettingType(setting),
        metavar=setting.metavar,
        multiple=setting.repeatable,
        help=help_text,
        expose_value=False,
        callback=_remember(setting),
    )


def _remember(setting: Setting[Any]) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps what was given in the one place that all words of a command line share."""

    def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        source = context.get_parameter_source(parameter.name or "")
        if source is not ParameterSource.COMMANDLINE:  # `--standbys 0` and `--http off` are given, too
            return
        flags: dict[str, Any] = context.meta.setdefault(_FLAGS, {})
        if setting is VERBOSE:
            flags[setting.name] = flags.get(setting.name, 0) + value
        elif setting.repeatable:
            flags[setting.name] = (*flags.get(setting.name, ()), *(part for given in value for part in given))
        else:
            flags[setting.name] = value
        if isinstance(parameter, GlobalOption):
            word = parameter.opts[0]
            again = [word] * int(value) if setting.switch else [word, str(value)]
            context.meta.setdefault(_GIVEN, []).extend(again)

    return remember


def _remember_property(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    properties: dict[str, str] = context.meta.setdefault(_PROPERTIES, {})
    for text in value:
        key, equals, said = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", context, parameter)
        properties[key.strip()] = said
        context.meta.setdefault(_GIVEN, []).extend(["-X", text])


def _remember_config(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[_CONFIG] = value
        context.meta.setdefault(_GIVEN, []).extend(["--config", value])


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"streamgauge {version('streamgauge')}")
        context.exit()


def _global_options() -> list[click.Parameter]:
    return [
        _setting_option(BROKERS, GlobalOption),
        GlobalOption(
            ["-X"],
            metavar="KEY=VALUE",
            multiple=True,
            expose_value=False,
            callback=_remember_property,
            help="A property of the Kafka clients, such as security.protocol=SSL; may be repeated.",
        ),
        GlobalOption(
            ["--config"],
            type=click.Path(),
            metavar="FILE",
            expose_value=False,
            callback=_remember_config,
            help="A file of settings: keys as the long options.  [default: streamgauge.toml, when there is one]",
        ),
        *(_setting_option(setting, GlobalOption) for setting in (DATA, JSON, QUIET, VERBOSE, COLOR, DEBUG)),
        GlobalOption(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version and exit.",
        ),
    ]


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            is_shared = isinstance(parameter, GlobalOption) or "--help" in parameter.opts
            (shared if is_shared else own).append(record)
    for title, records in (("Options", own), ("Global options (before or after any word)", shared)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
