"""The streams: one entry each, which names its schema, aggregator, report and line format.

A plug-in package adds one by an entry point of the group ``streamgauge.streams`` whose object is a `Stream`:

    [project.entry-points."streamgauge.streams"]
    downloads = "streamgauge_downloads:DOWNLOADS"

Names are known without importing anything of a stream, so that ``--help``, completion and "did you mean" are quick.

>>> names()[:1], stream("sites").schema.topics.summaries
(('sites',), 'sites.summaries')
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Literal

from ops.suggest import did_you_mean
from schemas.errors import StreamgaugeError, UsageError

if TYPE_CHECKING:
    import click

    from aggregators.aggregator import Aggregator, Counting
    from schemas.schema import Schema

GROUP = "streamgauge.streams"


@dataclass(frozen=True)
class Stream:
    """One stream.

    Args:
        schema: its records and summaries, and through its name its topics.
        aggregator: makes the aggregator for what a person set about counting.
        report: the command ``report STREAM …``; None for a stream that has none.
        lines: what its input files hold.
    """

    schema: Schema[Any]
    aggregator: Callable[[Counting], Aggregator[Any]]
    report: click.Command | None
    lines: Literal["jsonl", "csv"] = "jsonl"

    @property
    def name(self) -> str:
        """The word on the command line."""
        return self.schema.name


def _sites() -> Stream:
    from ops.commands.report.sites import command
    from schemas.sites import SITES

    def count(counting: Counting) -> Aggregator[Any]:
        from aggregators.sites import Sites  # only who counts pays for numpy

        return Sites(counting)

    return Stream(SITES, count, command)


def _sessions() -> Stream:
    from ops.commands.report.sessions import command
    from schemas.sessions import SESSIONS

    def count(counting: Counting) -> Aggregator[Any]:
        from aggregators.sessions import Sessions

        return Sessions(counting)

    return Stream(SESSIONS, count, command)


def _items() -> Stream:
    from ops.commands.report.items import command
    from schemas.items import ITEMS

    def count(counting: Counting) -> Aggregator[Any]:
        from aggregators.items import Items
        from aggregators.items_sketch import SketchedItems

        return SketchedItems() if counting.sketch else Items()

    return Stream(ITEMS, count, command)


def _renders() -> Stream:
    from ops.commands.report.renders import command
    from schemas.renders import RENDERS

    def count(counting: Counting) -> Aggregator[Any]:
        from aggregators.renders import Renders

        return Renders(counting)

    return Stream(RENDERS, count, command, lines="csv")


def _products() -> Stream:
    from ops.commands.report.products import command
    from schemas.products import PRODUCTS

    def count(counting: Counting) -> Aggregator[Any]:
        from aggregators.products import Products

        del counting
        return Products()

    return Stream(PRODUCTS, count, command, lines="csv")


_BUILT_IN: dict[str, Callable[[], Stream]] = {
    "sites": _sites,
    "sessions": _sessions,
    "items": _items,
    "renders": _renders,
    "products": _products,
}


def names() -> tuple[str, ...]:
    """The names of all streams: the built-in ones, then the plug-ins'."""
    return (*_BUILT_IN, *_plug_ins())


@cache
def stream(name: str) -> Stream:
    """The stream called ``name``.

    Raises:
        UsageError: there is none.
        StreamgaugeError: its plug-in cannot be loaded.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    entry = _plug_ins().get(name)
    if entry is None:
        raise UsageError(f"no such stream {name!r}{did_you_mean(name, names())}")
    origin = f"the plug-in {entry.value} of {entry.dist.name if entry.dist else 'an unknown package'}"
    try:
        loaded = entry.load()
    except Exception as error:
        raise StreamgaugeError(f"{origin} cannot be loaded: {error}; repair or uninstall it") from error
    if not isinstance(loaded, Stream) or loaded.name != name:
        raise StreamgaugeError(f"{origin} is no ops.registry.Stream called {name!r}; repair or uninstall it")
    return loaded


def streams(chosen: Iterable[str] = ()) -> dict[str, Stream]:
    """The ``chosen`` streams by name, each once; all when none is chosen."""
    return {name: stream(name) for name in (dict.fromkeys(chosen) or names())}


@cache
def _plug_ins() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _BUILT_IN}
