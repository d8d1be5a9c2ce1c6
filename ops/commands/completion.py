"""``streamgauge completion bash``: the script that makes a shell complete commands, streams and options."""

from __future__ import annotations

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import Settings


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@command_options
def command(_settings: Settings, shell: str) -> None:
    r"""The script that makes a shell complete our words.

    Load it now, or from the shell's start-up file:

    \b
      bash  eval "$(streamgauge completion bash)"
      zsh   eval "$(streamgauge completion zsh)"
      fish  streamgauge completion fish | source
    """
    from click.shell_completion import get_completion_class

    from ops.cli import program

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    console.write(kind(program, {}, "streamgauge", "_STREAMGAUGE_COMPLETE").source())
