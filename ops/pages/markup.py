r"""HTML and SVG of which every text is escaped, because whatever is no `Markup` yet is taken for text.

>>> element("td", "<script>", class_="n")
'<td class="n">&lt;script&gt;</td>'
>>> element("p", "of those ", element("b", "80 %"), title='say "so"')
'<p title="say &quot;so&quot;">of those <b>80 %</b></p>'
>>> element("input", name="last", value="12h", required=True, disabled=False)
'<input name="last" value="12h" required>'
>>> element("i", "a\x00b\u202e")
'<i>a\\u0000b\\u202e</i>'
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ops.reports.table import printable

_TURNS = {code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""What turns the direction of text: a client's version must not reverse the sentence that it stands in."""
_VOID = frozenset({"br", "hr", "input", "link", "meta"})

Content = str | int | float
Attribute = str | int | float | bool | None


class Markup(str):
    """What is HTML already."""

    __slots__ = ()


def element(name: str, /, *content: Content, **attributes: Attribute) -> Markup:
    """An element.

    Args:
        name: of the element.
        content: elements as they are, anything else as text.
        attributes: their names with ``_`` for ``-``, one at the end left out (``class_``); True has no value, False
            and None are left out.
    """
    told = "".join(
        f" {key}" if value is True else f' {key}="{_text(str(value))}"'
        for key, value in ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
        if value is not None and value is not False
    )
    return Markup(f"<{name}{told}>" if name in _VOID else f"<{name}{told}>{joined(content)}</{name}>")


def joined(content: Iterable[Content], separator: str = "") -> Markup:
    """Elements and texts, one after another."""
    return Markup(_escaped(separator).join(map(_escaped, content)))


def clipped(text: str, most: int) -> str:
    """A text that may be of any length, as far as a page shows it.

    >>> clipped("700-beta-of-november", 9)
    '700-beta…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _escaped(content: Content) -> str:
    return content if isinstance(content, Markup) else _text(str(content))


def _text(text: str) -> str:
    """As it may stand between tags and in quotes; a control character, which HTML has no way to tell, by its number."""
    return escape(printable(text).translate(_TURNS))
