"""The judge of the fault cases finds whatever could be wrong: a check that lets something pass proves nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import Place, Right, Seen, Summary, judge
from tests.faults.loads.sites import FILE, Event, again, answer_of, make

LOAD = make(seed=3, events=400, sites=6, bad=0.02)
SUMMARIES = [Summary(site, revision, fields) for revision in (1, 2) for site, fields in LOAD.answer.items()]
BAD: dict[Place, bytes] = {(number % 4, 100 + number): value for number, value in enumerate(LOAD.bad)}
LETTERS = list(BAD.items())
RIGHT = Right(LOAD.answer, BAD)


def test_an_exact_outcome_passes() -> None:
    """Summaries that a later one corrected are no fault."""
    early = [Summary(site, 0, {**fields, "messages": 0}) for site, fields in LOAD.answer.items()]
    assert judge(Seen([*early, *SUMMARIES], LETTERS), RIGHT).valid is True


@pytest.mark.parametrize("change", [-1, 1], ids=["lost", "counted twice"])
@pytest.mark.parametrize("name", ["messages", "emails", "operators", "visitors"])
def test_one_event_lost_or_counted_twice_is_found(name: str, change: int) -> None:
    last = SUMMARIES[-1]
    wrong = Summary(last.key, 3, {**(last.fields or {}), name: (last.fields or {})[name] + change})
    verdict = judge(Seen([*SUMMARIES, wrong], LETTERS), RIGHT)
    assert verdict.valid is False
    assert verdict.findings[0].startswith(f"{last.key}: {name} ")


@pytest.mark.parametrize(
    ("summaries", "finding"),
    [
        ([summary for summary in SUMMARIES if summary.key != "0"], "0: no summary"),
        ([*SUMMARIES, Summary("x", 1, {})], "x: a summary of nothing that was sent"),
        ([*SUMMARIES, Summary("0", 1, LOAD.answer["0"])], "0: revision 1 after 2"),
        ([*SUMMARIES, Summary("0", 2, LOAD.answer["0"])], "0: revision 2 published twice"),
    ],
)
def test_a_summary_that_is_missing_unexpected_backwards_or_repeated_is_found(
    summaries: list[Summary], finding: str
) -> None:
    assert finding in judge(Seen(summaries, LETTERS), RIGHT).findings


def test_a_removed_entity_is_found() -> None:
    """A tombstone is no right summary, and no wrong one where nothing must be there."""
    removed = Seen([*SUMMARIES, Summary("0", 3, None)], LETTERS)
    assert judge(removed, RIGHT).findings == ["0: no summary"]
    others = {key: fields for key, fields in LOAD.answer.items() if key != "0"}
    assert judge(removed, Right(others, BAD)).valid
    assert judge(Seen([*removed.summaries, Summary("0", 3, None)], LETTERS), Right(others, BAD)).findings == [
        "0: revision 3 published twice"
    ]


def test_a_row_beside_the_summaries_that_is_missing_wrong_or_too_many_is_found() -> None:
    right = Right(LOAD.answer, BAD, rows={"a": {"text": "x"}, "b": {"text": "y"}})
    seen = Seen(SUMMARIES, LETTERS, [Summary("a", 1, {"text": "z"}), Summary("c", 1, {"text": "y"})])
    assert judge(seen, right).findings == [
        "b: no row",
        "c: a row of nothing that was sent",
        "a: text z instead of x",
    ]


def test_lines_of_a_file_that_was_sent_twice_have_at_most_two_dead_letters() -> None:
    """Offsets have one, however often anything was run."""
    line: Place = "day.csv", 7
    right = Right(LOAD.answer, {**BAD, line: b"x"}, runs=2)
    for times, findings in [(0, 1), (1, 0), (2, 0), (3, 1)]:
        assert len(judge(Seen(SUMMARIES, LETTERS + [(line, b"x")] * times), right).findings) == findings
    assert not judge(Seen(SUMMARIES, [*LETTERS, LETTERS[0], (line, b"x")]), right).valid


def test_a_dead_letter_that_is_missing_repeated_altered_or_undeserved_is_found() -> None:
    (offset, value), rest = LETTERS[0], LETTERS[1:]
    place = f"{offset[0]}@{offset[1]}"
    for letters, finding in [
        (rest, f"bad record {place}: 0 dead letters instead of 1"),
        ([*LETTERS, LETTERS[0]], f"bad record {place}: 2 dead letters instead of 1"),
        ([(offset, value + b" "), *rest], f"bad record {place}: its dead letter has other bytes"),
        ([*LETTERS, ((0, 7), b"{}")], "0@7: a dead letter of a good record"),
    ]:
        assert judge(Seen(SUMMARIES, letters), RIGHT).findings == [finding]


def event(number: int, kind: str, sender: str, timestamp: int, status: str = "") -> Event:
    data = {"status": status} if status else {}
    return {"id": f"{number:03}", "type": kind, "from": sender, "site_id": "1", "timestamp": timestamp, "data": data}


def test_the_answer_follows_the_rules() -> None:
    """Worked out by hand: equal moments, a tie of two statuses, an operator who only ever signs off."""
    events = [
        event(1, "message", "v1", 9),
        event(2, "status", "o1", 10, "online"),
        event(3, "message", "v2", 10),
        event(5, "status", "o1", 20, "offline"),
        event(4, "status", "o1", 20, "online"),
        event(6, "message", "v1", 20),
        event(7, "status", "o2", 5, "offline"),
    ]
    assert answer_of(events) == {"1": {"site_id": "1", "messages": 1, "emails": 2, "operators": 2, "visitors": 2}}


@given(st.permutations(range(39)))
def test_the_answer_knows_no_order_and_no_duplicates(order: list[int]) -> None:
    """It stands for what must come out of any arrival."""
    events = [event(n, "message", f"v{n % 3}", n * 3 % 50) for n in range(20)]
    events += [event(n + 20, "status", "o", n * 7 % 50, ("online", "offline")[n % 2]) for n in range(9)]
    assert answer_of([events[n % 29] for n in order]) == answer_of(events)


def test_a_seed_repeats_a_workload() -> None:
    """What failed once can be looked at again."""
    assert make(seed=5, events=50) == make(seed=5, events=50)
    assert make(seed=5, events=50) != make(seed=6, events=50)


def test_a_load_that_is_made_again_has_the_answer_that_it_says() -> None:
    """Other sites and other ids, and the same order of what happened at one moment."""
    load = make(seed=3, events=4_000, sites=2, duplicates=0.0, bad=0.0)
    other = again(load, 7)
    events: list[list[Event]] = [[json.loads(line) for line in one.files[FILE].splitlines()] for one in (load, other)]
    assert answer_of(events[1]) == other.answer
    assert not {event["id"] for event in events[0]} & {event["id"] for event in events[1]}
    assert not load.answer.keys() & other.answer.keys()
