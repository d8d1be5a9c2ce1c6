"""Sets of ids as ranges, both ends inclusive: what of an id range is still to be read.

>>> missing = Ranges([(1, 100)])
>>> missing.remove(10, 20)
>>> missing.take(5), missing.take(1000)
((1, 5), (6, 9))
>>> missing.add(6, 9)
>>> missing.spans
[(6, 9), (21, 100)]
>>> str(missing), missing.count
('6-9, 21-100', 84)
"""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


class Ranges:
    """Some ids.

    Args:
        spans: that it holds, in any order.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.spans: list[Span] = []
        """Ascending, none touching another."""
        for first, last in spans:
            self.add(first, last)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __str__(self) -> str:
        return ", ".join(f"{first}-{last}" for first, last in self.spans)

    @property
    def count(self) -> int:
        """How many ids."""
        return sum(last - first + 1 for first, last in self.spans)

    def add(self, first: int, last: int) -> None:
        """Put ``[first, last]`` in."""
        if first > last:
            return
        apart = [span for span in self.spans if span[1] < first - 1 or span[0] > last + 1]
        touching = [span for span in self.spans if span not in apart]
        whole = (min([first, *(span[0] for span in touching)]), max([last, *(span[1] for span in touching)]))
        self.spans = sorted([*apart, whole])

    def remove(self, first: int, last: int) -> None:
        """Take ``[first, last]`` out, as far as it is in."""
        if first > last:
            return
        left: list[Span] = []
        for span in self.spans:
            if span[1] < first or span[0] > last:
                left.append(span)
                continue
            if span[0] < first:
                left.append((span[0], first - 1))
            if span[1] > last:
                left.append((last + 1, span[1]))
        self.spans = left

    def take(self, most: int, at: int = 0) -> Span:
        """Take the first ``most`` ids at or after ``at`` out, or as many as lie together; where there are none, of all.

        Raises:
            IndexError: there are none at all.
        """
        first, last = next((span for span in self.spans if span[1] >= at), self.spans[0])
        if last >= at:
            first = max(first, at)
        taken = (first, min(last, first + most - 1))
        self.remove(*taken)
        return taken

    def up_to(self, last: int) -> Ranges:
        """What lies at or below ``last``."""
        return Ranges((first, min(end, last)) for first, end in self.spans)
