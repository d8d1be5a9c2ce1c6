"""The distinct names of an owner, numbered from 0 in order of arrival: exact, texts and all.

>>> from aggregators.rows import MemoryStore
>>> names = Names(Rows(MemoryStore()), b"n1", Sizes())
>>> names.add([packed("anna"), packed("bert")])
>>> names.count, list(names.texts())
(2, ['anna', 'bert'])

Texts lie in pages by number; the newest few, less than `Sizes.fresh`, in the owner's head row. Which number a name
has, `aggregators.numbering` knows while the owner is in memory: of all its names up to `Sizes.known`. Of more, only
those met lately are there: the others are known by a 128-bit hash of their text in a pile, as ids are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np

from aggregators.blocks import HASHED, Numbers, row_at
from aggregators.blocks import Sizes as PileSizes
from aggregators.ids import pairs, words
from aggregators.pile import Pile, entries
from aggregators.rows import Rows
from aggregators.seen import Seen

_TEXTS, _PILE, _FOLDED = b"tpf"
_SUFFIX = Struct(">BI")
_COUNT = Struct("<Q")
_FOLDED_PAGE = 1 << 15
"""Names a row of the folded ones' bits is for."""

_LIST = Struct(">BI")
_LIST_CODE = 0xDD
packed: Callable[[str], bytes] = msgspec.msgpack.Encoder().encode
"""A name as it lies in rows: a MessagePack text."""
_decoder = msgspec.msgpack.Decoder(list[str])


class Sizes(NamedTuple):
    """How many names there are in the head row, in a page and in memory, and the sizes of the pile (tests: small)."""

    fresh: int = 8
    page: int = 128
    """A multiple of ``fresh``."""
    known: int = 4096
    pile: PileSizes = PileSizes()


class Names:
    """The names of one owner.

    Args:
        rows: of the partition.
        prefix: of the row keys (and with a ``p`` before it of the pile's); no other owner's are of its length.
        sizes: of pages and memory.
        count: how many names there are.
        fresh: the newest ``count % sizes.fresh`` of them.
    """

    __slots__ = ("_pile", "_prefix", "_rows", "_sizes", "count", "fresh")

    def __init__(self, rows: Rows, prefix: bytes, sizes: Sizes, count: int = 0, fresh: bytes = b"") -> None:
        self._rows = rows
        self._prefix = prefix
        self._sizes = sizes
        self.count = count
        self.fresh = fresh
        """The names that are in no page yet, as MessagePack texts one after the other."""
        self._pile: Pile | None = None
        if count > sizes.known:
            row = row_at(rows, self._pile_key)
            self._pile = self._new_pile(_COUNT.unpack_from(row)[0], row[_COUNT.size :])

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return len(self.fresh) + (0 if self._pile is None else self._pile.nbytes)

    @property
    def many(self) -> bool:
        """Whether only those met lately are in memory, and `find` must be asked for others."""
        return self._pile is not None

    @property
    def known(self) -> int:
        """How many may be in memory."""
        return min(self.count, self._sizes.known)

    def add(self, names: Sequence[bytes]) -> None:
        """Give the next numbers to names that are not here, each `packed`."""
        before, self.count = self.count, self.count + len(names)
        fresh, page = self._sizes.fresh, self._sizes.page
        last = self.count - self.count % fresh
        if last <= before and self._pile is None and self.count <= self._sizes.known:
            self.fresh += b"".join(names)
            return
        paged = before - before % fresh
        while paged < last:
            end = min(last, paged - paged % page + page)
            key = self._page_key(paged // page)
            row = row_at(self._rows, key) if paged % page else b""
            self._rows.put(key, row + self.fresh + b"".join(names[max(paged, before) - before : end - before]))
            paged, self.fresh = end, b""
        self.fresh += b"".join(names[max(paged, before) - before :])
        if self._pile is not None:
            self._add(self._pile, names, before)
        elif self.count > self._sizes.known:
            self._pile = self._new_pile(0, b"")
            self._add(self._pile, list(map(packed, self.texts())), 0)

    def find(self, names: Sequence[bytes], seen: Seen) -> dict[bytes, int]:
        """The numbers of those `packed` names that are here, where there are `many`; the others must be added next."""
        pile = self._pile
        if pile is None:
            return {}
        strange = pile.introduce(seen)
        if strange is not None:
            seen.sift(strange)
        pile.introduce_all(seen, len(names))
        ids = pairs(b"".join(map(_sixteen, names)))
        hashed = np.ones(len(names), np.bool_)
        found: dict[bytes, int] = {}
        for place in pile.find(ids, hashed, seen.sift(pile.prints(words(ids)[0]))):
            number = pile.number_of(ids[place].tobytes(), hashed=True)
            if number is not None:
                found[names[place]] = number & ~HASHED
        return found

    def texts(self) -> Iterator[str]:
        """All names, by number."""
        page, paged = self._sizes.page, self.count - self.count % self._sizes.fresh
        for first in range(0, paged, page):
            yield from _texts(row_at(self._rows, self._page_key(first // page)), min(page, paged - first))
        yield from _texts(self.fresh, self.count - paged)

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

    def _new_pile(self, n: int, tail: bytes) -> Pile:
        salt = hash(self._prefix)
        return Pile(self._rows, b"p" + self._prefix, self._sizes.pile, salt=salt, n=n, tail=tail)

    def _add(self, pile: Pile, names: Sequence[bytes], first: int) -> None:
        """Add names, numbered from ``first`` on, to the pile."""
        numbers = np.arange(first, first + len(names), dtype=np.uint32) | np.uint32(HASHED)
        times = np.zeros(len(names), np.int64)
        pile.add(entries(pairs(b"".join(map(_sixteen, names))), times, numbers))
        self._rows.put(self._pile_key, _COUNT.pack(pile.n) + pile.tail)

    @property
    def _pile_key(self) -> bytes:
        return self._prefix + _SUFFIX.pack(_PILE, 0)

    def _page_key(self, number: int) -> bytes:
        return self._prefix + _SUFFIX.pack(_TEXTS, number)

    def _folded_key(self, page: int) -> bytes:
        return self._prefix + _SUFFIX.pack(_FOLDED, page)


def _texts(joined: bytes, count: int) -> list[str]:
    return _decoder.decode(_LIST.pack(_LIST_CODE, count) + joined) if count else []


def split(fresh: bytes, counts: tuple[int, int]) -> tuple[bytes, bytes]:
    """The fresh names of two owners, one after the other, apart."""
    first = b"".join(map(packed, _texts(fresh, sum(counts))[: counts[0]]))
    return first, fresh[len(first) :]


def _sixteen(name: bytes) -> bytes:
    return blake2b(name, digest_size=16).digest()
