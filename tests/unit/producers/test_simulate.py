"""Synthetic input: the same seed gives the same bytes, and what the options ask for is in there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ops.commands.simulate import command
from producers.simulate import Scenario, simulate
from producers.simulate.answer import Answer, lines_of, main, parse_answer, read_answers
from producers.simulate.bad import KINDS, NAMES, bad_line
from producers.simulate.sites import BLOCK, START_MS
from schemas.errors import UsageError
from schemas.sites import SITES
from tests.unit.aggregators.naive_sites import NaiveSites

DATA = Path(__file__).parents[2] / "data"

scenarios = st.builds(
    Scenario,
    events=st.integers(0, 3000),
    keys=st.integers(1, 5000),
    seed=st.integers(),
    disorder_s=st.integers(0, 4_000_000),
    duplicates=st.floats(0, 0.5),
    bad=st.floats(0, 0.5),
)


def lines_for(scenario: Scenario) -> list[bytes]:
    return b"".join(simulate("sites", scenario)).splitlines()


@examples(max_examples=30)
@given(scenario=scenarios)
def test_the_same_scenario_gives_the_same_bytes(scenario: Scenario) -> None:
    """Exactly so many lines; none of them is blank."""
    text = b"".join(simulate("sites", scenario))
    assert text == b"".join(simulate("sites", scenario))
    assert text.count(b"\n") == scenario.events
    assert b"" not in text.splitlines()


def test_the_first_lines_are_known() -> None:
    """On any machine, with any version of NumPy: this is what people compare."""
    lines = lines_for(Scenario(events=5, keys=2, seed=42))
    assert [json.loads(line)["id"][:8] for line in lines] == [
        "db6a4c39",
        "8690a1e2",
        "af68893c",
        "002aadc8",
        "b7c9ee0b",
    ]


def test_another_seed_gives_other_events() -> None:
    """Not one id is shared."""
    ids = [{json.loads(line)["id"] for line in lines_for(Scenario(events=500, seed=seed))} for seed in (1, 2)]
    assert ids[0].isdisjoint(ids[1])


def test_shares_and_skew_are_as_asked_for() -> None:
    """Over more lines than a block: duplicates repeat bytes, the busiest site has several times its share."""
    count = BLOCK + 30_000
    lines = lines_for(Scenario(events=count, keys=100, duplicates=0.1, bad=0.01))
    decoded = SITES.decoder.decode(lines)
    assert abs(len(decoded.bad) / count - 0.01) < 0.002
    repeated = count - len(set(lines))
    assert abs(repeated / count - 0.1) < 0.01
    sites = Counter(record.site_id for record in decoded.records)
    assert len(sites) == 100
    assert sites.most_common(1)[0][1] > 10 * count / 100
    kinds = Counter(type(record).__name__ for record in decoded.records)
    assert kinds["Status"] * 4 > kinds["Message"] / 2


@pytest.mark.parametrize("seconds", [0, 60, 86_400])
def test_no_line_is_later_than_the_disorder(seconds: int) -> None:
    """Against the newest event time before it; without disorder the times only rise."""
    newest, latest = START_MS // 1000, 0
    for record in SITES.decoder.decode(lines_for(Scenario(events=80_000, keys=50, disorder_s=seconds))).records:
        latest = max(latest, newest - record.timestamp)
        newest = max(newest, record.timestamp)
    assert latest <= seconds
    assert seconds == 0 or latest > seconds // 2


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_of_bad_record_is_rejected(kind: str) -> None:
    """Within a run it takes nothing of its neighbours with it."""
    line = bad_line(kind, b"id-1", b"7", 100)
    good = b'{"id":"a","type":"message","from":"v","site_id":"1","timestamp":1,"data":{}}'
    assert [index for index, _ in SITES.decoder.decode([good, line, good]).bad] == [1]


def test_a_bad_share_holds_every_kind() -> None:
    """In turn, so that a few are enough."""
    lines = lines_for(Scenario(events=2 * len(KINDS), bad=1.0))
    reasons = Counter(reason for _, reason in SITES.decoder.decode(lines).bad)
    assert sum(reasons.values()) == len(lines)
    assert all(count % 2 == 0 for count in reasons.values())


def test_more_than_everything_is_refused() -> None:
    """Before a line is written."""
    with pytest.raises(UsageError, match="more than all lines"):
        Scenario(duplicates=0.6, bad=0.5)
    with pytest.raises(UsageError, match="no input can be simulated for nothing"):
        simulate("nothing", Scenario())


@pytest.mark.parametrize("name", ["plain.jsonl", "packed.jsonl.gz", "packed.jsonl.zst"])
def test_a_file_holds_what_stdout_gives(tmp_path: Path, name: str) -> None:
    """Packed by its name, and read back as replay reads it."""
    from producers.sources import sources_of

    words = ["sites", "--events", "300", "--bad", "0.1"]
    printed = CliRunner().invoke(command, words)
    assert CliRunner().invoke(command, [*words, "-o", str(tmp_path / name)]).exit_code == 0
    (source,) = sources_of(str(tmp_path / name))
    assert b"".join(source.blocks()) == printed.stdout_bytes


def counted(lines: list[bytes]) -> set[Answer]:
    """The right answer of ``lines``, counted as the specification words it."""
    naive = NaiveSites()
    for record in SITES.decoder.decode(lines).records:
        naive.count(record)
    return {Answer(*naive.summary(site).values()) for site in naive.events}


@given(
    counts=st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 6), st.integers(1, 12)), seed=st.integers()
)
def test_an_input_made_from_an_answer_has_it(counts: tuple[int, int, int, int], seed: int) -> None:
    """Any answer that an input can have, in random order with duplicates: counting leads back to it."""
    messages, emails, operators, visitors = counts
    messages = messages if operators else 0
    answer = Answer("a", messages, emails, operators, min(visitors, messages + emails))
    expected = {answer} if messages + emails + operators else set[Answer]()
    assert counted(lines_of([answer], seed, duplicates=0.3)) == expected


def test_the_input_of_big_output_has_its_answer() -> None:
    """Every fiftieth of its 20,000 sites; with all of their lines shuffled and some delivered twice."""
    answers = list(read_answers(str(DATA / "sites" / "big_output.txt.zst")))
    assert len(answers) == 20_000
    assert [sum(column) for column in list(zip(*answers, strict=True))[1:]] == [377_707, 89_269, 137_720, 373_775]
    chosen = answers[::50]
    lines = lines_of(chosen, seed=5, duplicates=0.1)
    assert len(set(lines)) < len(lines)
    assert counted(lines) == set(chosen)


def test_the_generator_is_a_program(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same bytes; a line that is no answer is named."""
    report = tmp_path / "report.txt"
    report.write_text("1,messages=4,emails=4,operators=2,visitors=5\n2,messages=0,emails=1,operators=0,visitors=1\n")
    assert main([str(report), "--seed", "3"]) == 0
    printed = capfd.readouterr().out.encode()
    assert main([str(report), "--seed", "3", "-o", str(tmp_path / "input.jsonl")]) == 0
    assert (tmp_path / "input.jsonl").read_bytes() == printed
    assert counted(printed.splitlines()) == set(read_answers(str(report)))
    report.write_text("1,messages=4\n")
    assert main([str(report)]) == 2
    assert "1,messages=4" in capfd.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "1,messages=1,emails=0,operators=0,visitors=1",
        "1,messages=1,emails=0,operators=1,visitors=2",
        "1,messages=1,emails=0,operators=1,visitors=0",
    ],
)
def test_an_answer_that_no_input_has_is_refused(line: str) -> None:
    """A chat without an operator, more visitors than messages, messages without a visitor."""
    with pytest.raises(UsageError, match="no input has this answer"):
        parse_answer(line)
