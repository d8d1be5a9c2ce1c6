"""The distinct names of an owner, numbered from 0 in order of arrival: exact, texts and all.

>>> from aggregators.rows import MemoryStore, Rows
>>> names = Names(Rows(MemoryStore()), b"n1", Sizes())
>>> [names.number(name) for name in ("anna", "bert", "anna")], names.count
([0, 1, 0], 2)

Texts lie in pages by number; the newest few in the owner's head row. Up to `Sizes.known` names are all in memory
while their owner is. Of more, only those met lately are: the others are known by a 128-bit hash of their text in a
pile, as ids are.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np

from aggregators.ids import marks, words
from aggregators.pile import HASHED, NO_FLOOR, Numbers, Pile
from aggregators.pile import Sizes as PileSizes
from aggregators.rows import Rows
from aggregators.sieve import tags

_TEXTS, _PILE, _FOLDED = b"tpf"
_SUFFIX = Struct(">BI")
_COUNT = Struct("<Q")
_NAME_BYTES = 130
"""What a name takes in a dict: the text, its number, its slot."""
_FOLDED_PAGE = 1 << 15
"""Names a row of the folded ones' bits is for."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[str])


class Sizes(NamedTuple):
    """How many names there are in a page and in memory, and the sizes of the pile (tests make them small)."""

    page: int = 256
    known: int = 4096
    pile: PileSizes = PileSizes()


class Names:
    """The names of one owner.

    Args:
        rows: of the partition.
        prefix: of the row keys (and with a ``p`` before it of the pile's); no other owner's are of its length.
        sizes: of pages and memory.
        count: how many names there are.
        fresh: the texts of the newest of them, which are in no page yet.
    """

    __slots__ = ("_pile", "_prefix", "_rows", "_sizes", "_texts_bytes", "count", "fresh", "known")

    def __init__(self, rows: Rows, prefix: bytes, sizes: Sizes, count: int = 0, fresh: tuple[str, ...] = ()) -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self.count = count
        self.fresh = list(fresh)
        self.known: dict[str, int] = {}
        """Numbers by name: of all names, or of those met lately."""
        self._pile: Pile | None = None
        if count > sizes.known:
            row = rows.get(self._pile_key)
            if row is None:
                raise LookupError(f"the row {self._pile_key!r} is missing: the state is damaged")
            self._pile = Pile(rows, b"p" + prefix, sizes.pile, n=_COUNT.unpack_from(row)[0], tail=row[_COUNT.size :])
        else:
            self.known = {text: number for number, text in enumerate(self.texts())}

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        pile = 0 if self._pile is None else self._pile.nbytes
        return 300 + _NAME_BYTES * len(self.known) + pile

    def number(self, name: str) -> int:
        """The number of ``name``, which is given one if it has none."""
        number = self.known.get(name)
        return self._meet(name) if number is None else number

    def _meet(self, name: str) -> int:
        number = None if self._pile is None else self._find(name, self._pile)
        if number is None:
            number = self.count
            self.count += 1
            self.fresh.append(name)
            if self._pile is not None:
                self._pile.add(_sixteen(name), bytes(8), (number | HASHED).to_bytes(4, "little"))
                self._put_pile(self._pile)
        if len(self.known) >= 2 * self._sizes.known:
            self.known.clear()
        self.known[name] = number
        if self._pile is None and self.count > self._sizes.known:
            self._build_pile()
        return number

    def _find(self, name: str, pile: Pile) -> int | None:
        sixteen = _sixteen(name)
        mark = marks(words(sixteen)[0])
        if not pile.find(sixteen, mark.tolist(), tags(mark), b"\1", NO_FLOOR):
            return None
        number = pile.number_of(sixteen)
        return None if number is None else number & ~HASHED

    def seal(self, count: int) -> None:
        """Move the texts of names below ``count`` from the fresh ones into their pages."""
        page = self._sizes.page
        first = self.count - len(self.fresh)
        while first < count:
            key = self._page_key(first // page)
            last = min(count, first - first % page + page)
            row = self._rows.get(key) if first % page else None
            texts = [*(_decoder.decode(row) if row else ()), *self.fresh[: last - first]]
            self._rows.put(key, _encoder.encode(texts))
            del self.fresh[: last - first]
            first = last

    def texts(self) -> Iterator[str]:
        """All names, by number."""
        for page in range(-(-(self.count - len(self.fresh)) // self._sizes.page)):
            row = self._rows.get(self._page_key(page))
            if row is None:
                raise LookupError(f"the row {self._page_key(page)!r} is missing: the state is damaged")
            yield from _decoder.decode(row)
        yield from self.fresh

    def fold(self, numbers: Numbers) -> None:
        """Remember that names with these numbers were met in what is folded now."""
        pages = numbers // _FOLDED_PAGE
        for page in np.unique(pages).tolist():
            key = self._folded_key(page)
            bits = np.frombuffer(self._rows.get(key) or bytes(_FOLDED_PAGE // 8), np.uint8).copy()
            inside = numbers[pages == page] % _FOLDED_PAGE
            np.bitwise_or.at(bits, inside // 8, (1 << inside % 8).astype(np.uint8))
            self._rows.put(key, bits.tobytes())

    def folded(self) -> set[int]:
        """The numbers that `fold` was told."""
        found: set[int] = set()
        for page in range(-(-self.count // _FOLDED_PAGE)):
            row = self._rows.get(self._folded_key(page))
            if row is not None:
                bits = np.unpackbits(np.frombuffer(row, np.uint8), bitorder="little")
                found.update((np.flatnonzero(bits) + page * _FOLDED_PAGE).tolist())
        return found

    def _build_pile(self) -> None:
        pile = self._pile = Pile(self._rows, b"p" + self._prefix, self._sizes.pile)
        texts = list(self.texts())
        numbers = np.arange(len(texts), dtype=np.uint32) | HASHED
        pile.add(b"".join(map(_sixteen, texts)), bytes(8 * len(texts)), numbers.astype(np.uint32).tobytes())
        self._put_pile(pile)

    def _put_pile(self, pile: Pile) -> None:
        self._rows.put(self._pile_key, _COUNT.pack(pile.n) + pile.tail)

    @property
    def _pile_key(self) -> bytes:
        return self._prefix + _SUFFIX.pack(_PILE, 0)

    def _page_key(self, number: int) -> bytes:
        return self._prefix + _SUFFIX.pack(_TEXTS, number)

    def _folded_key(self, page: int) -> bytes:
        return self._prefix + _SUFFIX.pack(_FOLDED, page)


def _sixteen(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()
