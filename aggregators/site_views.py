"""Questions about one site that its summary does not answer: as of a moment, by period, who was online when.

An answer reads the site's whole history; an update never does. Where a retention has folded the older part, only
what is at or after the site's ``floor`` can be asked for: totals stay, details do not.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aggregators.aggregator import Unanswerable
from aggregators.pile import NO_FLOOR, Longs, Numbers
from aggregators.site import Site

PERIODS = {"hour": 3600, "day": 86400}
"""Seconds."""
_LEAST = -(2**63)


def state(site: Site, site_id: str) -> dict[str, Any]:
    """All that a person wants to know of a site at once."""
    operators, totals = list(site.operators.texts()), site.totals
    online: set[int] = set()
    for leaf in site.timeline.leaves():
        online = leaf.online_at_end()
    return {
        "site_id": site_id,
        "messages": totals.chats,
        "emails": totals.emails,
        "operators": totals.operators,
        "visitors": totals.visitors,
        "events": totals.events,
        "first": totals.first,
        "last": totals.newest,
        "online": sorted(operators[number] for number in online),
        "folded_before": None if totals.floor == NO_FLOOR else totals.floor,
    }


def at(site: Site, site_id: str, arguments: Mapping[str, str]) -> dict[str, Any] | Unanswerable | None:
    """The summary as of the moment ``ts`` (inclusive); None when the site had no event by then."""
    moment, totals = _integer(arguments, "ts"), site.totals
    if moment < totals.first:
        return None
    if moment < totals.floor:
        return Unanswerable(f"what was before {totals.floor} is folded (--retention)")
    message_times, visitors, status_times, operators = site.everything()
    later = np.sort(message_times[message_times > moment])
    chats = int(_met(site, later).sum())
    return {
        "site_id": site_id,
        "messages": totals.chats - chats,
        "emails": totals.emails - (len(later) - chats),
        "operators": _distinct(operators[status_times <= moment], site.operators.folded()),
        "visitors": _distinct(visitors[message_times <= moment], site.visitors.folded()),
    }


def by(site: Site, arguments: Mapping[str, str]) -> list[dict[str, int]]:
    """The counts of each ``period`` in which something happened, in order of time.

    ``operators`` are those that signed on or off within the period, ``visitors`` those that wrote. Periods that
    began before the floor are left out: a part of them is folded.
    """
    period = PERIODS.get(arguments.get("period", ""))
    if period is None:
        raise ValueError(f"period must be one of {', '.join(PERIODS)}, not {arguments.get('period')!r}")
    message_times, visitors, status_times, operators = site.everything()
    order = np.argsort(message_times)
    message_times, visitors = message_times[order], visitors[order]
    order = np.argsort(status_times)
    status_times, operators = status_times[order], operators[order]
    floor = site.totals.floor
    from_period = -(-floor // period) if floor != NO_FLOOR else NO_FLOOR
    # Periods by number: the start of the first may lie outside of 64 bits, and is told as the least there is.
    message_periods, status_periods = message_times // period, status_times // period
    met = _met(site, message_times)
    counts: dict[int, dict[str, int]] = {}
    for name, (numbers, sizes) in (
        ("messages", _sizes(message_periods[met])),
        ("emails", _sizes(message_periods[~met])),
        ("operators", _distinct_each(status_periods, operators)),
        ("visitors", _distinct_each(message_periods, visitors)),
    ):
        for number, size in zip(numbers.tolist(), sizes.tolist(), strict=True):
            if number >= from_period:
                start = max(number * period, _LEAST)
                empty = {"period_start": start, "messages": 0, "emails": 0, "operators": 0, "visitors": 0}
                counts.setdefault(number, empty)[name] = size
    return [counts[number] for number in sorted(counts)]


def operators(site: Site) -> list[dict[str, Any]]:
    """When each operator was online: ``[from, to)``, ``to`` None while it lasts; by operator, then by time.

    An interval that began before the floor begins there.
    """
    names, floor = list(site.operators.texts()), site.totals.floor
    since: dict[int, int] = {}
    intervals: list[tuple[int, int, int | None]] = []
    for number, leaf in enumerate(site.timeline.leaves()):
        if number == 0:
            since = dict.fromkeys(leaf.online, floor)
        for time, operator, online, _ in leaf.statuses():
            if online:
                since.setdefault(operator, max(time, floor))
            elif operator in since:
                began = since.pop(operator)
                if began < time:
                    intervals.append((operator, began, time))
    intervals += [(operator, began, None) for operator, began in since.items()]
    named = sorted((names[operator], began, ended) for operator, began, ended in intervals)
    return [{"operator": name, "from": began, "to": ended} for name, began, ended in named]


def _met(site: Site, times: Longs) -> npt.NDArray[np.bool_]:
    """Whether a message of each time met an operator; ``times`` are in order, for which a search is quick."""
    steps = array("q")
    counts: list[int] = []
    for leaf in site.timeline.leaves():
        counts += leaf.counts[1:] if counts else leaf.counts
        steps += leaf.times
    return np.array(counts)[np.searchsorted(np.array(steps, np.int64), times, "right")] > 0


def _distinct(numbers: Numbers, folded: set[int]) -> int:
    return len(folded.union(np.unique(numbers).tolist()))


def _sizes(periods: Longs) -> tuple[Longs, Longs]:
    """Each of the ``periods``, which are in order, and how often it is there."""
    starts = np.flatnonzero(_changes(periods))
    return periods[starts], np.diff(starts, append=len(periods))


def _distinct_each(periods: Longs, numbers: Numbers) -> tuple[Longs, Longs]:
    """Each of the ``periods``, which are in order, and how many distinct numbers it has."""
    new = _changes(periods)
    places = np.cumsum(new) - 1
    pairs = np.sort(places << 32 | numbers)  # one word each: to sort two columns takes six times as long
    return periods[new], np.bincount((pairs >> 32)[_changes(pairs)])


def _changes(values: Longs) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before it; the first does."""
    return np.concatenate((np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]))


def _integer(arguments: Mapping[str, str], name: str) -> int:
    value = arguments.get(name, "")
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{name} must be a whole number of seconds, not {value!r}") from None
