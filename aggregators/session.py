"""One session: its totals, and the detail that a late record may still change.

>>> from aggregators.rows import MemoryStore, Rows
>>> from schemas.sessions import SessionRecord
>>> session = Session(Rows(MemoryStore()), "a", Rules())
>>> session.count(SessionRecord(7_000, "a", cpu=0.5), clock=7_000)
>>> session.count(SessionRecord(6_000, "a", state="login"), clock=7_000)        # comes later, happened before
>>> session.settle()
>>> session.head.shares[RANKS["login"]].count, session.head.peak
(1, Peak(mean=0.5, window=1, rank=2))

The totals (`aggregators.session_head`) count every sample from the moment it arrives. The detail (windows of samples,
and where states begin) is kept to correct them: a state that arrives late moves the samples of the interval that it
rules from one state's share to another's, and nothing else. What is *folded* cannot change any more: its windows are
deleted, of its states the last remains, of its peaks the highest. A record for it is too late.

The floor, the first window that is not folded, rises

* with the session's own greatest timestamp, the grace behind it;
* beyond the end of the session when that is over: idle gap and grace after it was last touched, or only the grace when
  its latest state is ``over``. This is measured by the partition's clock, so that an old log is not late because of a
  new one that was read before.

It rises record by record, whatever batches they come in; the rows follow in `settle`, at the end of a batch.

| row | what |
|---|---|
| ``s`` session | its `Head` |
| ``d`` session | the numbers of its windows that are not folded |
| ``w`` session, window, page | a page of such a window (`aggregators.session_window`) |
| ``a`` moment, session | when to look whether it has ended; only of a session that is not known to have |
| ``o`` moment, session | when it was last touched; only of one that is over. Retention looks here |
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

import msgspec
from msgspec import UNSET

from aggregators import exact, session_head
from aggregators.aggregator import TOO_LATE
from aggregators.exact import SHARE_SHIFT, SHARE_UNITS, SMALLEST_SHARE, scaled
from aggregators.rows import Rows
from aggregators.session_ends import ALIVE, MOMENT_MS, OVER, Rules, moment
from aggregators.session_head import RANKS, Head, Peak
from aggregators.session_window import WINDOW_MS, Window, is_full, plain, rich
from schemas.sessions import SessionRecord

HEADS, HEADS_END = b"s", b"t"
_WINDOWS, _PAGES = b"d", b"w"
_PAGE = struct.Struct(">QI")
_SIGN = 1 << 63

_LAST_STATE = RANKS["over"]
_NEVER = 1 << 80
_HEAD_BYTES = 3_000
"""What a session takes in memory beside its windows, about."""

_encode = msgspec.msgpack.Encoder().encode
_decode_numbers = msgspec.msgpack.Decoder(list[int]).decode


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
        self.nbytes = _HEAD_BYTES
        """What it takes in memory, about."""
        self._detail: dict[int, Window] = {}
        self._numbers: list[int] = []
        """Of the windows, ascending."""
        self._stored_numbers: list[int] = []
        self._times: list[int] = []
        """When states begin, ascending."""
        self._ranks: list[int] = []
        """Which."""
        self._sampled: set[int] = set()
        """Windows that got samples in this batch."""
        self._written: set[int] = set()
        """Windows that got anything in this batch."""
        self._awake: list[int] = []
        """The window that was the newest after the last batch."""
        self._gone: list[bytes] = []
        """Rows that this batch deletes."""
        self.head = Head(0, 0, 0, rules.threshold) if row is None else session_head.decode(row)
        self._total = exact.unpack(self.head.total)
        if row is not None and not self._over:
            self._load()
        self._patience = self._patience_now()
        """How long after it was last touched it ends."""
        self._ends = self._ending()

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
            changed |= self._begin(own, time, number)
        said = self._said(record)
        if said:
            changed |= self._learn(said, time)
        if record.cpu is not UNSET:
            changed |= self._sample(time, number, own, record.cpu + 0.0, said)  # so that there is one zero only
        if changed:
            floor = (head.end - self._rules.grace_ms) // WINDOW_MS
            if floor > head.floor:
                head.floor = floor
            head.touched = clock
            self._ends = clock + self._patience
            self.dirty = True
        return None

    def count_all(self, records: Sequence[SessionRecord], clocks: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Count ``records`` in their order (see `count`); yields the place of each that is refused, and the reason."""
        bare = [
            one.state is UNSET and one.version is UNSET and one.user_id is UNSET and one.cpu is not UNSET
            for one in records
        ]
        if self._rules.further:
            bare = [is_bare and not self._said(one) for is_bare, one in zip(bare, records, strict=True)]
        bare.append(False)
        at = 0
        while at < len(records):
            until = bare.index(False, at)
            if until > at + 1 and self.count_samples(records[at:until], clocks[at:until]):
                at = until
                continue
            for place in range(at, max(until, at + 1)):
                reason = self.count(records[place], clocks[place])
                if reason is not None:
                    yield place, reason
            at = max(until, at + 1)

    def count_samples(self, records: Sequence[SessionRecord], clocks: Sequence[int]) -> bool:
        """Count records that report a sample and nothing else, as `count` would, but cheaper.

        False, and nothing is counted, where one of them might find the session ended, or be too late.
        """
        head, detail, rules = self.head, self._detail, self._rules
        times = [record.timestamp for record in records]
        shares = [record.cpu + 0.0 for record in records if record.cpu is not UNSET]  # so that there is one zero only
        first, last = min(times), max(times)
        end = last if self.fresh else max(last, head.end)
        floor = max(head.floor, (end - rules.grace_ms) // WINDOW_MS)
        ends = clocks[0] + self._patience if self.fresh else self._ends
        if clocks[-1] >= ends or first // WINDOW_MS < floor:
            return False
        head.start, head.end = first if self.fresh else min(first, head.start), end
        self.fresh = False
        since, rank_now = (self._times[-1], self._ranks[-1]) if self._times else (_NEVER, 0)
        counted, total, numbers = -1, 0, set[int]()
        by_rank: dict[int, list[float]] = {}
        for at, (time, cpu) in enumerate(zip(times, shares, strict=True)):
            number = time // WINDOW_MS
            window = detail.get(number) or self._window(number)
            if not window.add_sample(plain(time - number * WINDOW_MS, 0, cpu), None):
                continue
            counted = at
            numbers.add(number)
            rank = rank_now if time >= since else self._rank_at(time)
            window.counts[rank] += 1
            if cpu > window.tops[rank]:
                window.tops[rank] = cpu
            exactly = int(cpu * SHARE_UNITS) << SHARE_SHIFT if cpu >= SMALLEST_SHARE else scaled(cpu)
            window.total += exactly
            total += exactly
            by_rank.setdefault(rank, []).append(cpu)
        if counted >= 0:
            for rank, cpus in by_rank.items():
                head.put_samples(rank, cpus)
                head.samples += len(cpus)
            self._total += total
            self._sampled |= numbers
            self._written |= numbers
            head.floor, head.touched = floor, clocks[counted]
            self._ends = head.touched + self._patience
            self.dirty = True
        return True

    def has_ended(self, clock: int) -> bool:
        """Whether idle gap and grace are over by the partition's clock."""
        return self._over or clock >= self._ends

    def end(self) -> None:
        """All of it can be folded. If it reports again, it goes on."""
        self.head.floor = self.head.end // WINDOW_MS + 1
        self._ends = self._ending()

    def forget(self) -> None:
        """Its retention is over: if it reports again, it is new."""
        for window in self._detail.values():
            self._drop(window)
        self._detail, self._numbers, self._times, self._ranks = {}, [], [], []
        self._sampled, self._written = set(), set()
        self.head, self._total = Head(0, 0, 0, self._rules.threshold, self.head.place), 0
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

    def _said(self, record: SessionRecord) -> list[tuple[str, str]]:
        """The dimensions that a record reports, and what it says of them."""
        said: list[tuple[str, str]] = []
        if record.version is not UNSET:
            said.append(("version", record.version))
        if record.user_id is not UNSET:
            said.append(("user", record.user_id))
        for further in self._rules.further:
            text = further.of(record)
            if text is not None:
                said.append((further.dimension, text))
        return said

    def _learn(self, said: Iterable[tuple[str, str]], time: int) -> bool:
        """Take what is not known from later; whether there is any."""
        known, changed = self.head.known, False
        for dimension, text in said:
            before = known.get(dimension)
            if before is None or (time, text) > before:
                known[dimension] = (time, text)
                changed = True
        return changed

    def _sample(self, time: int, number: int, own: int, cpu: float, said: list[tuple[str, str]]) -> bool:
        """Count a sample unless it is here; whether it is new."""
        window = self._detail.get(number) or self._window(number)
        place, identity = time - number * WINDOW_MS, None
        if said:
            entry, identity = rich(place, own, cpu, _encode((own, cpu, said)))
        else:
            entry = plain(place, own, cpu)
        if not window.add_sample(entry, identity):
            return False
        times = self._times
        rank = self._ranks[-1] if times and time >= times[-1] else self._rank_at(time)
        window.counts[rank] += 1
        if cpu > window.tops[rank]:
            window.tops[rank] = cpu
        head = self.head
        head.put_samples(rank, [cpu])
        head.samples += 1
        exactly = scaled(cpu)
        window.total += exactly
        self._total += exactly
        self._sampled.add(number)
        self._written.add(number)
        return True

    def _window(self, number: int) -> Window:
        window = self._detail.get(number)
        if window is None:
            window = self._detail[number] = Window(number)
            insort(self._numbers, number)
        return window

    # -- states

    def _begin(self, rank: int, time: int, number: int) -> bool:
        """A state begins; whether that is news."""
        times, ranks = self._times, self._ranks
        at = bisect_left(times, time)
        if at < len(times) and times[at] == time:
            before = ranks[at]
            if rank <= before:
                return False
            ranks[at] = rank
        else:
            before = ranks[at - 1] if at else self.head.base
            times.insert(at, time)
            ranks.insert(at, rank)
        self._window(number).add_mark(time, rank)
        self._written.add(number)
        self._patience = self._patience_now()
        if before != rank:
            self._move(time, times[at + 1] if at + 1 < len(times) else _NEVER, before, rank)
        return True

    def _rank_at(self, time: int) -> int:
        at = bisect_right(self._times, time)
        return self._ranks[at - 1] if at else self.head.base

    def _move(self, since: int, until: int, before: int, after: int) -> None:
        """The samples of ``[since, until)`` have another state than was thought."""
        head = self.head
        first = bisect_left(self._numbers, since // WINDOW_MS)
        last = bisect_right(self._numbers, (until - 1) // WINDOW_MS)
        greatest = -1.0
        for number in self._numbers[first:last]:
            window = self._detail[number]
            moved = [cpu for time, cpu in window.samples() if since <= time < until]
            if moved:
                head.take_samples(before, moved)
                head.put_samples(after, moved)
                greatest = max(greatest, *moved)
                window.count_by(self._rank_at)
        if greatest >= 0 and greatest >= head.shares[before].top:
            share = head.shares[before]
            share.top = max(share.folded_top, *(window.tops[before] for window in self._detail.values()))

    # -- the end of a batch

    def settle(self) -> None:
        """Fold what is below the floor, and put into rows all that has changed."""
        rows, head = self._rows, self.head
        self._raise_peak()
        self._fold()
        for key in self._gone:
            rows.delete(key)
        self._put_windows()
        if self._numbers != self._stored_numbers:
            self._put_numbers()
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
            head.total = exact.pack(self._total)
            rows.put(self.key, session_head.encode(head))
        self._sampled, self._written, self._gone, self.dirty = set(), set(), [], False

    def _put_windows(self) -> None:
        """Put what this batch has added; let all rest but the newest, which most is added to."""
        newest = self._numbers[-1:]
        for number in {*self._written, *self._awake}:
            window = self._detail.get(number)
            if window is None:
                continue
            for page in range(window.clean, len(window.pages)):
                self._rows.put(self._page(number, page), bytes(window.pages[page]))
            window.clean = window.stored = len(window.pages)
            if number not in newest:
                window.rest()
            self.nbytes += window.weigh()
        self._awake = newest

    def _put_numbers(self) -> None:
        if self._numbers:
            steps = [self._numbers[0], *(after - before for before, after in pairwise(self._numbers))]
            self._rows.put(_WINDOWS + self._name, _encode(steps))
        else:
            self._rows.delete(_WINDOWS + self._name)
        self._stored_numbers = self._numbers.copy()

    def _raise_peak(self) -> None:
        """Find the peak again, now that some windows have other means."""
        head, best = self.head, self.head.peak
        if best is not None and best.window in self._sampled and self._detail[best.window].mean < best.mean:
            best, changed = head.folded_peak, self._numbers
        else:
            changed = sorted(self._sampled)
        for number in changed:
            window = self._detail[number]
            if window.count:
                best = _higher(best, Peak(window.mean, number, 0))
        if best is not None and best.window in self._detail:
            best = best._replace(rank=self._detail[best.window].rank)
        head.peak = best

    def _fold(self) -> None:
        """Let go of the detail below the floor."""
        head, floor = self.head, self.head.floor
        at = bisect_left(self._times, floor * WINDOW_MS)
        if at:
            head.base = self._ranks[at - 1]
            del self._times[:at], self._ranks[:at]
        at = bisect_left(self._numbers, floor)
        for number in self._numbers[:at]:
            window = self._detail.pop(number)
            if window.count:
                head.folded_peak = _higher(head.folded_peak, Peak(window.mean, number, window.rank))
            for rank, share in head.shares.items():
                share.folded_top = max(share.folded_top, window.tops[rank])
            self._drop(window)
        del self._numbers[:at]

    def _drop(self, window: Window) -> None:
        self._gone += [self._page(window.number, page) for page in range(window.stored)]
        self.nbytes -= window.weighed

    # -- ends

    @property
    def _over(self) -> bool:
        """Whether all of it is folded."""
        return self.head.floor > self.head.end // WINDOW_MS

    def _ending(self) -> int:
        """When the partition's clock will pass its end; that of its retention once it has ended."""
        if self.fresh:
            return _NEVER
        if self._over:
            return self._forgotten_at()
        return self.head.touched + self._patience

    def _patience_now(self) -> int:
        last = self._ranks[-1] if self._ranks else self.head.base
        return self._rules.grace_ms + (0 if last == _LAST_STATE else self._rules.idle_ms)

    def _forgotten_at(self) -> int:
        retention = self._rules.retention_ms
        return _NEVER if self.fresh or retention is None else self.head.touched + max(retention, self._patience)

    def _place(self) -> bytes:
        """Where its index row belongs."""
        if self.fresh:
            return b""
        return moment(OVER, self.head.touched) if self._over else moment(ALIVE, self._ending() + MOMENT_MS)

    # -- rows

    def _page(self, number: int, page: int) -> bytes:
        return _PAGES + self._name + _PAGE.pack(number + _SIGN, page)

    def _load(self) -> None:
        row = self._rows.get(_WINDOWS + self._name)
        if row is None:
            return
        self._numbers = list(accumulate(_decode_numbers(row)))
        self._stored_numbers = self._numbers.copy()
        begins: dict[int, int] = {}
        for number in self._numbers:
            window = self._detail[number] = Window(number, self._load_pages(number))
            for time, rank in window.marks():
                begins[time] = max(rank, begins.get(time, 0))
            self.nbytes += window.weigh()
        self._times = sorted(begins)
        self._ranks = [begins[time] for time in self._times]
        for window in self._detail.values():
            window.count_by(self._rank_at)

    def _load_pages(self, number: int) -> list[bytes]:
        pages: list[bytes] = []
        while not pages or is_full(pages[-1]):
            page = self._rows.get(self._page(number, len(pages)))
            if page is None:
                break
            pages.append(page)
        return pages


def _higher(one: Peak | None, other: Peak) -> Peak:
    """The peak of both: the greater mean, of two the earlier."""
    if one is None or other.mean > one.mean or (other.mean == one.mean and other.window < one.window):
        return other
    return one
