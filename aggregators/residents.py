"""The sites of a partition that are in memory, and what is known of all of them together: ids seen, names numbered.

They are a cache, kept under one key of a partition's `Rows`. A site that was forgotten is read again when it is
touched, and introduced: its ids and names are told to the tables that all sites share.

>>> from aggregators.rows import MemoryStore
>>> rows = Rows(MemoryStore())
>>> residents = Residents.of(rows)
>>> [site.key for site in residents.open(rows, Sizes(), ["7"]) if site]
[b's7']
>>> residents.settle(rows); Residents.of(rows) is residents
True

What the tables know of a site that was forgotten is no longer needed, and stays. So that it does not fill the memory, a
table is made anew once more than half of it is of no use; all sites are introduced again then, when they are touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakSet

import numpy as np

from aggregators.ids import Words
from aggregators.numbering import Numbering, hashes
from aggregators.rows import Rows
from aggregators.seen import Seen
from aggregators.site import HEADS, Site, Sizes

_KEY = b"r"
_FEW = 1 << 16
"""Entries of a table that are never worth making it anew."""
_OPERATORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
"""Keeps the names of a site's operators apart from those of its visitors."""


class Residents:
    """The sites in memory of one partition."""

    def __init__(self) -> None:
        self.seen = Seen()
        """The ids."""
        self.numbering = Numbering()
        """The names."""
        self._sites: WeakSet[Site] = WeakSet()
        self._evictions = 0
        self._look_at = [_FEW, _FEW]
        """How full each table is when it is worth a look how much of it is needed."""

    @classmethod
    def of(cls, rows: Rows) -> Residents:
        """Those of a partition, at the beginning of a batch."""
        residents: Residents | None = rows.kept(_KEY)
        if residents is None:
            return cls()
        residents._tidy(rows.memory.evictions)
        return residents

    def settle(self, rows: Rows) -> None:
        """Say how much memory the tables take, at the end of a batch: they are what is forgotten last."""
        rows.forget(_KEY)
        rows.keep(_KEY, self, self.seen.nbytes + self.numbering.nbytes)

    def open(self, rows: Rows, sizes: Sizes, site_ids: Sequence[str]) -> list[Site | None]:
        """The sites with these ids, from memory, from their rows or new; None: new, and of another partition."""
        sites: list[Site | None] = []
        strange: list[Site] = []
        kept, generation = rows.kept, self.seen.generation + self.numbering.generation
        for site_id in site_ids:
            key = HEADS + site_id.encode()
            site: Site | None = kept(key)
            if site is None:
                row = rows.get(key)
                if row is not None or rows.owns(key[len(HEADS) :]):
                    site = Site(rows, key, sizes, row)
                if site is not None and row is not None:
                    rows.keep(key, site, site.measure())
            if site is not None and site.known_by != generation:
                site.known_by = generation
                strange.append(site)
            sites.append(site)
        if strange:
            self._introduce(strange)
        return sites

    def _introduce(self, sites: Sequence[Site]) -> None:
        """Tell the tables what they must know of sites that they do not know."""
        self._sites.update(sites)
        prints = [some for site in sites if (some := site.events.introduce(self.seen)) is not None]
        if prints:
            self.seen.sift(np.concatenate(prints))
        texts: list[str] = []
        counts: list[int] = []
        for site in sites:
            for names in (site.visitors, site.operators):
                counts.append(0 if names.many else names.count)
                if counts[-1]:
                    texts += names.texts()
        if texts:
            salts = np.frombuffer(b"".join([site.salts for site in sites]), np.uint64).reshape(-1, 2)
            keys = hashes(texts) + owners(salts).repeat(counts, axis=0)
            self.numbering.enter(keys, np.concatenate([np.arange(count, dtype=np.uint32) for count in counts]))

    def _tidy(self, evictions: int) -> None:
        """Make a table anew that is full of what is not needed."""
        sites = self._sites
        if (
            evictions - self._evictions <= len(sites) // 2
            and self.seen.count < self._look_at[0]
            and self.numbering.count < self._look_at[1]
        ):
            return
        self._evictions = evictions
        ids = sum([site.events.seen for site in sites])
        names = sum([site.visitors.known + site.operators.known for site in sites])
        if self.seen.count > 2 * ids + _FEW:
            self.seen = Seen()
        if self.numbering.count > 2 * names + _FEW:
            self.numbering = Numbering()
        self._look_at = [2 * ids + 2 * _FEW, 2 * names + 2 * _FEW]


def owners(salts: Words) -> Words:
    """What the keys of names begin with: a row for the visitors of each site, then one for its operators.

    Args:
        salts: of each site.
    """
    return np.stack((salts, salts + _OPERATORS), axis=1).reshape(-1, 2)
