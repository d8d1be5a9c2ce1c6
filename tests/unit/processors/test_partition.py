"""One partition on an in-memory log: what is counted once, what an epoch holds, and what a crash leaves."""

from __future__ import annotations

from hashlib import sha256

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.aggregator import TOO_LATE, Counting
from aggregators.rows import Memory, MemoryStore
from aggregators.sites import Sites
from processors import partition as partition_module
from processors.driver import STEPS, Driver
from processors.epoch import STAMP_KEY, Stamp, letter_of
from processors.partition import BEHIND_EPOCH_S, Waiting, start_position
from processors.run import Loose, Record, Run
from schemas.errors import StateError
from schemas.sites import SITES, SiteEvent
from schemas.wire import LETTER_BYTES, LETTER_LENGTH, LETTER_SHA256, MAX_RECORD_BYTES, ORIGIN

SITE_IDS = ("1", "2", "é\x00")


def message(number: int, site: str = "1", at: int = 0) -> bytes:
    return b'{"id":"m%d","type":"message","from":"v%d","site_id":"%b","timestamp":%d,"data":{}}' % (
        number,
        number % 3,
        site.encode().replace(b"\x00", b"\\u0000"),
        at,
    )


def a_driver(memory: Memory | None = None) -> Driver[SiteEvent]:
    return Driver(SITES, Sites(Counting()), memory=memory)


def run_of(driver: Driver[SiteEvent], first: int, next: int) -> Run:
    packets = [Loose(driver.log.input[first:next])]
    return Run("sites", 0, first=first, next=next, packets=packets, end=len(driver.log.input))


def test_a_run_that_is_counted_already_changes_nothing() -> None:
    """What lies below the position is cut, wholly or in part."""
    driver = a_driver()
    driver.send(*(message(n) for n in range(6)))
    assert driver.partition.accept(run_of(driver, 0, 4))
    assert driver.partition.accept(run_of(driver, 0, 4))
    assert driver.partition.accept(run_of(driver, 2, 6))
    driver.end_epoch()
    assert driver.newest["1"]["emails"] == 6
    assert driver.partition.counters.replayed == 6
    assert driver.partition.counters.records == 6


def test_a_run_above_the_position_is_refused() -> None:
    """Offsets that went missing must be sought, never skipped (a prefetch of Faust's that lost a race)."""
    driver = a_driver()
    driver.send(*(message(n) for n in range(6)))
    assert not driver.partition.accept(run_of(driver, 2, 4))
    assert driver.partition.position == 0
    assert not driver.partition.is_open


