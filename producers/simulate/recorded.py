"""Pages that were recorded from the real API, as something to serve.

recorded(Path("pages"))              # a directory of pages, one a file
recorded(Path("pages.jsonl.zst"))    # or a file of pages, one a line
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from producers.sources import sources_of
from schemas.errors import StreamgaugeError
from schemas.items import ITEMS


class _Page(msgspec.Struct):
    response: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(_Page)


class Recorded:
    """Items as they were recorded, by id.

    >>> catalogue = Recorded([b'{"category_id":8,"food_id":1,"id":7}', b'{"category_id":8,"food_id":1,"id":5}'])
    >>> catalogue.page(0, 1)
    ([b'{"category_id":8,"food_id":1,"id":5}'], 7)
    >>> catalogue.page(8, 1)
    ([], None)
    """

    def __init__(self, items: Iterable[bytes]) -> None:
        by_id = {ITEMS.decoder.decode_one(item).id: item for item in items}
        self._ids = sorted(by_id)
        self._items = [by_id[number] for number in self._ids]

    def page(self, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        """The first ``limit`` items at or after ``offset``, and the id of the one after them."""
        first = bisect_left(self._ids, offset)
        last = first + limit
        return self._items[first:last], self._ids[last] if last < len(self._ids) else None


def recorded(path: str) -> Recorded:
    """The items of the pages at ``path``.

    Raises:
        StreamgaugeError: it is not there, or holds something else.
    """
    pages: list[_Page] = []
    for source in sources_of(path):
        text = b"".join(source.blocks())
        try:
            pages += _pages(text)
        except msgspec.DecodeError as error:
            raise StreamgaugeError(f"{source.name} holds no pages of the API: {error}") from error
    if not pages:
        raise StreamgaugeError(f"{path} holds no pages of the API")
    return Recorded(bytes(item) for page in pages for item in page.response)


def _pages(text: bytes) -> list[_Page]:
    """One page, or one a line."""
    try:
        return [_decoder.decode(text)]
    except msgspec.DecodeError:
        return _decoder.decode_lines(text)
