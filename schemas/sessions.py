"""`sessions`: CPU use and state changes of a desktop client, in any combination of fields and in any order.

>>> line = b'{"timestamp":1635967999000,"sessionID":"a","cpu":0.42}'
>>> SESSIONS.decoder.decode_one(line).cpu
0.42

Further string-valued fields become dimensions of the report when the configuration names them. What is configured is
known to who counts, not to producers; so a worker counts by a schema of its own, `Schema.with_fields`:

>>> line = b'{"timestamp":1635967999000,"sessionID":"a","os":"linux","file":"report.pdf"}'
>>> record = SESSIONS.with_fields(("os", "file:length")).decoder.decode_one(line)
>>> {further.dimension: further.of(record) for further in further_of(("os", "file:length"))}
{'os': 'linux', 'file:length': '10'}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from schemas.errors import UsageError
from schemas.schema import Schema

STATES = ("start", "login", "sync", "running", "shutdown", "over")
"""In the order of the specification: at one moment, and in a tie, the later one applies."""
UNKNOWN = "unknown"
"""The state of a sample before any state."""

State = Literal["start", "login", "sync", "running", "shutdown", "over"]
SessionId = Annotated[str, Meta(min_length=1)]
"""One per run of the client: opaque, case-sensitive."""
Millis = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Epoch milliseconds of the client's clock, 64 bits."""
Share = Annotated[float, Meta(ge=0, le=1)]
"""Of one CPU."""

LENGTH = ":length"
"""What a configured dimension ends with that is the length of a field's text, in characters."""


class SessionRecord(Struct, gc=False, rename={"session_id": "sessionID", "user_id": "userID"}):
    """What a client reports at a moment."""

    timestamp: Millis
    session_id: SessionId
    state: State | UnsetType = UNSET
    version: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    cpu: Share | UnsetType = UNSET


class SessionSummary(TypedDict):
    """A session's running summary. ``above`` is the share of a state's samples over the threshold."""

    sessionID: str
    version: str | None
    user: str | None
    start: int
    end: int
    samples: int
    mean: float | None
    peak: float | None
    max: dict[str, float]
    above: dict[str, float]
    revision: int


class Further(NamedTuple):
    """A dimension that the configuration names."""

    dimension: str
    """As it was configured: ``FIELD``, or ``FIELD:length``."""
    attribute: str
    """Of the record."""
    by_length: bool

    def of(self, record: SessionRecord) -> str | None:
        """What ``record`` reports of it; None when it reports nothing."""
        text: str | UnsetType = getattr(record, self.attribute)
        if text is UNSET:
            return None
        return str(len(text)) if self.by_length else text


def further_of(dimensions: Sequence[str]) -> tuple[Further, ...]:
    """The configured dimensions, each once, and where a record of `Schema.with_fields` has them."""
    fields = _fields(dimensions)
    return tuple(
        Further(dimension, _attribute(fields.index(_field(dimension))), dimension.endswith(LENGTH))
        for dimension in dict.fromkeys(dimensions)
    )


def _with_fields(dimensions: Sequence[str]) -> Any:
    """The type of records that have the fields of ``dimensions``, too.

    Raises:
        UsageError: a field is none that can be added.
    """
    fields = _fields(dimensions)
    for field in fields:
        if field in _TAKEN or not field:
            raise UsageError(
                f"{field!r} cannot be a further dimension of sessions; version, state and user are always there"
            )
    named = {_attribute(number): field for number, field in enumerate(fields)}
    further = [(attribute, str | UnsetType, UNSET) for attribute in named]
    return defstruct("SessionRecord", further, bases=(SessionRecord,), rename=named, gc=False)


def _fields(dimensions: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(_field, dimensions)))


def _field(dimension: str) -> str:
    return dimension.removesuffix(LENGTH)


def _attribute(number: int) -> str:
    return f"further_{number}"


_TAKEN = {"timestamp", "sessionID", "state", "version", "user", "userID", "cpu"}


def _session(record: SessionRecord) -> str:
    return record.session_id


def _entity(summary: SessionSummary) -> str:
    return summary["sessionID"]


SESSIONS: Schema[SessionRecord] = Schema(
    name="sessions",
    record=SessionRecord,
    summary=SessionSummary,
    key=_session,
    entity=_entity,
    extend=_with_fields,
)
