"""`report sessions`: which sessions have high CPU, and what they have in common, drilled down level by level.

>>> slow = {"version": "700", "state": "login", "user": None}
>>> fine = {"version": "604", "state": "login", "user": None}
>>> sessions = [Session(0, 9, 0.5, slow), Session(0, 9, 0.6, slow), Session(0, 9, 0.1, fine)]
>>> tree = drill_down(sessions, threshold=0.3)
>>> tree.high, [(level.dimension, level.chosen) for level in tree.levels]
(2, [('version', '700'), ('state', 'login'), ('user', None)])

The measure that picks a level's dimension is **information gain**: by how many bits the dimension's values tell, on the
average over the parent's sessions, whether a session is high. It weighs by sessions, so a value that few have does not
win by being pure; and it needs no parameter that somebody would have to defend. Its known weakness is a dimension with
nearly as many values as sessions, which tells everything and explains nothing. Such a dimension is asked for by a
number: one whose values all are numbers is split in two at the point with the greatest gain, and a configured
``file:length`` is the length of a text ("file longer than 42 characters").

Each level looks into the value of the one before that has the most high sessions. It goes on as long as there are
dimensions, also where they tell nothing more: that all of the high ones were at login is worth knowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, isfinite, log2
from typing import Any

from ops.reports.table import Column, Table

ALWAYS = ("version", "state", "user")
"""The dimensions of every session, in the order in which the first wins a tie."""
SAME = 1e-9
"""Gains (bits) that differ by less are equal: their last digits are the order of additions."""
COLUMNS = ("sessions", "share_of_parent", "share_of_all", "baseline")


@dataclass(frozen=True)
class Session:
    """What a report knows of a session, as the view ``report`` of its aggregator says it."""

    start: int
    end: int
    peak: float | None
    dimensions: Mapping[str, str | None]
    samples: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    """By state and bin; only where histograms were asked for."""


@dataclass(frozen=True)
class Value:
    """A value of a level's dimension."""

    value: str | None
    """None: never reported. Of a dimension that is split: ``> 42`` or ``<= 42``."""
    sessions: int
    """Those of the parent that have it."""
    high: int
    """The high ones of them."""
    share_of_parent: float
    """The high ones that have it ÷ the parent's high ones."""
    share_of_all: float
    """The high ones that have it ÷ all sessions."""
    baseline: float
    """All sessions that have it, whatever the parent, ÷ all sessions."""


@dataclass(frozen=True)
class Level:
    """A level of the tree."""

    dimension: str
    chosen: str | None
    values: tuple[Value, ...]
    """The one with the most high sessions first."""
    split: bool
    """Whether the values are the two sides of a number."""


@dataclass(frozen=True)
class Interval:
    """Which sessions a report is about: those that start in ``[since, until)``, epoch ms; None: no limit."""

    since: int | None = None
    until: int | None = None
    last: int | None = None
    """How many ms it reaches back from the greatest timestamp known, where it was given so."""

    def until_now(self, greatest: int | None) -> Interval:
        """Where it begins, now that the ``greatest`` timestamp is known."""
        return self if self.last is None or greatest is None else replace(self, since=greatest - self.last)

    def holds(self, start: int) -> bool:
        """Whether a session that starts then is in it."""
        return (self.since is None or start >= self.since) and (self.until is None or start < self.until)


@dataclass(frozen=True)
class Tree:
    """The report."""

    interval: Interval
    threshold: float
    sessions: int
    high: int
    levels: tuple[Level, ...]

    @property
    def share(self) -> float | None:
        """Of the high ones among all; None where there are none at all."""
        return self.high / self.sessions if self.sessions else None

    def json(self) -> dict[str, Any]:
        """The tree as machines read it."""
        return {
            "from": self.interval.since,
            "to": self.interval.until,
            "threshold": self.threshold,
            "sessions": self.sessions,
            "high": self.high,
            "share": self.share,
            "levels": [
                {
                    "dimension": level.dimension,
                    "chosen": level.chosen,
                    "values": [
                        {"value": value.value, **{name: getattr(value, name) for name in COLUMNS}}
                        for value in level.values
                    ],
                }
                for level in self.levels
            ],
        }

    def table(self) -> Table:
        """The tree as rows: a row for each value of each level."""
        columns = ("level", "dimension", "value", "chosen", *COLUMNS)
        rows = [
            (
                number,
                level.dimension,
                value.value,
                int(value.value == level.chosen),
                *(getattr(value, name) for name in COLUMNS),
            )
            for number, level in enumerate(self.levels, 1)
            for value in level.values
        ]
        return Table(tuple(Column(name) for name in columns), rows)


@dataclass(frozen=True)
class Question:
    """How a dimension's sessions are told apart."""

    dimension: str
    value_of: Callable[[Session], str | None]
    split: bool = False


def dimensions_of(sessions: Iterable[Session]) -> tuple[str, ...]:
    """All dimensions, in the order in which the first wins a tie; of the further ones, those that any session has."""
    sessions = list(sessions)
    further = [
        name for name in dict.fromkeys(name for one in sessions for name in one.dimensions) if name not in ALWAYS
    ]
    return (*ALWAYS, *(name for name in further if any(one.dimensions.get(name) is not None for one in sessions)))


def is_high(session: Session, threshold: float) -> bool:
    """Whether a session's peak is over ``threshold``."""
    return session.peak is not None and session.peak > threshold


