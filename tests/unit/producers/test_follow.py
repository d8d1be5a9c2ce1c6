"""Following: what is written is sent, whatever happens to the names; a restart goes on where it was acknowledged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from producers.follow import QUIET_S, Follow
from producers.positions import Positions
from schemas.errors import StreamgaugeError
from tests.unit.producers.hand import READ, HandPublisher, event


class Following:
    """A follower that looks when told, on a clock of the test."""

    def __init__(self, folder: Path, *names: str, publisher: HandPublisher | None = None) -> None:
        self.publisher = publisher or HandPublisher()
        self.now = 0.0
        self.notices: list[str] = []
        self.follow = Follow(
            [str(folder / name) for name in names],
            self.publisher.sender(),
            READ,
            Positions(folder / ".positions"),
            self.publisher.interrupt,
            notice=self.notices.append,
            clock=lambda: self.now,
        )

    def look(self) -> list[tuple[str, int, int]]:
        """What is new: ``(file, line, number of the event)``."""
        before = len(self.publisher.records)
        self.follow.look()
        self.now += 1
        return [
            (Path(file).name, line, int(value.split(b'"')[3][1:]))
            for file, line, value in self.publisher.records[before:]
        ]

    def begin(self) -> list[tuple[str, int, int]]:
        """As `Follow.run` begins: pick up what was renamed, then look."""
        self.follow.run(lambda _: setattr(self.publisher.interrupt, "asked", True))
        self.publisher.interrupt.asked = False
        self.now += 1
        return [(Path(file).name, line, int(value.split(b'"')[3][1:])) for file, line, value in self.publisher.records]


def write(path: Path, *numbers: int, end: bytes = b"\n") -> None:
    with path.open("ab") as file:
        file.write(b"\n".join(event(number) for number in numbers) + end)


def test_lines_are_sent_as_they_are_written(tmp_path: Path) -> None:
    """Whole lines only: half of one waits for its other half. A file may come later."""
    following = Following(tmp_path, "log")
    assert following.look() == []
    assert following.notices == [f"{tmp_path / 'log'} is not there yet; waiting for it"]
    write(tmp_path / "log", 1, 2, end=b"\n" + event(3)[:20])
    assert following.look() == [("log", 1, 1), ("log", 2, 2)]
    assert following.look() == []
    with (tmp_path / "log").open("ab") as file:
        file.write(event(3)[20:] + b"\n")
    assert following.look() == [("log", 3, 3)]


def test_a_renamed_file_is_read_on_and_its_successor_from_the_start(tmp_path: Path) -> None:
    """The writer is late to let go of the old file; its last line, without an end, is sent when it is quiet."""
    following = Following(tmp_path, "log")
    write(tmp_path / "log", 1)
    assert following.look() == [("log", 1, 1)]
    (tmp_path / "log").rename(tmp_path / "log.1")
    write(tmp_path / "log.1", 2)
    assert following.look() == [("log", 2, 2)]
    write(tmp_path / "log", 3)
    write(tmp_path / "log.1", 4, end=b"")
    assert following.look() == [("log", 1, 3)]
    following.now += QUIET_S
    assert following.look() == [("log", 3, 4)]
    write(tmp_path / "log", 5)
    assert following.look() == [("log", 2, 5)]


@pytest.mark.parametrize("after", [1, 3, 6])
def test_an_emptied_file_is_read_from_its_start(tmp_path: Path, after: int) -> None:
    """copytruncate: also when it has grown over its old length by the time that somebody looks."""
    following = Following(tmp_path, "log")
    write(tmp_path / "log", 1, 2, 3)
    following.look()
    os.truncate(tmp_path / "log", 0)
    numbers = range(10, 10 + after)
    write(tmp_path / "log", *numbers)
    assert following.look() == [("log", line, number) for line, number in enumerate(numbers, 1)]


def test_a_directory_shows_its_new_files(tmp_path: Path) -> None:
    """By name; a file renamed within it is the same file; packed ones are left out, with one notice."""
    logs = tmp_path / "logs"
    logs.mkdir()
    following = Following(tmp_path, "logs")
    write(logs / "b", 1)
    write(logs / "a", 2)
    (logs / "old.gz").touch()
    assert following.look() == [("a", 1, 2), ("b", 1, 1)]
    (logs / "b").rename(logs / "b.1")
    write(logs / "b", 3)
    write(logs / "b.1", 4)
    assert sorted(following.look()) == [("b", 1, 3), ("b", 2, 4)]
    following.now += QUIET_S
    assert following.look() == []
    write(logs / "b.1", 5)
    assert following.look() == [("b.1", 3, 5)]
    assert len(following.notices) == 1


def test_a_restart_goes_on_after_what_was_acknowledged(tmp_path: Path) -> None:
    """Written while nothing ran, in the old file, renamed since, and in its successor: everything once."""
    write(tmp_path / "log", 1, 2)
    first = Following(tmp_path, "log")
    assert first.look() == [("log", 1, 1), ("log", 2, 2)]
    first.follow.close()
    write(tmp_path / "log", 3)
    (tmp_path / "log").rename(tmp_path / "log.1")
    write(tmp_path / "log.1", 4)
    write(tmp_path / "log", 5)
    second = Following(tmp_path, "log")
    assert second.begin() == [("log", 3, 3), ("log", 4, 4), ("log", 1, 5)]
    second.follow.close()
    third = Following(tmp_path, "log")
    assert third.begin() == []


def test_what_was_not_acknowledged_is_sent_again_after_a_crash(tmp_path: Path) -> None:
    """A position is that of the last line before which the broker has everything."""
    publisher = HandPublisher(acknowledges=False)
    crashed = Following(tmp_path, "log", publisher=publisher)
    write(tmp_path / "log", 1, 2)
    crashed.look()
    for ticket in publisher.tickets:
        publisher.acknowledge(ticket)
    write(tmp_path / "log", 3)
    crashed.look()  # settles the first two, sends the third, which is never acknowledged
    crashed.follow.close()
    assert Following(tmp_path, "log").begin() == [("log", 3, 3)]


def test_a_batch_cut_by_the_interrupt_goes_on_within(tmp_path: Path) -> None:
    """The position holds a line, not only the border of a batch."""
    write(tmp_path / "log", 1, 2, 3, 4)
    publisher = HandPublisher()
    publisher.room = 3
    cut = Following(tmp_path, "log", publisher=publisher)
    assert [number for _, _, number in cut.look()] == [1, 2, 3]
    cut.follow.close()
    assert Following(tmp_path, "log").begin() == [("log", 4, 4)]


def test_an_inode_given_to_another_file_is_another_file(tmp_path: Path) -> None:
    """File systems reuse inodes at once: the bytes before the position tell the files apart."""
    write(tmp_path / "log", 1, 2)
    first = Following(tmp_path, "log")
    first.look()
    first.follow.close()
    os.truncate(tmp_path / "log", 0)
    write(tmp_path / "log", 3, 4, 5)
    assert Following(tmp_path, "log").begin() == [("log", 1, 3), ("log", 2, 4), ("log", 3, 5)]


def test_another_file_on_the_inode_of_one_that_was_cut_in_its_first_lines_is_sent_whole(tmp_path: Path) -> None:
    """The position is line 4 of the bytes from 0 on, before which there is nothing to know a file by."""
    write(tmp_path / "log", 1, 2, 3, 4)
    publisher = HandPublisher()
    publisher.room = 3
    cut = Following(tmp_path, "log", publisher=publisher)
    cut.look()
    cut.follow.close()
    os.truncate(tmp_path / "log", 0)
    write(tmp_path / "log", 5, 6)
    assert Following(tmp_path, "log").begin() == [("log", 1, 5), ("log", 2, 6)]


def test_a_file_that_is_gone_is_told_of_once(tmp_path: Path) -> None:
    """Nobody can send what was written to it since; the notice says from where on."""
    write(tmp_path / "log", 1)
    first = Following(tmp_path, "log")
    first.look()
    first.follow.close()
    (tmp_path / "log").rename(tmp_path / ".keeps-the-inode")
    (tmp_path / ".keeps-the-inode").rename(tmp_path.parent / f"{tmp_path.name}-away")
    write(tmp_path / "log", 2)
    second = Following(tmp_path, "log")
    assert second.begin() == [("log", 1, 2)]
    assert [str(len(event(1)) + 1) in notice for notice in second.notices] == [True]
    second.follow.close()
    third = Following(tmp_path, "log")
    third.begin()
    assert third.notices == []


def test_a_file_is_followed_by_one_process_only(tmp_path: Path) -> None:
    """A second one would send every line twice."""
    write(tmp_path / "log", 1)
    first = Following(tmp_path, "log")
    first.look()
    with pytest.raises(StreamgaugeError, match="followed already"):
        Following(tmp_path, "log").look()
    first.follow.close()
    assert Following(tmp_path, "log").look() == []


def test_a_torn_position_file_is_named(tmp_path: Path) -> None:
    """It is never guessed at: sending everything again is a person's decision."""
    write(tmp_path / "log", 1)
    first = Following(tmp_path, "log")
    first.look()
    first.follow.close()
    (position,) = (tmp_path / ".positions").glob("*.json")
    position.write_text("{")
    with pytest.raises(StreamgaugeError, match=f"position file {position}"):
        Following(tmp_path, "log").look()


def test_only_regular_files_are_followed(tmp_path: Path) -> None:
    """A pipe has no position."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StreamgaugeError, match="no regular file"):
        Following(tmp_path, "pipe").look()
