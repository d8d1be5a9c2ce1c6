"""What may be asked of a session beyond its summary: its state for people, and what the report is made of.

>>> from aggregators.session_head import Head, Peak
>>> from schemas.sessions import further_of
>>> head = Head(start=7_000, end=9_000, touched=9_000, threshold=0.3, peak=Peak(0.5, 1, 2))
>>> head.known["os"] = (7_000, "linux")
>>> answer = report(head, further_of(("os",)), 9_000, {})
>>> answer["dimensions"], answer["peak"]
({'version': None, 'state': 'login', 'user': None, 'os': 'linux'}, 0.5)

The report is made of the workers' state and not of the summary topic: a published summary has the contract's fields
and no more, which are neither a session's further dimensions nor its samples by state and bin. So it needs the workers,
as the questions to sites do that no summary answers; and it knows nothing that is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aggregators.session_head import NAMES, Head, summary
from aggregators.session_window import WINDOW_MS
from schemas.sessions import Further

_LEAST = -(2**63)
"""What JSON can tell: the first window of all begins before it."""


def state(name: str, head: Head, clock: int) -> dict[str, Any]:
    """All that is known of a session.

    Args:
        name: its id.
        head: its totals.
        clock: the partition's event time, ms.
    """
    return {
        **summary(name, head),
        "dimensions": {dimension: text for dimension, (_, text) in head.known.items()},
        "peak_window": None if head.peak is None else max(head.peak.window * WINDOW_MS, _LEAST),
        "peak_state": _peak_state(head),
        "last_touched": head.touched,
        "folded_before": max(head.floor * WINDOW_MS, head.start),
        "ended": head.floor > head.end // WINDOW_MS,
        "event_time": clock,
    }


def report(head: Head, further: Sequence[Further], clock: int, arguments: Mapping[str, str]) -> dict[str, Any] | None:
    """What the report is made of, for a session that may be in it.

    Args:
        head: its totals.
        further: the configured dimensions.
        clock: the partition's event time, ms.
        arguments: ``from`` and ``to``: only sessions that start in ``[from, to)``; ``last``: only those that start no
            more than so many ms before ``clock``; ``samples``: with their samples by state and bin.

    Returns:
        None when it is in no such report. With ``last``, a session that is not in it but has the partition's greatest
        timestamp tells its ``end`` and no more: the greatest of all partitions decides where the interval begins.

    Raises:
        ValueError: an argument is no integer.
    """
    since, until = _number(arguments, "from"), _number(arguments, "to")
    last = _number(arguments, "last")
    if last is not None:
        since = clock - last
    if (since is not None and head.start < since) or (until is not None and head.start >= until):
        return {"end": head.end} if last is not None and head.end == clock else None
    answer: dict[str, Any] = {
        "start": head.start,
        "end": head.end,
        "peak": None if head.peak is None else head.peak.mean,
        "dimensions": {
            "version": head.of("version"),
            "state": _peak_state(head),
            "user": head.of("user"),
            **{one.dimension: head.of(one.dimension) for one in further},
        },
    }
    if "samples" in arguments:
        answer["samples"] = {NAMES[rank]: share.bins for rank, share in sorted(head.shares.items()) if share.count}
    return answer


def _peak_state(head: Head) -> str | None:
    """None where no state had begun, and where there is no sample."""
    return NAMES[head.peak.rank] if head.peak is not None and head.peak.rank else None


def _number(arguments: Mapping[str, str], name: str) -> int | None:
    text = arguments.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} must be an integer (epoch milliseconds), not {text!r}") from None