def test_a_batch_is_as_large_as_the_rows_that_it_is_likely_to_change_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entities that come once are all in memory until the commit; those that come again and again are few rows."""
    monkeypatch.setattr(partition_module, "BATCH_ROWS", 20)
    driver = a_driver()
    for sites, full in ((40, True), (1, False), (40, True)):
        begin = len(driver.log.input)
        driver.send(*(message(begin + n, str(n % sites)) for n in range(40)))
        driver.read()
        driver.end_epoch()
        after = driver.partition.position
        driver.send(*(message(after + n) for n in range(20)))
        assert driver.partition.accept(run_of(driver, after, after + 19))
        assert driver.partition.due_in() > 0
        assert driver.partition.accept(run_of(driver, after + 19, after + 20))
        assert (driver.partition.due_in() <= 0) is full
        driver.end_epoch()


def test_a_run_without_records_moves_the_position_and_opens_no_epoch() -> None:
    """Transaction markers and aborted records in the input cost no transaction of ours."""
    driver = a_driver()
    assert driver.partition.accept(Run("sites", 0, first=0, next=3, packets=[], end=3))
    assert driver.partition.position == driver.partition.durable_offset == 3
    assert driver.partition.seal() is None


def test_the_durable_offset_waits_for_the_acknowledgement() -> None:
    """What the group is told never runs ahead of what is committed."""
    driver = a_driver()
    driver.send(message(1))
    driver.read()
    assert driver.partition.durable_offset == 0
    epoch = driver.partition.seal()
    assert epoch is not None
    assert driver.partition.durable_offset == 0
    driver.partition.committed(epoch, driver.log.commit(epoch))
    assert driver.partition.durable_offset == 1


@pytest.mark.parametrize("under_way", [False, True])
def test_what_waits_can_be_given_up_and_is_read_again(under_way: bool) -> None:
    """A partition that is taken away amid a backlog does not count it first, and its position tells no lies."""
    driver = a_driver()
    driver.send(*(message(n) for n in range(6)))
    driver.read(2)
    epoch = driver.partition.seal()
    assert epoch is not None
    if not under_way:
        driver.partition.committed(epoch, driver.log.commit(epoch))
    driver.read(3)
    driver.partition.give_up_waiting()
    assert (driver.partition.position, driver.partition.waiting, driver.partition.is_open) == (2, 0, False)
    if under_way:
        driver.partition.committed(epoch, driver.log.commit(epoch))
    assert driver.partition.durable_offset == 2
    driver.read()
    driver.end_epoch()
    assert driver.newest["1"]["emails"] == driver.partition.counters.records == 6


def test_input_that_was_lost_is_not_given_up() -> None:
    """Its letter is part of the open epoch, and the position behind the gap is, too."""
    driver = a_driver()
    driver.send(*(message(n) for n in range(6)))
    driver.partition.skip_lost(4)
    driver.read()
    driver.partition.give_up_waiting()
    assert driver.partition.position == 6
    driver.end_epoch()
    assert [reason for _, reason in driver.dead_letters] == ["lost input [0, 4)"]
    assert driver.newest["1"]["emails"] == 2


def test_one_epoch_is_under_way_at_a_time() -> None:
    """The next one fills meanwhile; to seal it early is an error, not a reordering."""
    driver = a_driver()
    driver.send(message(1), message(2))
    driver.read(1)
    first = driver.partition.seal()
    driver.read(1)
    with pytest.raises(StateError, match="while another is under way"):
        driver.partition.seal()
    assert first is not None
    with pytest.raises(StateError, match="not under way"):
        driver.partition.committed(None, 0)  # type: ignore[arg-type]


def test_an_epoch_ends_when_its_batch_is_full() -> None:
    """What a record costs until it is committed is the aggregator's business, so that says how many make a batch."""
    aggregator = Sites(Counting())
    aggregator.batch_records = 3
    driver = Driver(SITES, aggregator)
    driver.send(*map(message, range(3)))
    driver.read(2)
    assert driver.partition.due_in() == 1.0
    driver.read()
    assert driver.partition.due_in() == 0.0


def test_an_epoch_ends_by_time_and_lasts_longer_while_input_waits() -> None:
    """Behind, summaries are about to be outdated: rows that change again and again are sent once."""
    driver = a_driver()
    driver.send(message(1))
    assert driver.partition.due_in() == float("inf")
    driver.read()
    driver.clock.now = 0.25
    assert driver.partition.due_in() == 0.75
    driver.partition.end = 1_000_000
    assert driver.partition.due_in() == BEHIND_EPOCH_S - 0.25


def test_partitions_that_are_read_together_end_their_epochs_at_different_times() -> None:
    """Each by ticks of its own that are an epoch apart, however late in the epoch its first record comes."""
    ends: list[float] = []
    for number in range(4):
        driver = Driver(SITES, Sites(Counting()), partition=number, partitions=4)
        for opened_at in (7.0, 8.0625, 9.9375):
            driver.send(message(1))
            driver.clock.now = opened_at
            driver.read()
            due_in = driver.partition.due_in()
            assert 0.0 < due_in <= 1.0
            ends.append(round((opened_at + due_in) % 1.0, 6) % 1.0)
            driver.clock.now += due_in
            driver.end_epoch()
    by_partition = [set(ends[first : first + 3]) for first in range(0, len(ends), 3)]
    assert [len(some) for some in by_partition] == [1, 1, 1, 1]
    ticks = sorted(set().union(*by_partition))
    assert min(after - before for before, after in zip(ticks, [*ticks[1:], ticks[0] + 1.0], strict=True)) > 0.1


