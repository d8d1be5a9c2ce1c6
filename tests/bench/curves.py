"""A curve as SVG: what something costs, against what it may depend on.

>>> picture = curve("CPU µs a record against keys", ["10 k", "100 k"], {"new": [3.0, 4.5], "known": [3.5, 5.0]})
>>> picture.count("<polyline"), picture.count("<circle"), "4.50" in picture
(2, 4, True)

The places along it are evenly spaced, whatever stands there, so steps of ten look alike. It stands on a white card,
so that it can be read on a dark page, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.figures import text_of
from tests.bench.peers.picture import FLOOR, FONT, NOTE, OURS, TEXT, THEIRS

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 380, 240, 46, 80, 200
COLORS = (OURS, THEIRS)


def curve(title: str, places: Sequence[str], lines: Mapping[str, Sequence[float]]) -> str:
    """The picture.

    Args:
        title: what the costs are, with their unit, and against what.
        places: labels along the picture.
        lines: costs at each place, by what they are costs of; two lines at the most.
    """
    step = (WIDTH - 2 * LEFT) / max(1, len(places) - 1)
    xs = [LEFT + step * place for place in range(len(places))]
    most = max((cost for costs in lines.values() for cost in costs), default=1.0) or 1.0
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" {FONT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white" rx="6"/>',
        f'<text x="16" y="26" font-weight="600" fill="{TEXT}">{escape(title)}</text>',
        f'<line x1="{LEFT}" y1="{BOTTOM}" x2="{WIDTH - LEFT}" y2="{BOTTOM}" stroke="{FLOOR}"/>',
    ]
    found += [
        f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle" fill="{NOTE}">{escape(place)}</text>'
        for x, place in zip(xs, places, strict=True)
    ]
    for number, ((name, costs), color) in enumerate(zip(lines.items(), COLORS, strict=False)):
        ys = [BOTTOM - (BOTTOM - TOP) * cost / most for cost in costs]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        found += [
            f'<text x="{LEFT + 120 * number}" y="48" font-size="12" fill="{color}">{escape(name)}</text>',
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>',
        ]
        for x, y, cost, *others in zip(xs, ys, costs, *lines.values(), strict=True):
            beside = -9 if cost == max(others) else 18
            label = f'<text x="{x:.1f}" y="{y + beside:.1f}" text-anchor="middle" fill="{color}">{text_of(cost)}</text>'
            found += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>', label]
    return "\n".join([*found, "</svg>", ""])
