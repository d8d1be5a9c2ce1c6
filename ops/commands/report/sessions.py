"""``streamgauge report sessions``: which sessions have high CPU, and what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ops import console
from ops.options import Command, command_options
from ops.settings import THRESHOLD, Settings
from ops.units import duration_ms, moment_ms

if TYPE_CHECKING:
    from collections.abc import Callable


class Text(click.ParamType):
    """A word that ``read`` makes a number of."""

    def __init__(self, name: str, read: Callable[[str], int]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it.

        Raises:
            click.BadParameter: with the reason.
        """
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("sessions", cls=Command)
@click.option(
    "--last", metavar="DURATION", type=Text("duration", duration_ms),
    help="Only sessions that started so long before the greatest timestamp known, or later: 12h.",
)  # fmt: skip
@click.option(
    "--from", "since", metavar="T", type=Text("moment", moment_ms),
    help="Only sessions that started then or later: ISO 8601 with a zone, or epoch ms.",
)  # fmt: skip
@click.option(
    "--to", "until", metavar="T", type=Text("moment", moment_ms), help="Only sessions that started before."
)  # fmt: skip
@click.option(
    "--dimension", "dimensions", metavar="D", multiple=True,
    help="What to ask for first (version, state, user, …) instead of what separates best; repeated: at the next level.",
)  # fmt: skip
@click.option("--histograms", is_flag=True, help="Five histograms, too.")
@click.option("--csv", is_flag=True, help="CSV with a header.")
@command_options(THRESHOLD)
def command(
    settings: Settings,
    last: int | None,
    since: int | None,
    until: int | None,
    dimensions: tuple[str, ...],
    histograms: bool,
    csv: bool,
) -> None:
    r"""What sessions with high CPU have in common.

    A session is high when its peak, the greatest mean of any five seconds, is over the threshold. Each line looks into
    the commonest value of the line before, by the dimension that separates high sessions best. Answered by the
    workers that own the sessions.

    \b
      streamgauge report sessions --last 12h
      streamgauge report sessions --dimension user --threshold 0.5
    """
    context = click.get_current_context()
    if last is not None and (since is not None or until is not None):
        raise click.UsageError("--last and --from or --to exclude each other", context)
    if since is not None and until is not None and since > until:
        raise click.UsageError("--from is after --to", context)
    if csv and (settings.json or histograms):
        raise click.UsageError(f"--csv and {'--json' if settings.json else '--histograms'} exclude each other", context)
    from ops.reports.session_answers import ask_sessions, known_dimensions
    from ops.reports.session_histograms import bars
    from ops.reports.session_histograms import histograms as histograms_of
    from ops.reports.session_text import sentences
    from ops.reports.sessions import Interval, drill_down

    interval, sessions = ask_sessions(settings.kafka, Interval(since, until, last), samples=histograms)
    tree = drill_down(sessions, settings[THRESHOLD], interval, known_dimensions(dimensions, sessions))
    pictures = histograms_of(sessions, tree) if histograms else []
    if settings.json:
        import json

        result = tree.json() | ({"histograms": [picture.json() for picture in pictures]} if histograms else {})
        lines = [json.dumps(result, ensure_ascii=False)]
    elif csv:
        lines = list(tree.table().csv())
    else:
        lines = list(sentences(tree))
        for picture in pictures:
            lines += ["", *bars(picture)]
    for line in lines:
        console.write(line + "\n")
    console.flush()
