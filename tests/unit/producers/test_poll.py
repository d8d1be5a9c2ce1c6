"""Reading an id range from a paged API that fails, into a broker that acknowledges when it likes; nothing is real."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Container
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers import poll as polling
from producers.pages import Page, PageGivenUp
from producers.poll import ANY, Poll, ends
from producers.publisher import Ticket
from producers.ranges import Ranges
from producers.records import Parsed
from producers.simulate.recorded import Recorded
from schemas.items import ITEMS
from schemas.wire import LETTER_BYTES, MAX_RECORD_BYTES

LIMIT = 5


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes time."""
    monkeypatch.setattr(polling, "PULSE_S", 0.0005)


def item(number: int) -> bytes:
    return b'{"food__category_id": 8, "food_id": 1, "id": %d}' % number


class HandApi:
    """An API whose pages at some offsets never come."""

    limit = LIMIT

    def __init__(self, ids: set[int], broken: Container[int]) -> None:
        self.catalogue = Recorded(map(item, ids))
        self.broken = broken
        self.asked: list[int] = []

    async def page(self, offset: int) -> Page:
        self.asked.append(offset)
        await asyncio.sleep(0)
        if offset in self.broken:
            raise PageGivenUp(f"offset {offset}")
        return Page(*self.catalogue.page(offset, LIMIT), name="page")


class HandBroker:
    """Acknowledges at the next rest what it took, or never."""

    def __init__(self, *, silent: bool = False) -> None:
        self.spans: dict[int, Any] = {}
        self.delivered: Counter[int] = Counter()
        self.rejected: list[bytes] = []
        self._silent = silent
        self._open: list[Ticket] = []

    def send(self, file: str, parsed: Parsed) -> Ticket:
        assert file == "page"
        ticket = Ticket(self)  # pyright: ignore[reportArgumentType]
        ticket.records = ticket.records_left = len(parsed.values)
        ticket.rejected = len(parsed.rejected)
        self.rejected += [each.value for each in parsed.rejected]
        self.delivered.update(int(re.findall(rb'"id":(-?\d+)', value)[0]) for value in parsed.values)
        self._open.append(ticket)
        return ticket

    def rest(self, seconds: float) -> None:
        if not self._silent:
            for ticket in self._open:
                ticket.records_left = 0
            self._open.clear()


def run(api: HandApi, broker: HandBroker, missing: Ranges, *, last: int | None, readers: int = 3) -> Poll:
    """One run to its end, everything acknowledged."""
    poll = Poll(api, broker, ITEMS, missing, last=last, readers=readers, stop=lambda: False)
    asyncio.run(poll.run(lambda: None))
    broker.rest(0)
    poll.settle()
    return poll


ids = st.sets(st.integers(0, 300), max_size=80)


@settings(deadline=None)
@given(ids, st.integers(0, 300), st.integers(0, 300), st.integers(1, 6))
def test_every_id_between_the_ends_is_delivered_once(there: set[int], one: int, other: int, readers: int) -> None:
    """Both ends inclusive; none twice and none missed at the borders of the subsets."""
    first, last = sorted([one, other])
    api, broker = HandApi(there, set()), HandBroker()
    poll = run(api, broker, Ranges([(first, last)]), last=last, readers=readers)
    assert broker.delivered == Counter({number for number in there if first <= number <= last})
    assert (poll.missing.spans, poll.given_up) == ([], [])


@settings(deadline=None)
@given(ids, st.sets(st.integers(0, 300), max_size=60))
def test_what_is_missing_is_exactly_what_was_not_delivered(there: set[int], broken: set[int]) -> None:
    """Whatever pages are given up; and once they come, the same again reads only the rest."""
    api, broker = HandApi(there, broken), HandBroker()
    missing = run(api, broker, Ranges([(0, ANY)]), last=300).missing
    lost = {number for number in there if any(first <= number <= last for first, last in missing.spans)}
    assert broker.delivered == Counter(there - lost)
    api.broken, api.asked = set(), []
    assert not run(api, broker, Ranges(missing.spans), last=300).missing
    assert broker.delivered == Counter(there)
    assert all(any(first <= offset <= last for first, last in missing.spans) for offset in api.asked)


@settings(deadline=None)
@given(ids.filter(bool), st.integers(0, 50))
def test_the_ends_of_what_there_is_are_found(there: set[int], first: int) -> None:
    """By few pages, wherever they are."""
    far = {number * 1_000_003 for number in there if number >= first}
    api = HandApi(far, set())
    found = asyncio.run(ends(api, first, ITEMS))
    assert found == ((min(far), max(far)) if far else (first, first - 1))
    assert len(api.asked) < 60


@settings(deadline=None)
@given(ids, st.sets(st.integers(0, 300), max_size=60))
def test_without_a_known_end_what_is_missing_is_told_as_exactly(there: set[int], broken: set[int]) -> None:
    """A page that is given up while the end is looked for does not end the run; who reads comes by the end."""
    api, broker = HandApi(there, broken), HandBroker()
    first, last = asyncio.run(ends(api, 0, ITEMS))
    poll = run(api, broker, Ranges([(first, ANY)]), last=last)
    told = [each.split("-") for each in poll.left.split(", ") if each]
    lost = {number for number in there if any(int(a) <= number <= int(b or ANY) for a, b in told)}
    assert broker.delivered == Counter(there - lost)
    assert all(b or poll.last is None for _, b in told)


