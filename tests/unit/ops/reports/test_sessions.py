"""`report sessions`: the tree, its sentences and its pictures, and the simulation whose finding is known."""

from __future__ import annotations

import json
from collections import Counter
from math import log2

from hypothesis import given
from hypothesis import strategies as st

from aggregators.aggregator import Batch, Counting
from aggregators.rows import MemoryStore, Rows
from aggregators.sessions import Sessions
from ops.reports.session_histograms import bars, histograms
from ops.reports.session_text import sentences
from ops.reports.sessions import Interval, Session, dimensions_of, drill_down, gain
from ops.samples import sample_of
from schemas.sessions import SESSIONS

SAMPLE = sample_of("sessions")


def session(
    peak: float | None,
    version: str | None = None,
    state: str | None = None,
    user: str | None = None,
    **more: str | None,
) -> Session:
    return Session(0, 1, peak, {"version": version, "state": state, "user": user, **more})


def simulated() -> list[Session]:
    """The sessions of the sample data."""
    sessions, rows = Sessions(Counting(max_ahead_ms=0)), Rows(MemoryStore())
    lines = [line for path in (SAMPLE.paths if SAMPLE else ()) for line in path.read_bytes().splitlines()]
    sessions.update(rows, Batch(SESSIONS.decoder.decode(lines).records, []))
    return [Session(**sessions.view(rows, key, "report", {"samples": "1"})) for key in sessions.keys(rows)]


def test_the_simulation_finds_version_700_at_login() -> None:
    """The specification's known answer."""
    tree = drill_down(simulated(), 0.3)
    assert [(level.dimension, level.chosen) for level in tree.levels][:2] == [("version", "700"), ("state", "login")]
    assert (tree.sessions, tree.high) == (10, 5)


def test_the_tree_is_the_contracts() -> None:
    """To the key: shares by their definitions, the level below within the chosen value."""
    sessions = [
        session(0.5, "700", "login"),
        session(0.5, "700", "login"),
        session(0.5, "700", "sync"),
        session(0.5, "604", "sync"),
        session(0.1, "604", "login"),
        session(0.1, "604", "login"),
        session(None),
        session(0.3, "604"),
    ]
    tree = drill_down(sessions, 0.3, Interval(5, 9)).json()
    levels = tree.pop("levels")
    assert tree == {"from": 5, "to": 9, "threshold": 0.3, "sessions": 8, "high": 4, "share": 0.5}
    assert levels[0] == {
        "dimension": "version",
        "chosen": "700",
        "values": [
            {"value": "700", "sessions": 3, "share_of_parent": 0.75, "share_of_all": 0.375, "baseline": 0.375},
            {"value": "604", "sessions": 4, "share_of_parent": 0.25, "share_of_all": 0.125, "baseline": 0.5},
            {"value": None, "sessions": 1, "share_of_parent": 0.0, "share_of_all": 0.0, "baseline": 0.125},
        ],
    }
    assert levels[1]["dimension"] == "state"
    assert levels[1]["values"][0] == {
        "value": "login", "sessions": 2, "share_of_parent": 2 / 3, "share_of_all": 0.25, "baseline": 0.5,
    }  # fmt: skip


def test_the_greatest_gain_wins_and_of_equal_ones_the_first() -> None:
    """First are version, state, user, then what was configured, in its order."""
    sessions = [session(0.5, "7", "login", "a", os="x", app="p"), session(0.1, "7", "login", "b", os="y", app="q")]
    assert [level.dimension for level in drill_down(sessions, 0.3).levels] == ["user", "version", "state", "os", "app"]
    assert dimensions_of(sessions) == ("version", "state", "user", "os", "app")


def test_a_reader_chooses_the_first_dimensions() -> None:
    sessions = [session(0.5, "7", "login", "a"), session(0.1, "6", "login", "b")]
    chosen = drill_down(sessions, 0.3, chosen=["state", "user"])
    assert [level.dimension for level in chosen.levels] == ["state", "user", "version"]


def test_without_high_sessions_there_is_nothing_to_look_into() -> None:
    """A peak at the threshold is not over it; a session without samples has no peak."""
    tree = drill_down([session(0.3), session(None)], 0.3)
    assert (tree.high, tree.share, tree.levels) == (0, 0.0, ())
    assert list(sentences(tree)) == ["0 % of the sessions had CPU over 30 % (0 of 2)"]
    nothing = drill_down([], 0.3)
    assert nothing.json()["share"] is None
    assert list(sentences(nothing)) == ["there were no sessions"]


