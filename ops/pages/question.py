"""What a reader asks about sessions in an address, and the address that asks something else.

>>> asked = Question.of([("last", "12h"), ("dimension", "user"), ("from", "")], threshold=0.3)
>>> asked.interval.last, asked.dimensions, asked.threshold
(43200000, ('user',), 0.3)
>>> asked.link(["user", "state"])
'/sessions?last=12h&dimension=user&dimension=state'

A field of a form that was left empty was not asked for. The words are those of ``report sessions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from ops.reports.sessions import Interval
from ops.settings import THRESHOLD
from ops.suggest import did_you_mean
from ops.units import duration_ms, moment_ms
from schemas.errors import UsageError
from schemas.sessions import STATES, UNKNOWN

FIELDS = ("last", "from", "to", "threshold", "version", "state")
"""What may be asked for once."""
DIMENSION = "dimension"

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A question about sessions."""

    words: Mapping[str, str]
    """As they were typed, by field; only what was asked for."""
    dimensions: tuple[str, ...]
    """Of the first levels."""
    interval: Interval
    threshold: float
    version: str | None
    """That the last three histograms are about; None: what the tree found."""
    state: str | None

    @classmethod
    def of(cls, query: Sequence[tuple[str, str]], threshold: float) -> Question:
        """Read an address.

        Args:
            query: names and values, as they were sent.
            threshold: where none is asked for.

        Raises:
            UsageError: a name or a value is wrong.
        """
        words: dict[str, str] = {}
        for name, text in query:
            if name in words:
                raise UsageError(f"{name} is given twice")
            if name in FIELDS and text.strip():
                words[name] = text
            elif name not in {*FIELDS, DIMENSION}:
                raise UsageError(f"sessions are not asked by {name!r}{did_you_mean(name, (*FIELDS, DIMENSION))}")
        since, until = _read(words, "from", moment_ms), _read(words, "to", moment_ms)
        last, high = _read(words, "last", duration_ms), _read(words, "threshold", THRESHOLD.parse)
        if last is not None and (since is not None or until is not None):
            raise UsageError("last and from or to exclude each other")
        if since is not None and until is not None and since > until:
            raise UsageError("from is after to")
        state = words.get("state")
        if state is not None and state not in {*STATES, UNKNOWN}:
            raise UsageError(f"there is no state {state!r}{did_you_mean(state, (*STATES, UNKNOWN))}")
        dimensions = tuple(text for name, text in query if name == DIMENSION and text)
        threshold = threshold if high is None else high
        return cls(words, dimensions, Interval(since, until, last), threshold, words.get("version"), state)

    def link(self, dimensions: Sequence[str]) -> str:
        """The address of the same with other ``dimensions``."""
        asked = [*self.words.items(), *((DIMENSION, dimension) for dimension in dimensions)]
        return f"/sessions?{urlencode(asked)}" if asked else "/sessions"


def _read(words: Mapping[str, str], name: str, read: Callable[[str], T]) -> T | None:
    """What ``read`` makes of a field; None where nothing was asked."""
    if name not in words:
        return None
    try:
        return read(words[name])
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    except OverflowError:
        raise UsageError(f"{name}: a number beyond all numbers") from None
