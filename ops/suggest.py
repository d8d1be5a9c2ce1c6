"""A wrong word gets "did you mean".

>>> did_you_mean("tial", ["tail", "topics"])
"; did you mean 'tail'?"
>>> did_you_mean("xyz", ["tail", "topics"])
''
>>> did_you_mean("xyz", ["tail", "topics"], otherwise_list=True)
'; there is: tail, topics'
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, otherwise_list: bool = False) -> str:
    """The end of an error line: the known words nearest to ``word``; when none is near, nothing or all of them."""
    from difflib import SequenceMatcher

    words = list(known)
    likeness = {other: SequenceMatcher(None, other, word).ratio() for other in words}
    best = max(likeness.values(), default=0.0)
    near = sorted((other for other in words if likeness[other] >= max(0.5, best - 0.1)), key=lambda w: -likeness[w])[:2]
    if not near:
        return f"; there is: {', '.join(words)}" if otherwise_list else ""
    return "; did you mean " + " or ".join(repr(other) for other in near) + "?"