def test_an_end_that_nobody_knows_is_left_open_until_a_reader_comes_by_it() -> None:
    """Neither the first page nor any other is had at first; then only the first is not."""
    api, broker = HandApi({1, 2, 3, 50_000}, range(ANY)), HandBroker()
    first, last = asyncio.run(ends(api, 0, ITEMS))
    poll = run(api, broker, Ranges([(first, ANY)]), last=last)
    assert (poll.left, poll.count_left) == ("0-", None)
    api.broken = {0}
    poll = run(api, broker, Ranges(poll.missing.spans), last=poll.last)
    assert (poll.last, broker.delivered[50_000]) == (50_000, 1)
    assert poll.left.startswith("0-")
    assert not poll.left.endswith("-")
    assert poll.count_left is not None


def test_an_api_that_grows_has_no_known_end() -> None:
    """What was looked up before does not hold any more, so nothing of the rest is left untold."""
    api, broker = HandApi(set(range(0, 40_000, 100)), {30_000}), HandBroker()
    poll = run(api, broker, Ranges([(0, ANY)]), last=10_000, readers=1)
    assert not broker.delivered[30_000]
    assert poll.last is None or poll.last == 39_900
    assert [
        each for each in poll.left.split(", ") if int(each.split("-")[0]) <= 30_000 <= int(each.split("-")[1] or ANY)
    ]


def test_gaps_of_any_size_cost_one_page() -> None:
    """A page says that there is nothing before its first item, so nobody looks."""
    api, broker = HandApi({7, 658_330_693, 2**62}, set()), HandBroker()
    assert not run(api, broker, Ranges([(0, ANY)]), last=2**62).missing
    assert sorted(broker.delivered) == [7, 658_330_693, 2**62]
    assert len(api.asked) < 20


def test_an_api_that_is_down_ends_the_run_early() -> None:
    """Three pages given up in a row, and nothing in between: asking for all of the others is of no use."""
    api, broker = HandApi(set(range(1000)), set(range(1000))), HandBroker()
    poll = run(api, broker, Ranges([(0, 999)]), last=999, readers=1)
    assert poll.missing.spans == [(0, 999)]
    assert len(poll.given_up) <= 4


@pytest.mark.parametrize(
    ("broken", "most"), [(range(200_000), 22), (range(100_000, 290_000), 22), (range(290_000), 32)]
)
def test_a_broken_stretch_of_any_width_is_passed(broken: range, most: int) -> None:
    """What lies behind it is delivered; in it, a subset costs one page at most."""
    there = set(range(0, 300_000, 1000))
    api, broker = HandApi(there, broken), HandBroker()
    poll = run(api, broker, Ranges([(0, 299_999)]), last=299_999, readers=2)
    lost = {number for number in there if any(first <= number <= last for first, last in poll.missing.spans)}
    assert broker.delivered == Counter(there - lost)
    assert len(poll.given_up) <= most
    assert there - set(broken) - lost >= {number for number in there if number >= broken.stop + 10_000}


def test_what_the_broker_has_not_acknowledged_stays_missing() -> None:
    """A kill at that moment loses nothing."""
    api, broker = HandApi({1, 2, 3}, set()), HandBroker(silent=True)
    poll = Poll(api, broker, ITEMS, Ranges([(0, 9)]), last=9, readers=2, stop=lambda: False)
    asyncio.run(poll.run(lambda: None))
    assert sorted(broker.delivered) == [1, 2, 3]
    assert {1, 2, 3} <= {number for first, last in poll.missing.spans for number in range(first, last + 1)}


def test_a_bad_item_is_rejected_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its original bytes, once, by the reader in whose subset it lies."""

    async def page(_api: Any, offset: int) -> Page:
        items = [item(1), b'{"id": "x"}', item(12), b"null"]
        return Page(items if offset < 2 else items[2:] if offset < 13 else [], None, "page")

    monkeypatch.setattr(HandApi, "page", page)
    broker = HandBroker()
    run(HandApi(set(), set()), broker, Ranges([(0, 19)]), last=19, readers=2)
    assert sorted(broker.delivered.items()) == [(1, 1), (12, 1)]
    assert sorted(broker.rejected) == [b"null", b'{"id": "x"}']


def test_a_bad_item_before_all_good_ones_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading begins at the first good id only where no bad one lies before it."""

    async def page(_api: Any, offset: int) -> Page:
        items = [(3, b'{"id": 3}'), (7, item(7)), (8, b"null"), (9, item(9))]
        return Page([value for number, value in items if number >= offset], None, "page")

    monkeypatch.setattr(HandApi, "page", page)
    api, broker = HandApi(set(), set()), HandBroker()
    first, last = asyncio.run(ends(api, 1, ITEMS))
    assert not run(api, broker, Ranges([(first, ANY)]), last=last, readers=1).missing
    assert sorted(broker.rejected) == [b"null", b'{"id": 3}']
    assert sorted(broker.delivered) == [7, 9]
    assert asyncio.run(ends(api, 4, ITEMS)) == (7, 9)


def test_an_item_that_the_broker_would_refuse_is_rejected_and_reading_goes_on() -> None:
    """Its letter keeps the head. Blanks are not sent, so they do not count."""
    large = b'{"category_id":8,"food_id":1,"id":2,"note":"%b"}' % (b"x" * MAX_RECORD_BYTES)
    spaced = b'{"category_id":8,"food_id":1,"id":3,%b"note":""}' % (b" " * MAX_RECORD_BYTES)
    api, broker = HandApi({1, 4}, set()), HandBroker()
    api.catalogue = Recorded([item(1), large, spaced, item(4)])
    assert not run(api, broker, Ranges([(0, 9)]), last=4).missing
    assert broker.delivered == Counter({1: 1, 3: 1, 4: 1})
    assert broker.rejected == [large[:LETTER_BYTES]]
