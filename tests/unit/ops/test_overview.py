"""Who owns a partition, as `status` decides it from what group, directory and workers say."""

from __future__ import annotations

from typing import Any

import pytest

from ops.overview import _Engine, _owner, _restored, _workers  # pyright: ignore[reportPrivateUsage]
from ops.worker.directory import Entry, owner_of
from sinks.committed import Span


def entry(worker: str, *, http: str | None = "h:1", active: list[int] | None = None, claim: int = 0) -> Entry:
    return Entry(worker, f"{worker}-0", "sites", http, 1, "host", active=active or [], claim=claim)


def engine(worker: str, **partition: Any) -> dict[str, _Engine]:
    return {f"{worker}-0": _Engine(worker, {3: partition})}


def test_a_worker_that_answers_is_believed() -> None:
    """Over an old entry of another, and over what the group says of a member that is no more."""
    entries = [entry("a"), entry("b", active=[3])]
    owner, running, state, _ = _owner(3, entries, engine("a", role="active", state="restoring"), {3: "b-0"})
    assert (owner, running, state) == ("a", True, "restoring")


def test_an_owner_that_does_not_answer_is_said_to() -> None:
    """The group still counts on it: its session has not run out."""
    assert _owner(3, [entry("a", active=[3])], {}, {3: "a-0"})[:3] == ("a", False, "not answering")


def test_of_a_worker_that_nobody_can_ask_the_group_says_whether_it_runs() -> None:
    """`--http off`: whether it is ready cannot be known, and is not said."""
    quiet = [entry("a", http=None, active=[3])]
    (heard,), (silent,) = _workers(quiet, {}, {"a"}), _workers(quiet, {}, set())
    assert ((heard.running, heard.ready), (silent.running, silent.ready)) == ((True, None), (False, None))


def test_an_owner_whose_session_has_run_out_is_not_running() -> None:
    """Nobody has taken its partition over."""
    assert _owner(3, [entry("a", active=[3])], {}, {})[:3] == ("a", False, "not running")


def test_a_worker_without_http_runs_as_long_as_the_group_hears_from_it() -> None:
    """It cannot be asked more."""
    assert _owner(3, [entry("a", http=None, active=[3])], {}, {3: "a-0"})[:3] == ("a", True, "assigned")


def test_a_partition_that_nobody_claims_is_unassigned() -> None:
    """No owner, no state."""
    assert _owner(3, [entry("a", active=[1])], {}, {})[:3] == (None, False, "unassigned")


def test_a_standby_is_no_owner() -> None:
    """It follows the state and counts nothing."""
    assert _owner(3, [], engine("a", role="standby", state="standby"), {})[0] is None


def test_the_last_claim_holds() -> None:
    """A killed owner's entry stays, even with a later start; who took over wrote after it."""
    entries = [entry("killed", active=[3], claim=5), entry("heir", active=[3], claim=9)]
    found = owner_of(entries, "sites", 3)
    assert found is not None
    assert found.worker == "heir"
    assert owner_of(entries, "sites", 4) is None
    assert owner_of(entries, "renders", 3) is None


@pytest.mark.parametrize(
    ("said", "changelog", "share"),
    [
        ({}, Span(0, 10), None),
        ({"state": "active", "stored": 3}, Span(0, 10), 1.0),  # the local store follows some seconds behind
        ({"state": "restoring", "stored": 4}, Span(0, 10), 0.5),
        ({"state": "restoring", "stored": 4}, Span(5, 10), 0.0),  # compaction removed what came before
        ({"state": "restoring", "stored": -1}, Span(0, 0), 1.0),
        ({"state": "restoring", "stored": -1}, None, 1.0),
    ],
)
def test_restore_progress_is_a_share_of_the_changelog(
    said: dict[str, Any], changelog: Span | None, share: float | None
) -> None:
    """From the offset that the store holds, within what the changelog still has."""
    assert _restored(said, changelog) == share
