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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the report.

        Raises:
            click.UsageError: there is no such stream, or it has no report, as a plug-in's may have none.
        """
        word = args[0]
        if not ctx.resilient_parsing and word in self.list_commands(ctx) and self.get_command(ctx, word) is None:
            ctx.fail(f"{word} has no report; its summaries are shown by: streamgauge tail {word}")
        return super().resolve_command(ctx, args)


@click.group(cls=Reports)
def command() -> None:
    """The newest summaries, as people read them."""
