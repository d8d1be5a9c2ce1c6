"""The pages: whatever is in the data is text, what is shown is what the report says, and links ask what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.pages.frame import HEADERS
from ops.pages.markup import element, joined
from ops.pages.picture import ALONE, LEAST, LEFT, RIGHT, bars, picture
from ops.pages.question import Question
from ops.pages.report import FAULT, Errand, report
from ops.pages.sessions import VALUES, refused_page, sessions_page
from ops.pages.worker import PARTITIONS, key_page, worker_page
from ops.reports.session_histograms import BINS, SERIES, Histogram
from ops.reports.session_text import sentences
from ops.reports.sessions import Session, drill_down
from schemas.errors import UsageError
from tests.reading import Seen

EVIL = "<script>alert(1)</script>\"'&\x00\x1b\u202e"
ASKED = Question.of([], 0.3)


def session(peak: float | None, version: str | None, state: str | None = "login", user: str | None = None) -> Session:
    return Session(0, 1, peak, {"version": version, "state": state, "user": user}, {"login": [1] * BINS})


def shown(sessions: list[Session], asked: Question = ASKED) -> tuple[Seen, str]:
    """The page of these sessions."""
    html = sessions_page(asked, sessions, drill_down(sessions, 0.3, chosen=asked.dimensions), ["sessions"]).decode()
    return Seen(html), html


def engine(**more: Any) -> dict[str, Any]:
    return {
        "stream": "sites", "instance": "a-0", "state": "ready", "reason": "", "pid": 7, "restarts": 0,
        "partitions": {}, "counters": {}, **more,
    }  # fmt: skip


def worker(*engines: dict[str, Any], name: str = "a", trouble: str = "") -> tuple[Seen, str]:
    known = {"worker": name, "pid": 1, "host": "h", "version": "1", "python": "3", "started": 0.0, "engines": engines}
    html = worker_page(known, trouble, {}, 5.0).decode()
    return Seen(html), html


# -- whatever is in the data is text


def test_markup_escapes_text_and_attributes_and_nothing_twice() -> None:
    inner = element("b", EVIL, title=EVIL)
    assert "<script" not in inner
    assert element("p", inner) == f"<p>{inner}</p>"
    assert joined([inner, "<"], "&") == f"{inner}&amp;&lt;"
    assert all(character.isprintable() for character in inner)


def test_a_version_that_is_a_script_is_shown_and_not_run() -> None:
    """In sentences, tables, lists, links, titles of histograms and their series; version and user alike."""
    seen, html = shown([session(0.5, EVIL, user=EVIL), session(0.1, "604")], Question.of([("version", EVIL)], 0.3))
    assert "<script" not in html
    assert "script" not in {tag for tag, _ in seen.elements}
    assert seen.tables[0][1][0] == "<script>alert(1)</script>\"'&\\u0000\\u001b\\u202e"
    assert ("version", EVIL) in seen.asks("user")
    assert html.count("&lt;script&gt;") > 8


def test_a_worker_and_its_streams_are_text() -> None:
    """Also their reasons, dead letters and states."""
    evil = engine(
        stream=EVIL, instance=EVIL, state=EVIL, reason=EVIL,
        counters={f"dead_letters:{EVIL}": 3, EVIL: 1},
        partitions={EVIL: {"role": EVIL, "state": EVIL}},
    )  # fmt: skip
    for _, html in (worker(evil, name=EVIL, trouble=EVIL), (None, refused_page(EVIL, [], 0.3, [EVIL]).decode())):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_a_key_and_what_is_known_of_it_are_text() -> None:
    answers = [(200, {EVIL: EVIL}), (404, {"error": EVIL}), (421, {"error": EVIL, "owner": EVIL, "http": EVIL})]
    for status, answer in answers:
        html = key_page(["sites"], EVIL, EVIL, status, json.dumps(answer).encode()).decode()
        assert "<script" not in html
        assert {address.partition("?")[0][:7] for _, address in Seen(html).links} <= {
            "/", "/status", "/metric", "/state/", "http://",
        }  # fmt: skip


def test_a_page_needs_nothing_from_elsewhere_and_allows_nothing() -> None:
    """No script, image, font or frame; all addresses are the worker's own."""
    seen, _ = shown([session(0.5, "700"), session(0.1, "604")])
    tags = {tag for tag, _ in seen.elements}
    assert tags.isdisjoint({"script", "img", "link", "iframe", "object", "embed", "base"})
    assert not [name for _, told in seen.elements for name in told if name.startswith("on") or name == "src"]
    assert all(address.startswith("/") for _, address in seen.links)
    assert HEADERS["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
    )


