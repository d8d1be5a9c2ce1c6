r"""The five histograms beside the drill-down of sessions, over [0, 1] in 30 bins.

>>> from ops.reports.sessions import Session, drill_down
>>> slow = {"version": "700", "state": "login", "user": "Sally"}
>>> sessions = [Session(0, 9, peak, slow, {"login": [1] * 30}) for peak in (0.5, 0.52, 1.0)]
>>> pictures = histograms(sessions, drill_down(sessions, threshold=0.3))
>>> [picture.title for picture in pictures][3:]
['all other versions: session peaks by state', 'version 700, state login: samples by user']
>>> print(*bars(pictures[0]), sep="\n")
session peaks
all sessions  ···············█·············▄  3
              0              ½             1

Version and state are those that the tree found, unless the reader names others; where no session is high, those that
most sessions have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ops.reports.sessions import Session, Tree
from ops.reports.table import printable
from schemas.sessions import UNKNOWN

BINS = 30
SERIES = 20
"""A picture for people shows so many series at the most; JSON has all."""
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Histogram:
    """A picture: series of counts in 30 bins of [0, 1]."""

    title: str
    series: tuple[tuple[str | None, list[int]], ...]
    """The largest first; None is the value of those that never reported one."""

    def json(self) -> dict[str, Any]:
        """The picture as machines read it."""
        return {"title": self.title, "series": [{"value": name, "bins": bins} for name, bins in self.series]}


def histograms(
    sessions: Sequence[Session], tree: Tree, version: str | None = None, state: str | None = None
) -> list[Histogram]:
    """The five.

    Args:
        sessions: those of the report, with their samples.
        tree: what it found.
        version: that the last three are about; None: what it found.
        state: that the last one is about; None: what it found.
    """
    version = version or _found(sessions, tree, "version")
    with_version = [one for one in sessions if one.dimensions["version"] == version]
    others = [one for one in sessions if one.dimensions["version"] != version]
    state = state or _found(with_version, tree, "state")
    its, this = f"version {_name(version)}", f"version {_name(version)}, state {_name(state)}"
    return [
        Histogram("session peaks", tuple(_peaks(sessions, lambda _: "all sessions"))),
        Histogram("session peaks by version", tuple(_peaks(sessions, lambda one: one.dimensions["version"]))),
        Histogram(f"{its}: session peaks by state", tuple(_peaks(with_version, lambda one: one.dimensions["state"]))),
        Histogram(
            "all other versions: session peaks by state", tuple(_peaks(others, lambda one: one.dimensions["state"]))
        ),
        Histogram(f"{this}: samples by user", tuple(_samples(with_version, state or UNKNOWN))),
    ]


def bars(picture: Histogram) -> Iterator[str]:
    """A picture for a terminal: a line a series, a bin a character, all to one scale."""
    yield picture.title
    if not picture.series:
        yield "(none)"
        return
    shown = picture.series[:SERIES]
    names = [_name(name) for name, _ in shown]
    width = max(map(len, names))
    highest = max(max(bins) for _, bins in shown)
    for name, (_, bins) in zip(names, shown, strict=True):
        line = "".join(_BARS[-(-count * len(_BARS) // highest) - 1] if count else "·" for count in bins)
        yield f"{name:{width}}  {line}  {sum(bins):,}"
    yield f"{'':{width}}  0{'½':^{BINS - 2}}1"
    if len(picture.series) > SERIES:
        yield f"and {len(picture.series) - SERIES:,} more"


def _found(sessions: Iterable[Session], tree: Tree, dimension: str) -> str | None:
    for level in tree.levels:
        if level.dimension == dimension:
            return level.chosen
    known = Counter(text for one in sessions if (text := one.dimensions[dimension]) is not None)
    return min(known, key=lambda text: (-known[text], text), default=None)


def _peaks(sessions: Iterable[Session], name_of: Callable[[Session], str | None]) -> list[tuple[str | None, list[int]]]:
    series: dict[str | None, list[int]] = {}
    for one in sessions:
        if one.peak is not None:
            series.setdefault(name_of(one), [0] * BINS)[min(int(one.peak * BINS), BINS - 1)] += 1
    return _sorted(series)


def _samples(sessions: Iterable[Session], state: str) -> list[tuple[str | None, list[int]]]:
    series: dict[str | None, list[int]] = {}
    for one in sessions:
        if state in one.samples:
            bins = series.setdefault(one.dimensions["user"], [0] * BINS)
            for at, count in enumerate(one.samples[state]):
                bins[at] += count
    return _sorted(series)


def _sorted(series: dict[str | None, list[int]]) -> list[tuple[str | None, list[int]]]:
    return sorted(series.items(), key=lambda one: (-sum(one[1]), one[0] is None, one[0] or ""))


def _name(value: str | None) -> str:
    return UNKNOWN if value is None else printable(value)