def test_a_bad_record_is_a_letter_with_its_origin_and_the_rest_is_counted() -> None:
    """Its bytes, its topic, partition and offset, the group, the reason; and the file and line it came from."""
    driver = a_driver()
    driver.send(message(1), None, b"", b'{"id":1}', message(2))
    driver.log.input[3] = Record(3, b'{"id":1}', key=b"k", headers=[("origin", b"dir/a:b.jsonl:17")])
    driver.read()
    epoch = driver.partition.seal()
    assert epoch is not None
    assert [letter.value for letter in epoch.letters] == [b"", b"", b'{"id":1}']
    last = epoch.letters[-1]
    assert last.key == b"k"
    assert dict(last.headers) == {
        "__dlq.errors.topic": b"sites",
        "__dlq.errors.partition": b"0",
        "__dlq.errors.offset": b"3",
        "__dlq.errors.group": b"streamgauge-sites",
        "__dlq.errors.message": b"Object missing required field `type`",
        "__dlq.errors.file": b"dir/a:b.jsonl",
        "__dlq.errors.line": b"17",
    }
    driver.partition.committed(epoch, driver.log.commit(epoch))
    assert driver.newest["1"]["emails"] == 2
    assert driver.partition.counters.letters == {"malformed": 3}


def test_a_letter_is_never_larger_than_its_topic_takes() -> None:
    """Somebody raised the input topic's limit: cut as producers cut theirs, else the engine meets it for ever."""
    value, long = b"{" * (MAX_RECORD_BYTES + 1), b"f" * 5_000_000
    letter = letter_of(Record(7, value, long, headers=[(ORIGIN, long + b":12")]), "sites", 0, "group", "malformed")
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (long[:LETTER_BYTES], value[:LETTER_BYTES])
    assert headers[LETTER_LENGTH] == b"%d" % len(value)
    assert headers[LETTER_SHA256] == sha256(value).hexdigest().encode()
    assert sum(map(len, headers.values())) < 10_000, "the file's name is cut, too"
    whole = letter_of(Record(7, value[1:], b"kk"), "sites", 0, "group", "malformed")
    assert (whole.key, whole.value) == (b"kk", value[1:])
    assert LETTER_LENGTH not in dict(whole.headers)


def test_an_epoch_ends_early_where_its_letters_hold_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters hold opened values. What is left waits for the next epoch, and a crash in between loses none of it."""
    monkeypatch.setattr(partition_module, "LETTERS_BYTES", 100)
    for limit in ("PART_BYTES", "OPEN_BYTES"):  # of the module as it was loaded for the partition
        monkeypatch.setitem(Waiting.parts.__globals__, limit, 100)
    driver = a_driver()
    bad = [b"x%02d" % number * 20 for number in range(12)]
    driver.send(*[value for pair in zip(map(message, range(12)), bad, strict=True) for value in pair])

    def fetch() -> None:
        for first in range(driver.partition.position, 24, 2):
            driver.partition.accept(run_of(driver, first, first + 2))

    fetch()
    offsets: list[int] = []
    while driver.partition.is_open:
        epoch = driver.partition.seal()
        assert epoch is not None
        driver.partition.committed(epoch, driver.log.commit(epoch))
        offsets.append(driver.partition.stamp.offset)
        assert len(epoch.letters) <= 3
        if len(offsets) == 2:
            assert driver.partition.waiting
            driver.crash("settled")  # with one more epoch
            fetch()
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == driver.partition.durable_offset == 24
    assert [value for value, _ in driver.dead_letters] == bad
    assert driver.newest["1"]["emails"] == 12


def test_a_record_that_only_state_can_refuse_is_a_letter_too() -> None:
    """`too late` comes from the aggregator, after decoding."""
    driver = Driver(SITES, Sites(Counting(retention_ms=10_000)))
    driver.send(message(1, at=100), message(2, at=89), message(3, at=90))
    driver.read()
    driver.end_epoch()
    assert driver.dead_letters == [(message(2, at=89), TOO_LATE)]
    assert driver.newest["1"]["emails"] == 2


def test_a_site_of_another_partition_is_refused() -> None:
    """The Kafka key is not trusted; murmur2 of the site decides where it may live."""
    driver = Driver(SITES, Sites(Counting()), partition=0, partitions=8)  # murmur2("1") names partition 7
    driver.send(message(1))
    driver.read()
    driver.end_epoch()
    assert driver.newest == {}
    assert [reason for _, reason in driver.dead_letters] == ["wrong partition"]


def test_lost_input_leaves_one_letter_that_names_the_gap() -> None:
    """With --skip-lost the partition goes on at the log's start."""
    driver = a_driver()
    driver.partition.skip_lost(7)
    epoch = driver.partition.seal()
    assert epoch is not None
    assert epoch.stamp.offset == 7
    assert [(letter.value, dict(letter.headers)["__dlq.errors.message"]) for letter in epoch.letters] == [
        (b"", b"lost input [0, 7)")
    ]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(SITE_IDS), st.integers(0, 9)), max_size=40),
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from((*STEPS, "epoch", "forget"))), max_size=12),
)
@settings(deadline=None, max_examples=60)
def test_no_crash_at_any_step_loses_or_repeats_a_record(
    events: list[tuple[int, str, int]], steps: list[tuple[int, str]]
) -> None:
    """Cut, crashed and evicted anywhere: the summaries are those of one undisturbed pass, each dead letter once."""
    values = [message(n, site, at) if n else b"torn %d" % i for i, (n, site, at) in enumerate(events)]
    calm, stormy = a_driver(), a_driver(memory=Memory(1))
    for driver in (calm, stormy):
        driver.send(*values)
    for most, step in steps:
        stormy.read(most)
        if step in STEPS:
            stormy.crash(step)
        elif step == "epoch":
            stormy.end_epoch(settle=False)
    for driver in (calm, stormy):
        driver.read()
        driver.end_epoch()

    def plain(driver: Driver[SiteEvent]) -> dict[str, dict[str, int]]:
        return {site: {k: v for k, v in s.items() if k != "revision"} for site, s in driver.newest.items()}

    assert plain(stormy) == plain(calm)
    assert sorted(stormy.dead_letters) == sorted(calm.dead_letters)
    assert len(stormy.dead_letters) == sum(1 for n, _, _ in events if not n)


