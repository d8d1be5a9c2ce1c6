"""``streamgauge replay --follow`` on a real broker, killed midway."""

from __future__ import annotations

from pathlib import Path

from tests.kafka.producers.conftest import Shell, event
from tests.waiting import until


def write(path: Path, *numbers: int) -> None:
    with path.open("ab") as file:
        file.write(b"".join(event(number) + b"\n" for number in numbers))


def test_nothing_is_lost_when_following_is_killed_between_two_rotations(shell: Shell) -> None:
    """Written before, while and after nobody runs, in files renamed meanwhile; an interrupt says how to go on."""
    log = shell.folder / "app.log"
    first = shell.start("replay", "sites", "--follow", "app.log")
    until(lambda: "not there yet" in first.stderr)
    write(log, *range(100))
    until(lambda: len(shell.values()) == 100)
    log.rename(log.with_suffix(".1"))
    write(log.with_suffix(".1"), *range(100, 150))
    write(log, *range(150, 200))
    until(lambda: len(shell.values()) == 200)
    first.kill()
    write(log, *range(200, 210))
    log.rename(log.with_suffix(".2"))
    write(log, *range(210, 220))
    second = shell.start("replay", "sites", "--follow", "app.log")
    everything = {event(number) for number in range(220)}
    until(lambda: set(shell.values()) == everything)
    assert second.interrupt() == 130
    assert "go on with: streamgauge replay" in second.stderr
    sent = len(shell.values())
    third = shell.start("replay", "sites", "--follow", "app.log")
    write(log, 220)
    until(lambda: event(220) in shell.values())
    assert third.interrupt() == 130
    assert len(shell.values()) == sent + 1
