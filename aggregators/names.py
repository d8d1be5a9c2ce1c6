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

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple, cast

import msgspec
import numpy as np

from aggregators.blocks import HASHED, Numbers, row_at
from aggregators.blocks import Sizes as PileSizes
from aggregators.ids import marks, pairs, words
from aggregators.pile import Pile, entries
from aggregators.rows import Rows
from aggregators.sieve import tags

_TEXTS, _PILE, _FOLDED = b"tpf"
_SUFFIX = Struct(">BI")
_COUNT = Struct("<Q")
_NAME_BYTES = 130
"""What a name takes in a dict: the text, its number, its slot."""
_FOLDED_PAGE = 1 << 15
"""Names a row of the folded ones' bits is for."""

_LIST = Struct(">BI")
_LIST_CODE = 0xDD
_encode = msgspec.msgpack.Encoder().encode
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
        fresh: `packed` of the newest of them, which are in no page yet.
        paged: how many are in pages.
    """

    __slots__ = ("_fresh", "_pile", "_prefix", "_rows", "_sizes", "count", "known", "paged")

    def __init__(
        self, rows: Rows, prefix: bytes, sizes: Sizes, count: int = 0, fresh: bytes = b"", paged: int = 0
    ) -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self.count = count
        self.paged = paged
        self._fresh = [_encode(text) for text in _texts(fresh, count - paged)]
        self.known: dict[str, int] = {}
        """Numbers by name: of all names, or of those met lately."""
        self._pile: Pile | None = None
        if count > sizes.known:
            row = row_at(rows, self._pile_key)
            self._pile = Pile(rows, b"p" + prefix, sizes.pile, n=_COUNT.unpack_from(row)[0], tail=row[_COUNT.size :])
        else:
            self.known = {text: number for number, text in enumerate(self.texts())}

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        pile = 0 if self._pile is None else self._pile.nbytes
        return 300 + _NAME_BYTES * len(self.known) + pile

    def packed(self) -> bytes:
        """The fresh names, which are in no page yet, as MessagePack texts one after the other."""
        return b"".join(self._fresh)

    def numbers(self, names: Sequence[str]) -> list[int]:
        """The number of each name; a new one is given the next."""
        numbers = list(map(self.known.get, names))
        return self._meet(names) if None in numbers else cast("list[int]", numbers)

    def number(self, name: str) -> int:
        """The number of one name."""
        number = self.known.get(name)
        return self._meet([name])[0] if number is None else number

    def _meet(self, names: Sequence[str]) -> list[int]:
        """`numbers` where some name is not in `known`; all are afterwards."""
        known, fresh = self.known, self._fresh
        if self._pile is not None:
            return self._meet_many(names, self._pile)
        numbers: list[int] = []
        for name in names:
            number = known.get(name)
            if number is None:
                known[name] = number = len(known)
                fresh.append(_encode(name))
            numbers.append(number)
        self.count = len(known)
        if self.count > self._sizes.known:
            self._pile = Pile(self._rows, b"p" + self._prefix, self._sizes.pile)
            self._add(self._pile, list(known), 0)
        return numbers

    def _meet_many(self, names: Sequence[str], pile: Pile) -> list[int]:
        """`_meet` where `known` holds a part of the names only."""
        known = self.known
        unknown = [name for name in dict.fromkeys(names) if name not in known]
        met = self._find(unknown, pile)
        new = [name for name in unknown if name not in met]
        met.update(zip(new, range(self.count, self.count + len(new)), strict=True))
        self._fresh += map(_encode, new)
        self._add(pile, new, self.count)
        self.count += len(new)
        numbers = [known[name] if name in known else met[name] for name in names]
        if len(known) + len(met) > 2 * self._sizes.known:
            known.clear()
        known.update(met)
        return numbers

    def _find(self, names: list[str], pile: Pile) -> dict[str, int]:
        """Those of the names that are in the pile."""
        sixteens = b"".join(map(_sixteen, names))
        mark = marks(words(pairs(sixteens))[0])
        found: dict[str, int] = {}
        for place in pile.find(sixteens, mark.tolist(), tags(mark), b"\1" * len(names), 0, len(names)):
            number = pile.number_of(sixteens[16 * place : 16 * place + 16], hashed=True)
            if number is not None:
                found[names[place]] = number & ~HASHED
        return found

    def seal(self, count: int) -> None:
        """Move the names below ``count`` from the fresh ones into their pages."""
        page, first = self._sizes.page, self.paged
        while self.paged < count:
            key = self._page_key(self.paged // page)
            last = min(count, self.paged - self.paged % page + page)
            row = row_at(self._rows, key) if self.paged % page else b""
            self._rows.put(key, row + b"".join(self._fresh[self.paged - first : last - first]))
            self.paged = last
        if self.paged > first:
            del self._fresh[: self.paged - first]

    def texts(self) -> Iterator[str]:
        """All names, by number."""
        page = self._sizes.page
        for first in range(0, self.paged, page):
            yield from _texts(row_at(self._rows, self._page_key(first // page)), min(page, self.paged - first))
        yield from _texts(self.packed(), self.count - self.paged)

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

    def _add(self, pile: Pile, texts: list[str], first: int) -> None:
        """Add texts, numbered from ``first`` on, to the pile."""
        if not texts:
            return
        numbers = [HASHED | number for number in range(first, first + len(texts))]
        times = np.zeros(len(texts), np.int64)
        pile.add(entries(b"".join(map(_sixteen, texts)), times, numbers))
        self._rows.put(self._pile_key, _COUNT.pack(pile.n) + pile.tail)

    @property
    def _pile_key(self) -> bytes:
        return self._prefix + _SUFFIX.pack(_PILE, 0)

    def _page_key(self, number: int) -> bytes:
        return self._prefix + _SUFFIX.pack(_TEXTS, number)

    def _folded_key(self, page: int) -> bytes:
        return self._prefix + _SUFFIX.pack(_FOLDED, page)


def _texts(packed: bytes, count: int) -> list[str]:
    return _decoder.decode(_LIST.pack(_LIST_CODE, count) + packed) if count else []


def _sixteen(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()
