"""Replaying: every line once, and after an interrupt exactly the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.formats import format_of
from producers.pace import Pace
from producers.replay import Replay, Resume
from schemas.errors import StreamgaugeError, UsageError
from schemas.renders import RENDERS
from tests.unit.producers.hand import READ, HandPublisher, event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of three lines in a directory, and one of two beside it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a").write_bytes(b"\n".join(event(n) for n in (1, 2, 3)) + b"\n")
    (logs / "b").write_bytes(b"\n".join(event(n) for n in (4, 5, 6)))
    (tmp_path / "c").write_bytes(event(7) + b"\n\nbad\n")
    return tmp_path


def replay(paths: list[str], publisher: HandPublisher, *, from_line: int = 1, pace: Pace | None = None) -> Replay:
    made = Replay(paths, READ, publisher.interrupt, from_line=from_line)
    made.run(publisher.sender(pace))
    made.settle()
    return made


def test_paths_are_sent_in_the_order_given(folder: Path) -> None:
    """A directory's files by name; each record knows its file and its line there."""
    publisher = HandPublisher()
    done = replay([str(folder / "c"), str(folder / "logs")], publisher)
    places = [(Path(file).name, line) for file, line, _ in publisher.records]
    assert places == [("c", 1), ("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]
    assert [(Path(file).name, line) for file, line in publisher.rejected] == [("c", 3)]
    assert (done.ledger.accepted, done.ledger.rejected, done.resume) == (7, 1, None)
    assert done.ledger.nbytes == 7 * len(event(1))
    assert done.read_bytes == done.total_bytes


def test_files_that_are_none_of_the_streams_are_passed_over_in_a_directory_only(tmp_path: Path) -> None:
    """How many is told; one that is named is wrong usage, before anything is sent."""
    read = format_of(RENDERS, "csv")
    for name in ("renders_2024-02-29.csv", "renders_2023-02-29.csv", "notes.txt"):
        (tmp_path / name).write_text("u,a,b,1,true,1,1,1\n")
    publisher = HandPublisher()
    made = Replay([str(tmp_path)], read, publisher.interrupt)
    made.run(publisher.sender())
    assert [(Path(file).name, line) for file, line, _ in publisher.records] == [("renders_2024-02-29.csv", 1)]
    assert made.ignored == {str(tmp_path): 2}
    with pytest.raises(UsageError, match=r"notes\.txt has no date in its name"):
        Replay([str(tmp_path), str(tmp_path / "notes.txt")], read, publisher.interrupt)


def test_from_line_counts_through_the_files_of_the_first_path(folder: Path) -> None:
    """Line 5 of a directory whose first file has 3 is line 2 of the second; later paths are whole."""
    publisher = HandPublisher()
    replay([str(folder / "logs"), str(folder / "c")], publisher, from_line=5)
    assert [(Path(file).name, line) for file, line, _ in publisher.records] == [("b", 2), ("b", 3), ("c", 1)]


def test_nothing_is_sent_when_one_path_is_missing(folder: Path) -> None:
    """The typing error is told before the first record leaves."""
    publisher = HandPublisher()
    with pytest.raises(StreamgaugeError, match="nowhere"):
        replay([str(folder / "c"), str(folder / "nowhere")], publisher)
    assert publisher.records == []


@given(stop_after=st.integers(1, 9), rate=st.sampled_from([None, 1e6]))
def test_what_was_interrupted_and_what_goes_on_are_everything_once(
    mixed: Path, stop_after: int, rate: float | None
) -> None:
    """Wherever the interrupt strikes: the command that goes on sends exactly the rest."""
    paths = [str(mixed / "logs"), str(mixed / "c")]
    whole, first, second = HandPublisher(), HandPublisher(), HandPublisher()
    replay(paths, whole)
    first.room = stop_after
    resume = replay(paths, first, pace=Pace(rate) if rate else None).resume
    if resume is not None:
        replay(list(resume.paths), second, from_line=resume.line)
    assert len(first.records) == min(stop_after, len(whole.records))
    assert first.records + second.records == whole.records


def test_what_is_not_acknowledged_is_sent_again(mixed: Path) -> None:
    """Acknowledged out of order: going on begins at the first hole, and what is behind it counts as accepted."""
    publisher = HandPublisher(acknowledges=False)
    done = replay([str(mixed / "logs"), str(mixed / "c")], publisher)
    full = [ticket for ticket in publisher.tickets if ticket.records]
    assert [ticket.records for ticket in full] == [3, 2, 1, 1, 1]
    publisher.acknowledge(full[0])
    publisher.acknowledge(full[2])
    assert done.resume == Resume((str(mixed / "logs"), str(mixed / "c")), 4)
    assert done.ledger.accepted == 4
    for ticket in full:
        publisher.acknowledge(ticket)
    assert done.resume is None
    assert done.ledger.accepted == 8


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight records in three files, with blank lines before and between, and last lines without an end."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "logs").mkdir()
    (folder / "logs" / "a").write_bytes(b"\n".join(event(n) for n in (1, 2, 3)) + b"\n")
    (folder / "logs" / "b").write_bytes(b"\n\n" + b"\n".join(event(n) for n in (4, 5, 6)))
    (folder / "c").write_bytes(event(7) + b"\n\n" + event(8))
    return folder
