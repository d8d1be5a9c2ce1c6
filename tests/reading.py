"""A page as a reader sees it, for tests: its texts, its tables, its links, its pictures.

>>> seen = Seen("<h2>1 · version</h2><table><tr><td>700</td><td><data value='0.8'>80 %</data></td></tr></table>")
>>> seen.titles, seen.tables
(['1 · version'], [[['700', '80 %']]])
>>> seen.values
[0.8]
"""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit


class Seen(HTMLParser):
    """A page that was read.

    Args:
        html: the page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.values: list[float] = []
        """Of all ``data`` elements."""
        self.links: list[tuple[str, str]] = []
        """Text and address."""
        self.fields: dict[str, str] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.elements.append((tag, told))
        self._open.append(tag)
        match tag:
            case "table":
                self.tables.append([])
            case "tr":
                self.tables[-1].append([])
            case "td" | "th":
                self.tables[-1][-1].append("")
            case "h1" | "h2":
                self.titles.append("")
            case "a":
                self.links.append(("", told["href"] or ""))
            case "data":
                self.values.append(float(told["value"] or ""))
            case "input":
                self.fields[told["name"] or ""] = told["value"] or ""
                self._open.pop()
            case "meta":
                self._open.pop()
            case _:
                pass

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> ends something else"

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data
        elif {"h1", "h2"} & set(self._open):
            self.titles[-1] += data
        elif "a" in self._open:
            text, address = self.links.pop()
            self.links.append((text + data, address))

    def attributes(self, tag: str, name: str) -> list[str]:
        """An attribute of all elements of a kind that have it."""
        return [value for kind, told in self.elements if kind == tag and (value := told.get(name)) is not None]

    def link(self, text: str, place: int = 0) -> str:
        """The address of the link with a text, the first of them unless told."""
        return [address for its, address in self.links if its == text][place]

    def asks(self, text: str, place: int = 0) -> list[tuple[str, str]]:
        """What that link asks for."""
        return parse_qsl(urlsplit(self.link(text, place)).query)