def test_numbers_are_split_at_the_best_point() -> None:
    """By their value, not their text; who never reported one is a third group."""
    high = [session(0.5, **{"file:length": str(length)}) for length in (43, 50, 100)]
    low = [session(0.1, **{"file:length": str(length)}) for length in (5, 9, 42)]
    tree = drill_down([*high, *low, session(0.1, **{"file:length": None})], 0.3)
    level = tree.levels[0]
    assert (level.dimension, level.chosen) == ("file:length", "> 42")
    assert [(value.value, value.sessions) for value in level.values] == [("> 42", 3), ("<= 42", 3), (None, 1)]
    assert list(sentences(tree))[1] == (
        "of those 100 % had a file longer than 42 characters (43 % of all sessions had); "
        "0 % of at most 42 characters (43 %), 0 % unknown (14 %)"
    )


def test_versions_are_names_though_they_look_like_numbers() -> None:
    sessions = [session(0.5, "604"), session(0.1, "605"), session(0.5, "606")]
    assert {value.value for value in drill_down(sessions, 0.3).levels[0].values} == {"604", "605", "606"}


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1))
def test_gain_is_what_the_textbook_says(told: list[tuple[int, bool]]) -> None:
    """Entropy of the whole less that of the parts, weighed by their sizes."""

    def entropy(highs: list[bool]) -> float:
        return -sum(n / len(highs) * log2(n / len(highs)) for n in Counter(highs).values())

    groups = [[high for value, high in told if value == one] for one in {value for value, _ in told}]
    expected = entropy([high for _, high in told]) - sum(len(its) / len(told) * entropy(its) for its in groups)
    assert abs(gain([(len(its), sum(its)) for its in groups]) - expected) < 1e-9


def test_an_interval_is_told_as_it_was_asked_for() -> None:
    """By its length, or by its ends; a session belongs to it when it starts in ``[from, to)``."""
    sessions = [session(0.5)]

    def said(interval: Interval) -> str:
        return next(sentences(drill_down(sessions, 0.3, interval))).split("100 %")[0]

    assert said(Interval(last=43_200_000)) == "over the last 12 hours "
    assert said(Interval(last=86_400_000)) == "over the last day "
    assert said(Interval(last=5_400_000)) == "over the last 90 minutes "
    assert said(Interval(0, 1000)) == "from 1970-01-01 00:00:00 UTC to 1970-01-01 00:00:01 UTC "
    assert said(Interval(2**62)) == f"since {2**62} ms "
    assert said(Interval()) == ""
    interval = Interval(last=10).until_now(100)
    assert (interval.since, interval.holds(89), interval.holds(90)) == (90, False, True)
    assert (Interval(5, 9).holds(5), Interval(5, 9).holds(9)) == (True, False)


def test_shares_are_never_rounded_to_nothing_or_all() -> None:
    sessions = [session(0.5, "7")] * 999 + [session(0.5, "6")]
    assert ">99 % were running version 7" in list(sentences(drill_down(sessions, 0.3)))[1]
    assert "<1 % 6 (<1 %)" in list(sentences(drill_down(sessions, 0.3)))[1]


def test_a_line_stays_one_line() -> None:
    """Whatever a client calls its version."""
    tree = drill_down([session(0.5, "7\n\x1b[31m", "login", "a\r")], 0.3)
    assert all(line.isprintable() for line in sentences(tree))
    assert all(line.isprintable() for picture in histograms([session(0.5, "7\n")], tree) for line in bars(picture))


def test_the_five_histograms_are_those_of_the_specification() -> None:
    """Of the simulation: each sample and each peak is in them once."""
    sessions = simulated()
    pictures = histograms(sessions, drill_down(sessions, 0.3))
    assert [picture.title for picture in pictures] == [
        "session peaks",
        "session peaks by version",
        "version 700: session peaks by state",
        "all other versions: session peaks by state",
        "version 700, state login: samples by user",
    ]
    assert [sum(sum(bins) for _, bins in picture.series) for picture in pictures] == [10, 10, 5, 5, 45]
    assert all(len(bins) == 30 for picture in pictures for _, bins in picture.series)
    assert json.loads(json.dumps(pictures[1].json()))["series"][0]["value"] == "700"


def test_the_table_has_a_row_for_each_value() -> None:
    table = drill_down([session(0.5, "7"), session(0.1, "6")], 0.3).table()
    assert list(table.csv())[:3] == [
        "level,dimension,value,chosen,sessions,share_of_parent,share_of_all,baseline",
        "1,version,7,1,1,1.0,0.5,0.5",
        "1,version,6,0,1,0.0,0.0,0.5",
    ]
