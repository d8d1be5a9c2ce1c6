"""``streamgauge report STREAM …``: one command a stream, which its registry entry names."""

from __future__ import annotations

import click

from ops.options import Group


class Reports(Group):
    """A word for each stream that has a report."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The streams, the plug-ins' included."""
        del ctx
        from ops.registry import names

        return list(names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The report of the stream called ``cmd_name``; None when there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        from ops.registry import stream

        return stream(cmd_name).report


@click.group(cls=Reports)
def command() -> None:
    """The newest summaries, as people read them."""
