"""The drill-down of sessions as a page: sentences, a table for each level, histograms, and what to ask next.

>>> from ops.reports.sessions import Session, drill_down
>>> fine, slow = ({"version": version, "state": "login", "user": None} for version in ("604", "<b>"))
>>> sessions = [Session(0, 9, 0.1, fine), Session(0, 9, 0.5, slow)]
>>> asked = Question.of([], threshold=0.3)
>>> text = sessions_page(asked, sessions, drill_down(sessions, 0.3), ["sessions"]).decode()
>>> "of those 100 % were running version &lt;b&gt; (50 % of all sessions were); 0 % 604 (50 %)" in text
True

The same tree and the same pictures as those of ``report sessions``. A reader may choose another dimension for a level;
the levels above stay as they are, and what is below is found anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ops.pages.frame import choice, error_line, links_of, number, page, rows
from ops.pages.markup import Markup, clipped, element, joined
from ops.pages.picture import picture
from ops.pages.question import DIMENSION, FIELDS, Question
from ops.reports.session_histograms import SERIES, Histogram, histograms
from ops.reports.session_text import percent, sentences
from ops.reports.sessions import Level, Session, Tree, Value, dimensions_of
from schemas.sessions import STATES, UNKNOWN

TITLE = "Sessions with high CPU"
VALUES = 20
"""Rows of a level that a page shows; `report sessions --json` has all."""
VERSIONS = 50
"""To choose from in the form, those of most sessions; an address may name any."""
TEXT = 120
"""Characters of a value that a page shows."""


def sessions_page(asked: Question, sessions: Sequence[Session], tree: Tree, streams: Sequence[str]) -> bytes:
    """The page.

    Args:
        asked: the question.
        sessions: those of the interval, with their samples.
        tree: what they have in common.
        streams: that the worker serves.
    """
    told = list(sentences(_shortened(tree)))
    body = [
        element("h1", TITLE),
        _form(asked.words, [_hidden(one) for one in asked.dimensions], _versions(sessions), tree.threshold),
        element("section", element("p", told[0], class_="lead"), _measure(tree)),
        *_levels(asked, tree, told[1:], dimensions_of(sessions)),
    ]
    if sessions:
        pictures = histograms(sessions, tree, asked.version, asked.state)
        body.append(element("h2", "Histograms", class_="part"))
        body.append(element("div", *(_picture(one, tree.threshold) for one in pictures), class_="pictures"))
    return page(TITLE, joined(body), links_of(streams))


def refused_page(reason: str, query: Sequence[tuple[str, str]], threshold: float, streams: Sequence[str]) -> bytes:
    """The page where there is no answer: the reason, and the form as it was filled in."""
    words = {name: text for name, text in query if name in FIELDS and text}
    # To be seen and mended: it may be a dimension that was wrong.
    dimensions = [_field(DIMENSION, "dimension", text, "version") for name, text in query if name == DIMENSION and text]
    body = [element("h1", TITLE), error_line(reason), _form(words, dimensions, [], threshold)]
    return page(TITLE, joined(body), links_of(streams))


def _form(words: Mapping[str, str], dimensions: Iterable[Markup], versions: Sequence[str], threshold: float) -> Markup:
    def field(name: str, label: str, hint: str, kind: str | None = None) -> Markup:
        return _field(name, label, words.get(name, ""), hint, kind)

    version, state = words.get("version", ""), words.get("state", "")
    offered = list(versions) if not version or version in versions else [version, *versions]
    form = element(
        "form",
        field("last", "the last", "12h", "short"),
        field("from", "or from", "2021-11-03T08:00Z"),
        field("to", "to", "2021-11-03T20:00Z"),
        field("threshold", "CPU over", f"{threshold:g}", "short"),
        element(
            "label",
            "histograms of version",
            choice("version", [("", "as found"), *((one, clipped(one, 40)) for one in offered)], version),
        ),
        element("label", "state", choice("state", [("", "as found"), *((s, s) for s in (*STATES, UNKNOWN))], state)),
        *dimensions,
        element("button", "Show"),
        action="/sessions",
    )
    return element("section", form)


def _field(name: str, label: str, value: str, hint: str, kind: str | None = None) -> Markup:
    return element("label", label, element("input", name=name, value=value, placeholder=hint, class_=kind))


def _hidden(dimension: str) -> Markup:
    return element("input", type="hidden", name=DIMENSION, value=dimension)


def _versions(sessions: Iterable[Session]) -> list[str]:
    counts = Counter(text for one in sessions if (text := one.dimensions["version"]) and len(text) <= TEXT)
    return [version for version, _ in counts.most_common(VERSIONS)]


def _measure(tree: Tree) -> Markup:
    return element(
        "p",
        f"A session is high when its peak, the greatest mean of any five seconds, is over {tree.threshold * 100:g} %. ",
        "Share of parent: of the high sessions to which the level above has led. Share of all: high ones with the "
        "value, of all sessions. Baseline: all sessions with the value, high or not, of all.",
        class_="quiet",
    )


def _levels(asked: Question, tree: Tree, told: Sequence[str], known: Sequence[str]) -> Iterator[Markup]:
    """A section for each level, with its sentence, its values and the other dimensions it could ask for."""
    taken = [level.dimension for level in tree.levels]
    for place, (level, sentence) in enumerate(zip(tree.levels, told, strict=True)):
        others = [
            element("a", clipped(dimension, TEXT), href=asked.link([*taken[:place], dimension]))
            for dimension in known
            if dimension not in taken[: place + 1]
        ]
        if place < len(asked.dimensions):
            others.append(element("a", "what separates best", href=asked.link(taken[:place])))
        yield element(
            "section",
            element("h2", f"{place + 1} · {clipped(level.dimension, TEXT)}"),
            element("p", sentence),
            _values(level),
            *([element("p", "Ask instead for: ", joined(others, " · "), class_="quiet")] if others else []),
        )


def _values(level: Level) -> Markup:
    header = [
        (clipped(level.dimension, TEXT), ""), ("sessions", "n"), ("of these high", "n"), ("share of parent", "n"),
        ("share of all", "n"), ("baseline", "n"),
    ]  # fmt: skip
    table = rows(header, [_row(value, chosen=place == 0) for place, value in enumerate(level.values[:VALUES])])
    left = len(level.values) - VALUES
    return joined([table, element("p", f"and {left:,} more values", class_="quiet")]) if left > 0 else table


def _row(value: Value, *, chosen: bool) -> Markup:
    name = element("i", UNKNOWN) if value.value is None else element("bdi", clipped(value.value, TEXT))
    shares = (value.share_of_parent, value.share_of_all, value.baseline)
    return element(
        "tr",
        element("td", name),
        element("td", number(value.sessions), class_="n"),
        element("td", number(value.high), class_="n"),
        *(element("td", _share(share), class_="n") for share in shares),
        class_="chosen" if chosen else None,
    )


def _share(share: float) -> Markup:
    """As people say it, exactly for machines, and as a bar."""
    bar = element("span", element("i", style=f"width:{share * 100:.1f}%"), class_="share")
    return joined([element("data", percent(share), value=share), bar])


def _picture(histogram: Histogram, threshold: float) -> Markup:
    title = element("h2", clipped(histogram.title, TEXT * 2))
    if not histogram.series:
        return element("section", title, element("p", "none", class_="quiet"))
    left = len(histogram.series) - SERIES
    more = [element("p", f"and {left:,} more", class_="quiet")] if left > 0 else []
    return element("section", title, picture(histogram, threshold), *more)


def _shortened(tree: Tree) -> Tree:
    """The tree with values of no more characters than a page shows: a client may send a version of a megabyte."""

    def short(text: str | None) -> str | None:
        return None if text is None else clipped(text, TEXT)

    return replace(
        tree,
        levels=tuple(
            replace(
                level,
                dimension=clipped(level.dimension, TEXT),
                chosen=short(level.chosen),
                values=tuple(replace(value, value=short(value.value)) for value in level.values),
            )
            for level in tree.levels
        ),
    )
