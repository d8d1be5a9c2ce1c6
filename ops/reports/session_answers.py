"""What the workers that own the sessions say of them, for a report, in little memory.

    interval, sessions = ask_sessions(kafka, Interval(last=43_200_000), samples=True)

A million sessions with their samples are 1.5 GB. As JSON made them they would be three: of a text that many of them
have there is one, and samples lie in arrays.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from ops.ask import ask_views
from ops.kafka import connect
from ops.reports.sessions import Interval, Session, dimensions_of
from ops.suggest import did_you_mean
from schemas.errors import StreamgaugeError, UsageError
from schemas.sessions import SESSIONS


def ask_sessions(
    kafka: Mapping[str, str], interval: Interval, *, samples: bool, most: int | None = None
) -> tuple[Interval, list[Session]]:
    """The interval with its beginning, and the sessions that start in it.

    Args:
        kafka: client properties.
        interval: which sessions are asked for.
        samples: whether they come with their samples, for histograms.
        most: how many it may be; None: any number.

    Raises:
        StreamgaugeError: a partition has no owner that answers, or it is more sessions than ``most``.
    """
    limits = {"from": interval.since, "to": interval.until, "last": interval.last, "samples": 1 if samples else None}
    arguments = {name: str(value) for name, value in limits.items() if value is not None}
    greatest: int | None = None
    found: list[Session] = []
    texts: dict[str | None, str | None] = {}
    for _, answer in ask_views(kafka, connect(kafka), SESSIONS, "report", arguments):
        greatest = answer["end"] if greatest is None else max(greatest, answer["end"])
        # Of a partition whose newest session is not in the report, its end.
        if "start" not in answer:
            continue
        if len(found) == most:
            raise StreamgaugeError(f"more than {most:,} sessions started in the interval; ask for a shorter one")
        dimensions = {name: texts.setdefault(text, text) for name, text in answer["dimensions"].items()}
        bins = {
            state: array("I" if max(counts) < 1 << 32 else "Q", counts)
            for state, counts in answer.get("samples", {}).items()
        }
        found.append(Session(answer["start"], answer["end"], answer["peak"], dimensions, bins))
    interval = interval.until_now(greatest)
    # Of a partition whose time is behind the others', sessions are named that are not in the report.
    return interval, [session for session in found if interval.holds(session.start)]


def known_dimensions(dimensions: Sequence[str], sessions: Sequence[Session]) -> list[str]:
    """The dimensions asked for, each once.

    Raises:
        UsageError: no session has one of them.
    """
    known = dimensions_of(sessions)
    for dimension in dimensions if sessions else ():
        if dimension not in known:
            raise UsageError(
                f"sessions have no dimension {dimension!r}{did_you_mean(dimension, known, otherwise_list=True)}"
            )
    return list(dict.fromkeys(dimensions))