# -- sessions


def test_the_page_says_what_the_report_says() -> None:
    """Sentences and shares, exactly."""
    sessions = [
        session(0.5, "700", user="Sally"),
        session(0.6, "700", "sync"),
        session(0.1, "604"),
        session(None, None),
    ]
    seen, html = shown(sessions)
    tree = drill_down(sessions, 0.3)
    assert all(element("p", sentence) in html for sentence in list(sentences(tree))[1:])
    values = [value for level in tree.levels for value in level.values]
    assert seen.values == [share for v in values for share in (v.share_of_parent, v.share_of_all, v.baseline)]
    assert [row[:3] for row in seen.tables[0][1:]] == [["700", "2", "2"], ["604", "1", "0"], ["unknown", "1", "0"]]


def test_a_reader_may_ask_for_another_dimension_at_each_level() -> None:
    """The levels above stay as they are; a choice can be taken back."""
    sessions = [session(0.5, "7", "login", "a"), session(0.1, "6", "login", "b")]
    asked = Question.of([("dimension", "user"), ("threshold", "0.3"), ("last", "")], 0.5)
    seen, _ = shown(sessions, asked)
    assert seen.titles[1:4] == ["1 · user", "2 · version", "3 · state"]
    assert seen.asks("state", 0) == [("threshold", "0.3"), ("dimension", "state")]
    assert seen.asks("state", 1) == [("threshold", "0.3"), ("dimension", "user"), ("dimension", "state")]
    assert seen.asks("what separates best") == [("threshold", "0.3")]
    assert seen.fields["dimension"] == "user", "the form keeps it"


def test_an_empty_stream_is_a_page_too() -> None:
    seen, html = shown([])
    assert "there were no sessions" in html
    assert seen.tables == []
    seen, html = shown([session(0.1, "604"), session(None, None)])
    assert "0 % of the sessions had CPU over 30 % (0 of 2)" in html
    assert len(seen.attributes("svg", "aria-label")) == 4, "no other version has a peak"


def test_rows_beyond_the_limit_are_counted_and_long_values_are_cut() -> None:
    """A client may send what it likes; the page stays one that can be read."""
    sessions = [session(0.5, f"{number:03}" + "x" * 100_000) for number in range(VALUES + 3)]
    seen, html = shown(sessions)
    assert len(seen.tables[0]) == VALUES + 1
    assert "and 3 more values" in html
    assert len(html) < 200_000


def test_the_reader_chooses_version_and_state_of_the_histograms() -> None:
    sessions = [session(0.5, "700"), session(0.1, "604", "sync")]
    seen, _ = shown(sessions)
    assert seen.attributes("svg", "aria-label")[-1] == "version 700, state login: samples by user"
    seen, _ = shown(sessions, Question.of([("version", "604"), ("state", "login")], 0.3))
    assert seen.attributes("svg", "aria-label")[-1] == "version 604, state login: samples by user"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ([("last", "soon")], "last: 'soon' is no duration (500ms, 5s, 30m, 12h, 7d)"),
        ([("last", "9" * 400)], "last: a number beyond all numbers"),
        ([("from", "2021-11-03T20:33:19")], "names no zone"),
        ([("last", "1h"), ("to", "5")], "last and from or to exclude each other"),
        ([("from", "6"), ("to", "5")], "from is after to"),
        ([("last", "1h"), ("last", "2h")], "last is given twice"),
        ([("threshold", "2")], "threshold: '2' is more than 1"),
        ([("state", "logn")], "there is no state 'logn'; did you mean 'login'?"),
        ([("treshold", "1")], "sessions are not asked by 'treshold'; did you mean 'threshold'?"),
    ],
)
def test_a_wrong_question_is_refused_with_the_reason(query: list[tuple[str, str]], reason: str) -> None:
    """In one line, on the page, above the form as it was filled in; no broker is asked."""
    with pytest.raises(UsageError):
        Question.of(query, 0.3)
    code, html = report(Errand({}, ["sessions"], 0.3, query, "json", 20))
    assert code == UsageError.exit_code
    assert element("span", reason)[6:-7] in html.decode()
    seen = Seen(html.decode())
    assert all(seen.fields.get(name) in {text, None} for name, text in query if len(query) == 1)


