"""One session: its totals, and when it ends.

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.sessions import SessionRecord
>>> session = Session(Rows(MemoryStore()), "a", Rules())
>>> session.count(SessionRecord(7_000, "a", cpu=0.5), clock=7_000)
>>> session.count(SessionRecord(6_000, "a", state="login"), clock=7_000)        # comes later, happened before
>>> session.settle()
>>> session.head.shares[RANKS["login"]].count, session.head.peak
(1, Peak(mean=0.5, window=1, rank=2))

The totals (`aggregators.session_head`) count every sample from the moment it arrives. The detail
(`aggregators.session_detail`) is kept to correct them: a state that arrives late moves the samples of the interval that
it rules from one state's share to another's, and nothing else. What is *folded* cannot change any more: its windows are
deleted, of its states the last remains, of its peaks the highest. A record for it is too late.

The floor, the first window that is not folded, rises

* with the session's own greatest timestamp, the grace behind it;
* beyond the end of the session when that is over: idle gap and grace after it was last touched, or only the grace when
  its latest state is ``over``. This is measured by the partition's clock, so that an old log is not late because of a
  new one that was read before.

It rises record by record, whatever batches they come in; the rows follow in `settle`, at the end of a batch. Many
records of a session at once are counted by `aggregators.session_tally`, which leaves here what one by one would.

| row | what |
|---|---|
| ``s`` session | its `Head` |
| ``d`` session, ``w`` session, window, page | its `Detail` |
| ``a`` moment, session | when to look whether it has ended; only of a session that is not known to have |
| ``o`` moment, session | when it was last touched; only of one that is over. Retention looks here |
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from aggregators import exact, session_head
from aggregators.aggregator import TOO_LATE
from aggregators.exact import scaled
from aggregators.rows import Rows
from aggregators.session_detail import Detail
from aggregators.session_ends import ALIVE, MOMENT_MS, OVER, Rules, moment
from aggregators.session_head import RANKS, Head, Peak
from aggregators.session_window import WINDOW_MS, mark, plain, rich
from schemas.sessions import SessionRecord

HEADS, HEADS_END = b"s", b"t"

_LAST_STATE = RANKS["over"]
_NEVER = 1 << 80
_HEAD_BYTES = 3_000
"""What a session takes in memory beside its windows, about."""

_encode = msgspec.msgpack.Encoder().encode

Said = list[tuple[str, str]]
"""The dimensions that a record reports, and what it says of them."""


class Session:
    """One session.

    Args:
        rows: of its partition.
        name: its id.
        rules: of counting.
        row: its head as stored; None: it is new.
    """

    def __init__(self, rows: Rows, name: str, rules: Rules, row: bytes | None = None) -> None:
        self._rows = rows
        self._rules = rules
        self.name = name
        self._name = name.encode()
        self.key = HEADS + self._name
        self.fresh = row is None
        """Whether nothing is known of it: it is new, or its retention is over."""
        self.dirty = False
        """Whether this batch has changed it."""
        self.total = 0
        """The exact sum of its samples."""
        self.sampled: set[int] = set()
        """Windows of the detail that got samples in this batch."""
        self.head = Head(0, 0, 0, rules.threshold)
        if row is not None:
            self.head = session_head.decode(row)
            self.total = exact.unpack(self.head.total)
        self.detail = Detail(rows, self._name, self.head.base)
        if not self.fresh and not self.over:
            self.detail.load()
        self._patience = self._patience_now()
        self._ends = self._ending()

    @property
    def nbytes(self) -> int:
        """What it takes in memory, about."""
        return _HEAD_BYTES + self.detail.nbytes

    # -- counting

    def count(self, record: SessionRecord, clock: int) -> str | None:
        """Count ``record``; the reason when it is refused.

        Args:
            record: of this session.
            clock: the partition's event time, this record's included.
        """
        if clock >= self._ends:
            if clock >= self._forgotten_at():
                self.forget()
            else:
                self.end()
                self.dirty = True  # also where it is refused: it has found the session ended, whatever the batch
        head, time = self.head, record.timestamp
        number = time // WINDOW_MS
        if number < head.floor:
            return TOO_LATE
        changed = self._reach(time)
        own = 0
        if record.state is not UNSET:
            own = RANKS[record.state]
            if self.begin(own, time):
                self.detail.window(number).add_mark(mark(time - number * WINDOW_MS, own))
                self.detail.written.add(number)
                changed = True
        said = self.said(record)
        if said:
            changed |= self.learn(said, time)
        if record.cpu is not UNSET:
            cpu = record.cpu + 0.0  # so that there is one zero only
            changed |= self._sample(time, number, cpu, *entry_of(time, own, cpu, said))
        if changed:
            self.touch(clock)
        return None

    def touch(self, clock: int) -> None:
        """A record has changed it, at this time of the partition."""
        head = self.head
        head.floor = max(head.floor, (head.end - self._rules.grace_ms) // WINDOW_MS)
        head.touched = clock
        self._ends = clock + self._patience
        self.dirty = True

    def begin(self, rank: int, time: int) -> bool:
        """A state begins, and has the samples that were counted of its interval; whether that is news."""
        detail = self.detail
        begun = detail.begin(rank, time)
        if begun is None:
            return False
        self._patience = self._patience_now()
        if begun.before != rank:
            self._move(time, begun.until, begun.before, rank)
        return True

    def said(self, record: SessionRecord) -> Said:
        """What ``record`` says of dimensions."""
        said: Said = []
        if record.version is not UNSET:
            said.append(("version", record.version))
        if record.user_id is not UNSET:
            said.append(("user", record.user_id))
        for further in self._rules.further:
            text = further.of(record)
            if text is not None:
                said.append((further.dimension, text))
        return said

    def learn(self, said: Iterable[tuple[str, str]], time: int) -> bool:
        """Take what is not known from later; whether there is any."""
        known, changed = self.head.known, False
        for dimension, text in said:
            before = known.get(dimension)
            if before is None or (time, text) > before:
                known[dimension] = (time, text)
                changed = True
        return changed

    def has_ended(self, clock: int) -> bool:
        """Whether idle gap and grace are over by the partition's clock."""
        return self.over or clock >= self._ends

    def is_due(self, moment_ms: int) -> bool:
        """Whether the index would name it among those that have ended at a moment of the partition."""
        return not self.over and self._ends < moment_ms

    @property
    def over(self) -> bool:
        """Whether all of it is folded."""
        return self.head.floor > self.head.end // WINDOW_MS

    @property
    def patience(self) -> int:
        """How long after it was last touched it ends, ms."""
        return self._patience

    def end(self) -> None:
        """All of it can be folded. If it reports again, it goes on."""
        self.head.floor = self.head.end // WINDOW_MS + 1
        self._ends = self._ending()

    def forget(self) -> None:
        """Its retention is over: if it reports again, it is new."""
        detail = self.detail
        detail.fold(_NEVER)
        detail.base = 0
        self.sampled = set()
        self.head, self.total = Head(0, 0, 0, self._rules.threshold, self.head.place), 0
        self.fresh, self._ends, self._patience = True, _NEVER, self._patience_now()

    def _reach(self, time: int) -> bool:
        """Stretch from the first to the last record; whether that is news."""
        head = self.head
        if self.fresh:
            self.fresh = False
            head.start = head.end = time
        elif time > head.end:
            head.end = time
        elif time < head.start:
            head.start = time
        else:
            return False
        return True

    def _sample(self, time: int, number: int, cpu: float, entry: bytes, identity: bytes | None) -> bool:
        """Count a sample unless it is here; whether it is new."""
        detail = self.detail
        window = detail.windows.get(number) or detail.window(number)
        if not window.add_sample(entry, identity):
            return False
        rank = detail.rank_at(time)
        window.counts[rank] += 1
        if cpu > window.tops[rank]:
            window.tops[rank] = cpu
        head = self.head
        head.put_samples(rank, [cpu])
        head.samples += 1
        exactly = scaled(cpu)
        window.total += exactly
        self.total += exactly
        self.sampled.add(number)
        detail.written.add(number)
        return True

    def _move(self, since: int, until: int | None, before: int, after: int) -> None:
        """The samples of ``[since, until)`` have another state than was thought."""
        head, detail = self.head, self.detail
        greatest = -1.0
        for window in detail.between(since, until):
            moved = [cpu for time, cpu in window.samples() if since <= time and (until is None or time < until)]
            if moved:
                head.take_samples(before, moved)
                head.put_samples(after, moved)
                greatest = max(greatest, *moved)
                window.count_by(detail.rank_at)
        if greatest >= 0 and greatest >= head.shares[before].top:
            share = head.shares[before]
            share.top = max(share.folded_top, *(window.tops[before] for window in detail.windows.values()))

    # -- the end of a batch

    def settle(self) -> None:
        """Fold what is below the floor, and put into rows all that has changed."""
        rows, head = self._rows, self.head
        self._raise_peak()
        self._fold()
        self.detail.put()
        place = self._place()
        if place != head.place:
            if head.place:
                rows.delete(head.place + self._name)
            if place:
                rows.put(place + self._name, b"")
            head.place = place
        if self.fresh:
            rows.delete(self.key)
        else:
            head.total = exact.pack(self.total)
            rows.put(self.key, session_head.encode(head))
        self.sampled, self.dirty = set(), False

    def _raise_peak(self) -> None:
        """Find the peak again, now that some windows have other means."""
        head, detail = self.head, self.detail
        best, windows = head.peak, detail.windows
        if best is not None and best.window in self.sampled and windows[best.window].mean < best.mean:
            best, changed = head.folded_peak, detail.numbers
        else:
            changed = sorted(self.sampled)
        for number in changed:
            window = windows[number]
            if window.count:
                best = higher(best, Peak(window.mean, number, 0))
        if best is not None and best.window in windows:
            best = best._replace(rank=windows[best.window].rank)
        head.peak = best

    def _fold(self) -> None:
        """Let go of the detail below the floor."""
        head = self.head
        for window in self.detail.fold(head.floor):
            if window.count:
                head.folded_peak = higher(head.folded_peak, Peak(window.mean, window.number, window.rank))
            for rank, share in head.shares.items():
                share.folded_top = max(share.folded_top, window.tops[rank])
        head.base = self.detail.base

    # -- ends

    def _ending(self) -> int:
        """When the partition's clock will pass its end; that of its retention once it has ended."""
        if self.fresh:
            return _NEVER
        if self.over:
            return self._forgotten_at()
        return self.head.touched + self._patience

    def _patience_now(self) -> int:
        return self._rules.grace_ms + (0 if self.detail.last_rank == _LAST_STATE else self._rules.idle_ms)

    def _forgotten_at(self) -> int:
        retention = self._rules.retention_ms
        return _NEVER if self.fresh or retention is None else self.head.touched + max(retention, self._patience)

    def _place(self) -> bytes:
        """Where its index row belongs."""
        if self.fresh:
            return b""
        return moment(OVER, self.head.touched) if self.over else moment(ALIVE, self._ending() + MOMENT_MS)


def entry_of(time: int, own: int, cpu: float, said: Said) -> tuple[bytes, bytes | None]:
    """What a window keeps of a sample, and its identity where the entry is not.

    Args:
        time: of the sample, ms.
        own: the rank of the state that the record itself reports; 0 when it reports none.
        cpu: from 0 to 1.
        said: what else the record says.
    """
    place = time % WINDOW_MS
    return rich(place, own, cpu, _encode((own, cpu, said))) if said else (plain(place, own, cpu), None)


def higher(one: Peak | None, other: Peak) -> Peak:
    """The peak of both: the greater mean, of two the earlier."""
    if one is None or other.mean > one.mean or (other.mean == one.mean and other.window < one.window):
        return other
    return one
