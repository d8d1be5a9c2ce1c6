"""What all pages have around them: title, links, colours for light and dark, and the headers that keep a page harmless.

>>> "<title>w · Streamgauge</title>" in page("w", Markup("<p>…</p>"), [("/", "worker")]).decode()
True

A page is one file: no script, no image, nothing that is fetched. Should a text get through unescaped all the same, the
browser is told to run nothing, to send forms nowhere else, and to be shown within no other page.
"""

from __future__ import annotations

from collections.abc import Sequence

from ops.pages.markup import Markup, element, joined

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# Colours have names with capitals: small ones behind two dashes are options of the program, and held to exist.
_STYLE = """
:root { color-scheme: light dark; --Page: #f6f7f9; --Card: #fff; --Ink: #1c2430; --Quiet: #5c6878; --Line: #dfe3e9;
  --Link: #0b5cad; --Good: #1a7f45; --Warn: #9a5b00; --Bad: #b3261e; --Bar: #9db7d5; --High: #d9663d; --Mark: #fdf1ea; }
@media (prefers-color-scheme: dark) {
  :root { --Page: #12161c; --Card: #1a2028; --Ink: #e4e9f0; --Quiet: #98a4b5; --Line: #2d3642; --Link: #7db7f5;
    --Good: #63c58b; --Warn: #e2a74e; --Bad: #f28b82; --Bar: #4d6a8c; --High: #e5805a; --Mark: #33261f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 1.25rem 3rem; max-width: 74rem; background: var(--Page); color: var(--Ink);
  font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline; padding: 1rem 0;
  border-bottom: 1px solid var(--Line); }
header b { margin-right: auto; }
h1 { font-size: 1.5rem; margin: 1.25rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2.part { font-size: 1.3rem; margin: 1.5rem 0 0; }
h3 { font-size: .95rem; margin: 1rem 0 .25rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 0 1rem; }
.pictures section { margin-bottom: 0; }
details { margin: .35rem 0; } details[open] { margin-bottom: 1.25rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
a { color: var(--Link); }
section { background: var(--Card); border: 1px solid var(--Line); border-radius: 8px; padding: 1rem 1.25rem;
  margin: 1rem 0; overflow-x: auto; }
.quiet { color: var(--Quiet); }
.lead { font-size: 1.15rem; }
.good { color: var(--Good); } .warn { color: var(--Warn); } .bad { color: var(--Bad); }
.good, .warn, .bad { font-weight: 600; }
.error { border-left: 4px solid var(--Bad); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--Line); vertical-align: top; }
th { color: var(--Quiet); font-weight: 600; font-size: .85rem; white-space: nowrap; }
td { overflow-wrap: break-word; max-width: 24rem; }
th.n, td.n { text-align: right; white-space: nowrap; }
td.n:last-child, th.n:last-child { padding-right: 0; }
tbody tr:last-child td { border-bottom: 0; }
tr.chosen td { background: var(--Mark); }
tr.chosen td:first-child { font-weight: 600; padding-left: .6rem;
  box-shadow: inset 3px 0 0 var(--High); }
.share { display: inline-block; width: 5rem; height: .55rem; margin-left: .6rem; background: var(--Line);
  border-radius: 3px; }
.share i { display: block; height: 100%; background: var(--Bar); border-radius: 3px; }
tr.chosen .share i { background: var(--High); }
@media (max-width: 46rem) { .share { display: none; } }
form { display: flex; flex-wrap: wrap; gap: .6rem .9rem; align-items: end; }
label { display: flex; flex-direction: column; font-size: .85rem; color: var(--Quiet); }
input, select, button { font: inherit; color: var(--Ink); background: var(--Page); border: 1px solid var(--Line);
  border-radius: 6px; padding: .35rem .6rem; max-width: 16rem; }
input.short { width: 6rem; }
button { background: var(--Link); border-color: var(--Link); color: var(--Card); font-weight: 600; cursor: pointer; }
summary { cursor: pointer; color: var(--Link); }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0; }
dt { font-size: .85rem; color: var(--Quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
svg { display: block; width: 100%; max-width: 46rem; height: auto; font: 15px system-ui, sans-serif; }
svg text { fill: var(--Ink); } svg .quiet { fill: var(--Quiet); }
svg .bar { fill: var(--Bar); } svg .bar.over { fill: var(--High); }
svg line { stroke: var(--Line); } svg .threshold { stroke: var(--High); stroke-dasharray: 3 3; }
"""


def page(title: str, body: Markup, links: Sequence[tuple[str, str]]) -> bytes:
    """A whole page.

    Args:
        title: what it shows.
        body: below the head.
        links: address and text of each.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · Streamgauge"),
        element("style", Markup(_STYLE)),
    )
    top = element("header", element("b", "Streamgauge"), *(element("a", text, href=href) for href, text in links))
    whole = element("html", head, element("body", top, element("main", body)), lang="en")
    return f"<!doctype html>\n{whole}\n".encode(errors="replace")


def links_of(streams: Sequence[str]) -> list[tuple[str, str]]:
    """Where the pages of a worker that serves ``streams`` lead."""
    sessions = [("/sessions", "sessions")] if "sessions" in streams else []
    return [("/", "worker"), *sessions, ("/status", "status"), ("/metrics", "metrics")]


def error_line(reason: str) -> Markup:
    """What could not be done, in one line."""
    return element("section", element("p", element("span", reason, class_="bad")), class_="error", role="alert")


def number(count: float | None) -> str:
    """A count for people; unknown is a dash.

    >>> number(1234567), number(0.25), number(None)
    ('1,234,567', '0.25', '–')
    """
    return "–" if count is None else f"{count:,}"


def choice(name: str, options: Sequence[tuple[str, str]], chosen: str) -> Markup:
    """A list to choose from: value and text of each option."""
    return element(
        "select",
        *(element("option", text, value=value, selected=value == chosen) for value, text in options),
        name=name,
    )


def rows(header: Sequence[tuple[str, str]], body: Sequence[Markup]) -> Markup:
    """A table: text and class of each column's head, and its rows."""
    head = element("tr", *(element("th", text, class_=kind or None, scope="col") for text, kind in header))
    return element("table", element("thead", head), element("tbody", joined(body)))
