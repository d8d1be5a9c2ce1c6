"""The life cycle of a partition in one worker, and the only way to move along it.

           assigned           fenced              restored
    ABSENT ────────▶ FENCING ────────▶ RESTORING ────────▶ ACTIVE
     ▲  │               ▲                  │                 │
     │  │ standby       │ assigned         │ revoked         │ revoked
     │  ▼               │                  ▼                 ▼
     │ STANDBY ─────────┤               DRAINING ◀───────────┘
     │  │               │                  │
     └──┴───────────────┴──────────────────┘
        revoked           kept: FENCING, demoted: STANDBY, lost: ABSENT

* FENCING: a new transactional producer is made, which ends the former owner's open transaction and waits until its
  markers are in the log. Only then may the changelog's end be read.
* RESTORING: the changelog is read up to that end into the local store.
* ACTIVE: the only state in which records are counted and epochs are sent.
* DRAINING: the last epoch is sent, the store written; no new record is counted.
* STANDBY: the changelog is followed into the local store; nothing is counted.

>>> life = LifeCycle(3)
>>> life.move(State.FENCING); life.move(State.RESTORING); life.move(State.ACTIVE)
>>> life.state.value
'active'
>>> life.move(State.STANDBY)
Traceback (most recent call last):
    ...
schemas.errors.StateError: partition 3 cannot go from active to standby; restart this worker, its state is rebuilt
"""

from __future__ import annotations

from enum import Enum

from schemas.errors import StateError


class State(Enum):
    """Where a partition stands in this worker."""

    ABSENT = "absent"
    STANDBY = "standby"
    FENCING = "fencing"
    RESTORING = "restoring"
    ACTIVE = "active"
    DRAINING = "draining"


ALLOWED: dict[State, frozenset[State]] = {
    State.ABSENT: frozenset({State.FENCING, State.STANDBY}),
    State.STANDBY: frozenset({State.FENCING, State.ABSENT}),
    State.FENCING: frozenset({State.RESTORING}),
    State.RESTORING: frozenset({State.ACTIVE, State.DRAINING}),
    State.ACTIVE: frozenset({State.DRAINING}),
    State.DRAINING: frozenset({State.FENCING, State.STANDBY, State.ABSENT}),
}
"""From each state, the states that may follow."""


class LifeCycle:
    """The state of one partition; `move` is the only thing that changes it."""

    __slots__ = ("partition", "state")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.state = State.ABSENT

    def move(self, to: State) -> None:
        """Go to ``to``.

        Raises:
            StateError: the drawing above has no such arrow.
        """
        if to not in ALLOWED[self.state]:
            raise StateError(
                f"partition {self.partition} cannot go from {self.state.value} to {to.value}; "
                "restart this worker, its state is rebuilt"
            )
        self.state = to