def drill_down(
    sessions: Sequence[Session], threshold: float, interval: Interval | None = None, chosen: Sequence[str] = ()
) -> Tree:
    """Find what the high sessions have in common.

    Args:
        sessions: those of the interval.
        threshold: a session is high when its peak is over it.
        interval: to be said in the report; None: all sessions.
        chosen: the dimensions of the first levels; the others are found.
    """
    high = sum(is_high(one, threshold) for one in sessions)
    left = list(dimensions_of(sessions))
    levels: list[Level] = []
    parent = sessions
    for number in range(len(left) if high else 0):
        if number < len(chosen):
            question = _question(chosen[number], sessions, parent, threshold)
        else:
            question = _best(
                [_question(dimension, sessions, parent, threshold) for dimension in left], parent, threshold
            )
        level = _level(question, sessions, parent, threshold)
        levels.append(level)
        left.remove(level.dimension)
        parent = [one for one in parent if question.value_of(one) == level.chosen]
    return Tree(interval or Interval(), threshold, len(sessions), high, tuple(levels))


def _level(question: Question, sessions: Sequence[Session], parent: Sequence[Session], threshold: float) -> Level:
    here, everywhere = _counts(question, parent, threshold), _counts(question, sessions, threshold)
    all_high = sum(high for _, high in here.values())
    values = [
        Value(
            value=value,
            sessions=count,
            high=high,
            share_of_parent=high / all_high,
            share_of_all=high / len(sessions),
            baseline=everywhere[value][0] / len(sessions),
        )
        for value, (count, high) in here.items()
    ]
    values.sort(key=lambda one: (-one.high, one.value is None, one.value or ""))
    return Level(question.dimension, values[0].value, tuple(values), question.split)


def _counts(question: Question, sessions: Iterable[Session], threshold: float) -> dict[str | None, tuple[int, int]]:
    """Sessions and high sessions of each value."""
    counts: dict[str | None, tuple[int, int]] = {}
    for one in sessions:
        value = question.value_of(one)
        count, high = counts.get(value, (0, 0))
        counts[value] = (count + 1, high + is_high(one, threshold))
    return counts


def _best(questions: Sequence[Question], parent: Sequence[Session], threshold: float) -> Question:
    """The question with the greatest gain; of equal ones the first."""
    gains = [gain(_counts(question, parent, threshold).values()) for question in questions]
    greatest = max(gains)
    return next(question for question, its in zip(questions, gains, strict=True) if its >= greatest - SAME)


def gain(groups: Iterable[tuple[int, int]]) -> float:
    """The information gain, in bits, of telling sessions apart.

    Args:
        groups: sessions, and the high ones of them, of each value.

    >>> gain([(5, 5), (5, 0)]), gain([(5, 2), (5, 2)])
    (1.0, 0.0)
    """
    groups = list(groups)
    count, high = sum(count for count, _ in groups), sum(high for _, high in groups)
    rest = fsum(count * _entropy(count, high) for count, high in groups)
    return max(0.0, _entropy(count, high) - rest / count)


def _entropy(count: int, high: int) -> float:
    """Of whether a session is high, in bits."""
    shares = (high / count, (count - high) / count)
    return fsum(-share * log2(share) for share in shares if share)


# -- numbers


def _question(dimension: str, sessions: Sequence[Session], parent: Sequence[Session], threshold: float) -> Question:
    """Ask for the values of a dimension, or for two sides of a number."""

    def plain(one: Session) -> str | None:
        return one.dimensions.get(dimension)

    if dimension in ALWAYS:
        return Question(dimension, plain)
    texts = {text for one in sessions if (text := plain(one)) is not None}
    numbers = {text: number for text in texts if (number := _number(text)) is not None}
    if not numbers or len(numbers) < len(texts):
        return Question(dimension, plain)
    border = _border([(plain(one), is_high(one, threshold)) for one in parent], numbers)
    if border is None:
        return Question(dimension, plain)

    def side(one: Session) -> str | None:
        text = plain(one)
        return None if text is None else f"> {border}" if numbers[text] > numbers[border] else f"<= {border}"

    return Question(dimension, side, split=True)


def _border(parent: Iterable[tuple[str | None, bool]], numbers: Mapping[str, float]) -> str | None:
    """The number, as it was reported, after which to split with the greatest gain (the least of several).

    None when all have the same one.
    """
    counts: dict[float, tuple[int, int]] = {}
    texts: dict[float, str] = {}
    missing = (0, 0)
    for text, high in parent:
        if text is None:
            missing = (missing[0] + 1, missing[1] + high)
            continue
        number = numbers[text]
        count, high_count = counts.get(number, (0, 0))
        counts[number] = (count + 1, high_count + high)
        texts[number] = min(text, texts.get(number, text))
    ordered = sorted(counts)
    all_count, all_high = sum(count for count, _ in counts.values()), sum(high for _, high in counts.values())
    best: tuple[float, str] | None = None
    below = below_high = 0
    for number in ordered[:-1]:
        below, below_high = below + counts[number][0], below_high + counts[number][1]
        groups = [(below, below_high), (all_count - below, all_high - below_high), missing]
        its_gain = gain([group for group in groups if group[0]])
        if best is None or its_gain > best[0] + SAME:
            best = its_gain, texts[number]
    return None if best is None else best[1]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
