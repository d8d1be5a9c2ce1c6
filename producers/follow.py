"""Follow growing files through rotation, and go on after a crash where the broker's acknowledgements had come to.

    follow = Follow(["app.log", "logs/"], sender, read, positions, interrupt, notice=print)
    follow.run(wait=publisher.rest)               # until the interrupt

A followed *name* shows one file after another; each file is a `Tail` with an identity and a position of its own:

    app.log ─▶ file A … renamed to app.log.1: A is read on until it is quiet …│
                        └▶ file B: the name shows another identity, so a new tail begins at its start

What a crash leaves: a position is written after the acknowledgement, so lines may be sent twice, never not at all. A
file that was renamed while nothing ran is looked for beside its old name, by identity.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

from producers.interrupt import Interrupt
from producers.ledger import Ledger
from producers.positions import Identity, Position, Positions, identity_of
from producers.records import Format
from producers.sender import Sender
from producers.sources import takes
from producers.tail import Growth, Tail
from schemas.errors import StreamgaugeError

POLL_S = 0.2
"""How often files are looked at."""
SAVE_S = 0.5
"""How often positions are written: a crash sends again what was acknowledged since."""
QUIET_S = 60.0
"""How long a file that was rotated away is kept open after its last growth: some writers are late to let go of it."""
PACKED = (".gz", ".zst")


class Follow:
    """Follows some paths.

    Args:
        paths: files (there or not yet) and directories (all their files that are not packed, new ones too).
        sender: takes the lines.
        read: the stream's format.
        positions: where each file goes on.
        interrupt: ends it.
        notice: told, once each, of what a person should know.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        paths: Sequence[str],
        sender: Sender,
        read: Format,
        positions: Positions,
        interrupt: Interrupt,
        *,
        notice: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.ledger: Ledger[tuple[Identity, Position]] = Ledger()
        self._paths = paths
        self._sender = sender
        self._read = read
        self._positions = positions
        self._interrupt = interrupt
        self._notice = notice
        self._clock = clock
        self._told: set[str] = set()
        self._tails: dict[Identity, Tail] = {}
        self._grown_at: dict[Identity, float] = {}
        self._unsaved: dict[Identity, Position] = {}
        self._saved_at = clock()

    def run(self, wait: Callable[[float], None]) -> None:
        """Follow until the interrupt.

        Args:
            wait: called with `POLL_S` when no file grew.

        Raises:
            StreamgaugeError: a position cannot be kept, or the broker refused a record.
            UsageError: a path names a file that is none of the stream's.
        """
        for path in self._paths:
            if not Path(path).is_dir():
                self._read(path)  # a name that is none of the stream's is told at once
            self._pick_up_renamed(path)
        while not self._interrupt.asked:
            if not self.look():
                wait(POLL_S)

    def look(self) -> bool:
        """One look at all files, sending what is new; whether anything was."""
        shown = dict(self._shown())
        for name, identity in shown.items():
            if identity not in self._tails:
                self._open(name)
        grown = False
        for tail in list(self._tails.values()):
            rotated = shown.get(tail.name) != tail.identity and (tail.name in shown or tail.removed)
            if self._read_on(tail):
                grown = True
            elif rotated and self._clock() - self._grown_at[tail.identity] > QUIET_S:
                self._rotated(tail, next((name for name, file in shown.items() if file == tail.identity), None))
            if self._interrupt.asked:
                break
        self.settle()
        return grown

    def settle(self, *, save: bool = False) -> None:
        """Note what the broker has acknowledged; write it down when it is time, or now."""
        self._unsaved.update(self.ledger.settle())
        if self._unsaved and (save or self._clock() - self._saved_at >= SAVE_S):
            for identity, position in self._unsaved.items():
                self._positions.save(identity, position)
            self._unsaved.clear()
            self._saved_at = self._clock()

    def close(self) -> None:
        """Write the positions down and let all files go."""
        self.settle(save=True)
        for tail in list(self._tails.values()):
            self._drop(tail)

    def _rotated(self, tail: Tail, name: str | None) -> None:
        """A file is quiet, and its name shows another: it goes on under its new name, if that is followed too."""
        self._send(tail, tail.rest(finished=name is None))
        if name is None:
            self._drop(tail)
        else:
            tail.renamed(name)

    def _read_on(self, tail: Tail) -> bool:
        """Send what ``tail`` has grown by."""
        grown = False
        for growth in tail.grown():
            self._grown_at[tail.identity] = self._clock()
            self._send(tail, growth)
            self.settle()
            grown = True
            if self._interrupt.asked:
                break
        return grown

    def _send(self, tail: Tail, growth: Growth) -> None:
        for ticket, line in self._sender.send(tail.name, growth.reading, growth.lines):
            self.ledger.add(ticket, (tail.identity, growth.after(line)))

    def _shown(self) -> Iterator[tuple[str, Identity]]:
        """Each followed name and the file that it shows now, in the order in which they are sent."""
        for path in self._paths:
            try:
                status = Path(path).stat()
                if stat.S_ISDIR(status.st_mode):
                    yield from self._files(path)
                else:
                    yield path, Identity(status.st_dev, status.st_ino)
            except FileNotFoundError:
                self._tell(f"{path} is not there yet; waiting for it")
            except OSError as error:
                self._tell(f"cannot read {path}: {error.strerror}; trying on")

    def _files(self, directory: str) -> Iterator[tuple[str, Identity]]:
        with os.scandir(directory) as scan:
            entries = sorted((entry for entry in scan if entry.is_file()), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.endswith(PACKED):
                self._tell(f"{directory}: packed files are not followed; replay them without --follow")
                continue
            if not takes(self._read, str(Path(directory, entry.name))):
                self._tell(f"{directory}: files that are none of the stream's are ignored, such as {entry.name}")
                continue
            with suppress(FileNotFoundError):  # renamed since the directory was read
                status = entry.stat()
                yield str(Path(directory, entry.name)), Identity(status.st_dev, status.st_ino)

    def _open(self, name: str, known_as: str | None = None) -> bool:
        """Begin to read the file that ``name`` shows, if need be only one that was ``known_as`` another before."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError as error:
            self._tell(f"cannot read {name}: {error.strerror}; trying on")
            return False
        identity = identity_of(descriptor)
        if identity in self._tails or (known_as is not None and self._positions.find(descriptor) is None):
            os.close(descriptor)
            return False
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StreamgaugeError(
                f"{name} is no regular file and cannot be followed; pipe it in: streamgauge replay … -"
            )
        self._positions.lock(identity, name)
        self._tails[identity] = Tail(known_as or name, descriptor, self._read, self._positions)
        self._grown_at[identity] = self._clock()
        return True

    def _drop(self, tail: Tail) -> None:
        self._positions.unlock(tail.identity)
        del self._tails[tail.identity], self._grown_at[tail.identity]
        tail.close()

    def _pick_up_renamed(self, path: str) -> None:
        """Go on with files that ``path`` showed in an earlier run and does not show now."""
        if Path(path).is_dir():
            return  # whatever its files are called now, they are looked at
        shown = {identity for _, identity in self._shown()}
        for identity, position in self._positions.unfinished(str(Path(path).absolute())):
            if identity not in shown and not self._find(path, identity):
                self._tell(
                    f"the file that {path} was is gone; what was written to it after byte {position.offset} is not sent"
                )
                self._positions.save(identity, replace(position, finished=True))

    def _find(self, path: str, identity: Identity) -> bool:
        """Open the file of that identity under whatever name it has in the directory of ``path``."""
        parent = Path(path).parent
        if not parent.is_dir():
            return False
        with os.scandir(parent) as entries:
            names = [entry.name for entry in entries if entry.inode() == identity.inode]
        return any(self._open(str(parent / name), known_as=path) for name in names)

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._notice(line)
