"""Counting files again, and how a difference is told."""

from __future__ import annotations

from pathlib import Path

from aggregators.aggregator import Counting
from ops.commands.verify import Difference, _differences, _sentence  # pyright: ignore[reportPrivateUsage]
from ops.recount import Recount
from ops.registry import stream
from ops.samples import sample_of
from ops.sketched import allowed


def test_the_sample_recounted_is_its_known_answer() -> None:
    """Files alone give what the report must say; twice gives the same."""
    sample = sample_of("sites")
    assert sample is not None
    recount = Recount(stream("sites"), Counting())
    for path in [*sample.paths, *sample.paths]:
        recount.read(str(path))
    assert (recount.records, recount.rejected) == (20, 0)
    assert recount.summaries() == {"1": {"site_id": "1", "messages": 4, "emails": 4, "operators": 2, "visitors": 5}}


def test_what_replay_rejects_is_skipped_and_counted(tmp_path: Path) -> None:
    """A bad line changes no summary."""
    file = tmp_path / "bad.jsonl"
    file.write_bytes(b'nonsense\n\n{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}\n')
    recount = Recount(stream("sites"), Counting())
    recount.read(str(file))
    assert (recount.records, recount.rejected) == (1, 1)
    assert list(recount.summaries()) == ["7"]


def test_rows_beside_the_summaries_are_recounted_too(tmp_path: Path) -> None:
    """The catalogue as the file leaves it: the first of a pair holds."""
    file = tmp_path / "catalogue.csv"
    file.write_bytes(b"name,sku,description\nAnn,k-1,first\nAnn,k-1,second\nBob,k-1,\n")
    recount = Recount(stream("products"), Counting())
    recount.read(str(file))
    assert recount.rows() == {
        b"k-1\0Ann": {"sku": "k-1", "name": "Ann", "description": "first"},
        b"k-1\0Bob": {"sku": "k-1", "name": "Bob", "description": ""},
    }
    assert recount.summaries() == {"Ann": {"name": "Ann", "count": 1}, "Bob": {"name": "Bob", "count": 1}}


def test_a_sketch_may_be_wrong_by_its_error_and_no_more() -> None:
    """A count within the bound passes, also one that is not published; beyond it, or too great, it is told."""
    exact = {f"food:{n}": {"kind": "food", "id": n, "count": count} for n, count in enumerate((5_000, 3_000, 4))}
    whole = {"kind": "foods", "id": 0, "count": 8_004, "error": 4, "distinct": 3}
    said = {"food:0": {**exact["food:0"], "count": 4_996}, "food:1": exact["food:1"], "foods:0": whole}
    assert not list(_differences(said, allowed(said, exact)))
    for entity, changed in [
        ("food:0", {**exact["food:0"], "count": 4_995}),
        ("food:1", {**exact["food:1"], "count": 3_001}),
        ("food:9", {"kind": "food", "id": 9, "count": 1}),
        ("foods:0", {**whole, "count": 8_003}),
        ("foods:0", {**whole, "error": 9}),
        ("foods:0", {**whole, "distinct": 5}),
    ]:
        wrong = {**said, entity: changed}
        assert [difference.entity for difference in _differences(wrong, allowed(wrong, exact))] == [entity]


def test_differences_are_of_both_sides() -> None:
    """What is published and not in the files, in the files and not published, or not the same."""
    published = {"1": {"n": 1}, "2": {"n": 2}, "3": {"n": 3}}
    expected = {"1": {"n": 1}, "3": {"n": 4}, "5": {"n": 5}}
    assert sorted(_differences(published, expected)) == [
        Difference("2", {"n": 2}, None),
        Difference("3", {"n": 3}, {"n": 4}),
        Difference("5", None, {"n": 5}),
    ]


def test_a_difference_says_what_differs_only() -> None:
    """One line, with both values."""
    assert _sentence(Difference("3", {"a": 1, "b": 2}, {"a": 1, "b": 3})) == "3: published b=2, the files give b=3"
    assert _sentence(Difference("5", None, {"a": 1})) == "5: not published, the files give a=1"
    assert _sentence(Difference("2", {"a": 1}, None)) == "2: published a=1, nothing of it in the files"
