"""The numbers of a batch's senders, for all of its sites at once; new names are given the next numbers of their owner.

An owner is a site's visitors or its operators: the site's place in the batch, twice, and one more for operators.

>>> from aggregators.arrivals import Arrivals
>>> from aggregators.by_site import BySite
>>> from aggregators.rows import MemoryStore, Rows
>>> from aggregators.site import Sizes
>>> from schemas.sites import Message, MessageData
>>> rows = Rows(MemoryStore())
>>> residents = Residents.of(rows)
>>> batch = BySite(Arrivals([Message(id, name, "7", 1, MessageData()) for id, name in ("1a", "2b", "3a")]))
>>> visit = Visit(batch, [site for site in residents.open(rows, Sizes(), batch.site_ids) if site])
>>> number(visit, residents).tolist(), visit.totals["visitors"].tolist()
([0, 1, 0], [2])
"""

from __future__ import annotations

import numpy as np

from aggregators.blocks import Numbers
from aggregators.by_site import Places
from aggregators.names import packed
from aggregators.numbering import first_of_each, hashes
from aggregators.residents import Residents, owners
from aggregators.visit import Visit


def number(visit: Visit, residents: Residents) -> Numbers:
    """The number of each record's sender among the visitors or the operators of its site.

    Args:
        visit: of new events; its totals are told how many names there are.
        residents: of the partition.
    """
    batch, numbering = visit.batch, residents.numbering
    owner = batch.codes.astype(np.intp) * 2 + batch.signed
    keys = hashes(batch.names).take(batch.senders, axis=0) + owners(visit.salts).take(owner, axis=0)
    numbers, slots = numbering.find(keys)
    missing: Places = (numbers == 0).nonzero()[0]
    if len(missing):
        at = missing[first_of_each(owner[missing], batch.senders[missing])]
        given = _named(visit, residents, owner[at], at)
        numbering.enter(keys.take(at, axis=0), given, slots.take(at))
        numbers[missing] = numbering.find(keys.take(missing, axis=0))[0]
    return numbers - np.uint32(1)


def _named(visit: Visit, residents: Residents, owner: Places, at: Places) -> Numbers:
    """The numbers of names that are not in memory: new ones, or of an owner with many.

    Args:
        visit: of new events.
        residents: of the partition.
        owner: of each name; it never falls.
        at: the first record of each name.
    """
    batch, sites = visit.batch, visit.sites
    coded = list(map(packed, batch.names))
    new = list(map(coded.__getitem__, batch.senders[at].tolist()))
    ends = np.flatnonzero(np.diff(owner, append=-1)) + 1
    starts = np.concatenate((np.zeros(1, np.intp), ends[:-1]))
    bases: list[int] = []
    counts: list[int] = []
    met: dict[int, int] = {}
    groups: list[tuple[int, int, int]] = list(zip(owner[starts].tolist(), starts.tolist(), ends.tolist(), strict=True))
    for one, first, last in groups:
        names = sites[one >> 1].operators if one & 1 else sites[one >> 1].visitors
        bases.append(names.count)
        if not names.many:
            names.add(new[first:last])
            counts.append(names.count)
            continue
        found = names.find(new[first:last], residents.seen)
        unknown = [name for name in new[first:last] if name not in found]
        found.update(zip(unknown, range(names.count, names.count + len(unknown)), strict=True))
        names.add(unknown)
        counts.append(names.count)
        met.update((place, found[new[place]]) for place in range(first, last))
    of_operators, place, count = owner[starts] & 1 == 1, owner[starts] >> 1, np.array(counts)
    visit.totals["visitors"][place[~of_operators]] = count[~of_operators]
    visit.totals["operators"][place[of_operators]] = count[of_operators]
    numbers = np.arange(len(at)) + np.repeat(np.array(bases) - starts, ends - starts)
    numbers[list(met)] = list(met.values())
    return numbers.astype(np.uint32)
