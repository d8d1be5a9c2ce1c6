"""A histogram as SVG: a strip of bars for each series, one below the other, over one axis and to one scale.

>>> [(bar.at, bar.x, bar.y, bar.height) for bar in bars([0] * 28 + [1, 2], highest=2, top=10, height=40)]
[(28, 638.0, 30.0, 20.0), (29, 654.0, 10.0, 40.0)]

Strips, because twenty series in twenty colours over each other are read by nobody, and not at all by who sees no
difference between two of the colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ops.pages.frame import number
from ops.pages.markup import Markup, clipped, element
from ops.reports.session_histograms import BINS, SERIES, Histogram
from schemas.sessions import UNKNOWN

BIN = 16
"""Width of a bin; other lengths are in the same unit, a pixel where the page is wide enough."""
LEFT = 190
"""Where 0 is: the names stand before it."""
RIGHT = LEFT + BINS * BIN
WIDTH = RIGHT + 80
GAP = 10
AXIS = 44
ALONE, ONE_OF_FEW, ONE_OF_MANY = 110, 44, 22
"""Heights of a strip."""
FEW = 6
NAME = 22
LEAST = 1.5
"""The lowest bar: a single session among a million is seen."""


class Bar(NamedTuple):
    """A bin that is not empty."""

    at: int
    value: int
    x: float
    y: float
    height: float


def bars(bins: Sequence[int], highest: int, top: float, height: float) -> Iterator[Bar]:
    """The bars of a series.

    Args:
        bins: its counts.
        highest: the count that takes the whole height.
        top: of its strip.
        height: of its strip.
    """
    for at, count in enumerate(bins):
        if count:
            its = max(LEAST, round(height * count / highest, 1))
            yield Bar(at, count, float(LEFT + at * BIN), round(top + height - its, 1), its)


def picture(histogram: Histogram, threshold: float | None) -> Markup:
    """The SVG.

    Args:
        histogram: at least one series of it is not empty.
        threshold: is marked; what is over it stands out.
    """
    shown = histogram.series[:SERIES]
    highest = max(max(bins) for _, bins in shown)
    strip = ALONE if len(shown) == 1 else ONE_OF_FEW if len(shown) <= FEW else ONE_OF_MANY
    bottom = len(shown) * (strip + GAP)
    inside: list[Markup] = []
    for place, (name, bins) in enumerate(shown):
        inside += _strip(
            UNKNOWN if name is None else name, bins, highest, GAP + place * (strip + GAP), strip, threshold
        )
    inside += _axis(bottom, highest)
    if threshold is not None:
        x = round(LEFT + threshold * BINS * BIN, 1)
        inside.append(element("line", x1=x, x2=x, y1=GAP / 2, y2=bottom, class_="threshold"))
    return element(
        "svg", *inside, viewBox=f"0 0 {WIDTH} {bottom + AXIS}", role="img", aria_label=clipped(histogram.title, 200)
    )


def _strip(
    name: str, bins: Sequence[int], highest: int, top: float, height: float, threshold: float | None
) -> Iterator[Markup]:
    base = top + height
    yield element("line", x1=LEFT, x2=RIGHT, y1=base, y2=base)
    for bar in bars(bins, highest, top, height):
        over = threshold is not None and bar.at / BINS >= threshold
        yield element(
            "rect",
            element("title", f"{bar.at / BINS:.0%} to {(bar.at + 1) / BINS:.0%}: {bar.value:,}"),
            x=bar.x + 1, y=bar.y, width=BIN - 2, height=bar.height, class_="bar over" if over else "bar",
        )  # fmt: skip
    whole = element("title", clipped(name, 200))
    yield element("text", whole, clipped(name, NAME), x=LEFT - 10, y=base - 3, text_anchor="end")
    yield element("text", number(sum(bins)), x=WIDTH - 4, y=base - 3, text_anchor="end", class_="quiet")


def _axis(bottom: float, highest: int) -> Iterator[Markup]:
    for tenth in range(0, 11, 2):
        x = LEFT + tenth * BINS * BIN / 10
        yield element("line", x1=x, x2=x, y1=bottom, y2=bottom + 5)
        yield element("text", f"{tenth * 10} %", x=x, y=bottom + 19, text_anchor="middle", class_="quiet")
    yield element("text", "CPU", x=LEFT - 34, y=bottom + 19, text_anchor="end", class_="quiet")
    yield element("text", f"highest bar {highest:,}", x=WIDTH - 4, y=bottom + 38, text_anchor="end", class_="quiet")
