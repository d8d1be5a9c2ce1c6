"""Bars as SVG: one for each engine, as long as its rate.

>>> picture = bars("Events", [Bar("ours", 400.0, ours=True), Bar("theirs", 20.0)])
>>> picture.count("<rect"), "400" in picture
(3, True)

It stands on a white card, so that it can be read on a dark page, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LABELS, VALUES, HEAD, ROW, BAR = 760, 120, 190, 46, 30, 18
OURS, THEIRS, FLOOR = "#1f6feb", "#8c959f", "#d0d7de"
TEXT, NOTE = "#24292f", "#57606a"
FONT = 'font-family="system-ui, sans-serif" font-size="13"'


class Bar(NamedTuple):
    """One engine's rate.

    Args:
        label: its name.
        value: events per CPU-second.
        note: what stands beside the number.
        ours: whether it is what the picture is about.
        floor: whether it is no engine, but what one is measured against.
    """

    label: str
    value: float
    note: str = ""
    ours: bool = False
    floor: bool = False


def bars(title: str, found: Sequence[Bar]) -> str:
    """The picture.

    Args:
        title: what the bars tell, with its unit.
        found: the bars, from the top.
    """
    height = HEAD + ROW * len(found) + 8
    longest = max((bar.value for bar in found), default=1.0) or 1.0
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" {FONT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white" rx="6"/>',
        f'<text x="16" y="27" font-size="15" font-weight="600" fill="{TEXT}">{escape(title)}</text>',
    ]
    for place, bar in enumerate(found):
        top = HEAD + ROW * place
        long = max(1.0, (WIDTH - LABELS - VALUES) * bar.value / longest)
        color = OURS if bar.ours else FLOOR if bar.floor else THEIRS
        middle = top + BAR / 2 + 5
        text = f"{bar.value:,.0f}{f' · {bar.note}' if bar.note else ''}"
        label = escape(bar.label)
        weight = ' font-weight="600"' if bar.ours else ""
        lines += [
            f'<text x="{LABELS - 10}" y="{middle:g}" text-anchor="end" fill="{TEXT}"{weight}>{label}</text>',
            f'<rect x="{LABELS}" y="{top}" width="{long:.1f}" height="{BAR}" rx="3" fill="{color}"/>',
            f'<text x="{LABELS + long + 8:.1f}" y="{middle:g}" fill="{NOTE}">{escape(text)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