def test_revisions_never_fall_for_a_key() -> None:
    """They are source positions, so a crash that repeats an epoch repeats at least its position."""
    driver = a_driver()
    for number in range(6):
        driver.send(message(number))
        driver.read()
        driver.crash("sealed" if number % 2 else "committed")
        driver.read()
        driver.end_epoch()
    revisions = [orjson.loads(value)["revision"] for _, value, _ in driver.log.outputs if value is not None]
    assert revisions == sorted(revisions)
    assert revisions


class TestStartPosition:
    """Where counting begins after a restore."""

    @staticmethod
    def stamped(offset: int, version: int = 1) -> MemoryStore:
        return MemoryStore({STAMP_KEY: Stamp(offset, version).encode()})

    def test_without_a_stamp_all_of_the_log_is_counted(self) -> None:
        """Whatever the group committed: nothing is counted (changelog and state deleted, group offsets kept)."""
        assert start_position(MemoryStore(), 1, "sites", 0, 5, 9) == (5, None)

    def test_the_stamp_decides(self) -> None:
        """It is the only authority."""
        assert start_position(self.stamped(7), 1, "sites", 0, 5, 9) == (7, None)

    def test_a_stamp_below_the_log_is_lost_input(self) -> None:
        """Retention removed what was not counted."""
        assert start_position(self.stamped(3), 1, "sites", 0, 5, 9) == (3, 5)

    def test_a_stamp_beyond_the_log_is_doubt(self) -> None:
        """The topic was recreated or truncated."""
        with pytest.raises(StateError, match="counts up to offset 10, but the topic ends at 9"):
            start_position(self.stamped(10), 1, "sites", 0, 5, 9)

    def test_a_stamp_of_another_topic_of_that_name_is_doubt(self) -> None:
        """However long the new one is: its first records are not those that are counted."""
        store = MemoryStore({STAMP_KEY: Stamp(7, 1, "first").encode()})
        assert start_position(store, 1, "sites", 0, 5, 9, "first") == (7, None)
        with pytest.raises(StateError, match="of an earlier topic sites, which was deleted and made anew"):
            start_position(store, 1, "sites", 0, 5, 9, "second")
        assert start_position(self.stamped(7), 1, "sites", 0, 5, 9, "second") == (7, None), "an old release's stamp"

    def test_rows_of_another_format_are_refused(self) -> None:
        """No guess at bytes that another release wrote."""
        with pytest.raises(StateError, match="has format 2, this program writes 1"):
            start_position(self.stamped(7, version=2), 1, "sites", 0, 5, 9)

    def test_a_stamp_that_cannot_be_read_is_doubt(self) -> None:
        """One line says what to do."""
        with pytest.raises(StateError, match="delete this state directory"):
            start_position(MemoryStore({STAMP_KEY: b"{"}), 1, "sites", 0, 0, 0)
