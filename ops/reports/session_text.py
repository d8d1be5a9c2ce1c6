r"""The drill-down of sessions as sentences, a level a line.

>>> from ops.reports.sessions import Interval, Session, drill_down
>>> slow = {"version": "700", "state": "login", "user": "Sally"}
>>> fine = {"version": "604", "state": "running", "user": "Tom"}
>>> sessions = [Session(0, 9, 0.5, slow), Session(0, 9, 0.6, {**slow, "user": None}), Session(0, 9, 0.1, fine)]
>>> print(*sentences(drill_down(sessions, 0.3, Interval(last=43_200_000))), sep="\n")
over the last 12 hours 67 % of the sessions had CPU over 30 % (2 of 3)
of those 100 % were running version 700 (67 % of all sessions were); 0 % 604 (33 %)
of those 100 % while in state login (67 % of all sessions)
of those 50 % were of user Sally (33 % of all sessions were); 50 % unknown (33 %)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ops.reports.sessions import Interval, Level, Tree, Value
from ops.reports.table import printable
from schemas.sessions import LENGTH, UNKNOWN

OTHERS = 8
"""Values that a line names beside the chosen one; `--json` has all of them."""
_SPANS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("millisecond", 1))


def sentences(tree: Tree) -> Iterator[str]:
    """The lines."""
    if not tree.sessions:
        yield f"{_interval(tree.interval)}there were no sessions"
        return
    share = percent(tree.high / tree.sessions)
    yield (
        f"{_interval(tree.interval)}{share} of the sessions had CPU over {tree.threshold * 100:g} % "
        f"({tree.high:,} of {tree.sessions:,})"
    )
    for level in tree.levels:
        yield _sentence(level)


def _sentence(level: Level) -> str:
    chosen, others = level.values[0], level.values[1:]
    said = f"of those {percent(chosen.share_of_parent)} {_predicate(level, chosen)}"
    said += "".join(
        f"{',' if number else ';'} {percent(value.share_of_parent)} {_name(level, value)} ({percent(value.baseline)})"
        for number, value in enumerate(others[:OTHERS])
    )
    return said + (f", and {len(others) - OTHERS:,} more" if len(others) > OTHERS else "")


def _predicate(level: Level, value: Value) -> str:
    all_were = f"{percent(value.baseline)} of all sessions"
    match level.dimension:
        case "version":
            return f"were running version {_name(level, value)} ({all_were} were)"
        case "state":
            return f"while in state {_name(level, value)} ({all_were})"
        case "user":
            return f"were of user {_name(level, value)} ({all_were} were)"
        case dimension if level.split:
            field = printable(dimension.removesuffix(LENGTH))
            return f"had a {field} {_name(level, value)} ({all_were} had)"
        case dimension:
            return f"had {printable(dimension)} {_name(level, value)} ({all_were} had)"


def _name(level: Level, value: Value) -> str:
    if value.value is None:
        return UNKNOWN
    if not level.split:
        return printable(value.value)
    side, number = value.value.split(" ", 1)
    if level.dimension.endswith(LENGTH):
        return f"{'longer than' if side == '>' else 'of at most'} {number} characters"
    return f"{'over' if side == '>' else 'of at most'} {number}"


def _interval(interval: Interval) -> str:
    if interval.last is not None:
        return f"over the last {_span(interval.last)} "
    since, until = (None if at is None else _moment(at) for at in (interval.since, interval.until))
    if since and until:
        return f"from {since} to {until} "
    if since:
        return f"since {since} "
    return f"before {until} " if until else ""


def _span(ms: int) -> str:
    name, length = next(((name, length) for name, length in _SPANS if ms >= length and ms % length == 0), _SPANS[-1])
    count = ms // length
    return name if count == 1 else f"{count:,} {name}s"


def _moment(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(" ", "seconds").removesuffix("+00:00") + " UTC"
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        return f"{ms} ms"


def percent(share: float) -> str:
    """A share as people say it; what is neither nothing nor all is never rounded to that."""
    percent = share * 100
    if 0 < percent < 0.5:
        return "<1 %"
    if 99.5 <= percent < 100:
        return ">99 %"
    return f"{round(percent)} %"