def test_a_fault_of_ours_is_told_and_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page in one line; the log has the rest."""

    def broken(*_: object, **__: object) -> None:
        raise LookupError("nowhere")

    monkeypatch.setattr("ops.reports.session_answers.ask_sessions", broken)
    code, html = report(Errand({}, ["sessions"], 0.3, [], "json", 20))
    assert (code, b"LookupError: nowhere" in html) == (FAULT, True)


# -- histograms


def test_bars_stand_on_their_strip_within_the_axis() -> None:
    """Bin 0 begins at 0, bin 29 ends at 1; the highest is as high as the strip, a single one among many is seen."""
    drawn = list(bars([1, 0, 50, *[0] * 26, 100_000], highest=100_000, top=10, height=40))
    assert [bar.at for bar in drawn] == [0, 2, 29]
    assert [bar.height for bar in drawn] == [LEAST, LEAST, 40]
    assert {bar.y + bar.height for bar in drawn} == {50}
    assert (drawn[0].x, drawn[-1].x) == (LEFT, RIGHT - (RIGHT - LEFT) / BINS)


def test_a_picture_has_a_strip_for_each_series_an_axis_and_the_threshold() -> None:
    one = Seen(picture(Histogram("t", (("a", [0] * 9 + [3, 2] + [0] * 19),)), 0.3))
    rects = [told for tag, told in one.elements if tag == "rect"]
    assert [told["class"] for told in rects] == ["bar over", "bar over"], "bin 9 begins at 0.3"
    assert float(rects[0]["height"] or 0) == ALONE
    threshold = next(told for tag, told in one.elements if tag == "line" and told.get("class") == "threshold")
    assert float(threshold["x1"] or 0) == LEFT + 0.3 * (RIGHT - LEFT)
    series = tuple((str(number), [1] * BINS) for number in range(SERIES + 5))
    many = Seen(picture(Histogram("t", series), None))
    assert len([tag for tag, _ in many.elements if tag == "rect"]) == SERIES * BINS
    heights = [float(told["y"] or 0) + float(told["height"] or 0) for tag, told in many.elements if tag == "rect"]
    assert max(heights) < float(many.attributes("svg", "viewbox")[0].split()[3])


# -- the worker


def test_a_worker_that_is_not_well_says_so_first() -> None:
    _, html = worker(engine(state="failed", reason="no disk", restarts=3), trouble="sites engine a-0: no disk")
    assert html.index("sites engine a-0: no disk") < html.index("Engines")
    assert '<span class="bad">failed</span>' in html


def test_an_engine_that_does_not_answer_has_dashes() -> None:
    """Nothing is known of it, which is not nothing."""
    seen, _ = worker(engine(pid=None))
    assert seen.tables[0][1][2:6] == ["–"] * 4


def test_a_stream_with_two_stages_shows_the_summaries_that_are_published() -> None:
    """Counting publishes partials."""
    seen, _ = worker(engine(counters={"records": 9, "summaries": 0, "merged_summaries": 4, "dead_letters:x": 2}))
    assert seen.tables[0][1][3:7] == ["9", "–", "4", "2"]


def test_more_partitions_than_a_page_shows_are_counted() -> None:
    partition = {"role": "active", "state": "active", "stamp": 5, "log_end": 9}
    seen, html = worker(engine(partitions={str(number): partition for number in range(PARTITIONS + 2)}))
    assert len(seen.tables[1]) == PARTITIONS + 1
    assert "and 2 more" in html
    assert f"{PARTITIONS + 2:,} partitions, {4 * (PARTITIONS + 2):,} records behind" in html


def test_a_key_that_another_worker_has_is_a_link_to_it() -> None:
    answer = {"error": "elsewhere", "owner": "v", "http": "v:1", "partition": 3}
    seen = Seen(key_page(["sites"], "sites", "a/b ..", 421, json.dumps(answer).encode()).decode())
    assert seen.link("ask worker v") == "http://v:1/state?stream=sites&key=a%2Fb+.."


def test_a_key_of_which_too_much_is_known_is_not_shown_but_linked() -> None:
    html = key_page(["sites"], "sites", "a", 200, b"[" + b"1," * (1 << 20) + b"1]").decode()
    assert len(html) < 10_000
    assert Seen(html).link("as JSON") == "/state/sites/a"


def test_an_engine_that_answers_nonsense_costs_a_line() -> None:
    html = key_page(["sites"], "sites", "a", 500, b"500 Internal Server Error").decode()
    assert "an engine answered with status 500" in html


def test_the_pages_are_made_of_escaped_elements_only() -> None:
    """No module but the one that escapes writes a tag; only constants are taken for HTML as they are."""
    for path in sorted((Path(__file__).parents[4] / "ops" / "pages").glob("*.py")):
        for line in path.read_text().splitlines():
            if "Markup(" in line and path.name != "markup.py" and not line.lstrip().startswith(">>>"):
                assert any(known in line for known in ("Markup(_STYLE)", 'Markup("\\n")')), f"{path.name}: {line}"
