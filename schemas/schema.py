"""What a stream's records and summaries are: the half of a stream that producers need too.

>>> from schemas.sites import SITES
>>> SITES.key(SITES.decoder.decode_one(b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}'))
'7'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from schemas.csv_table import Table
from schemas.decode import RunDecoder
from schemas.errors import UsageError
from schemas.sql_table import SqlTable
from schemas.wire import Topics, merge_topics, topics

R = TypeVar("R")


@dataclass(frozen=True)
class Schema(Generic[R]):
    """One stream's records and summaries.

    Args:
        name: of the stream: its input topic, and its word on the command line.
        record: the ``msgspec.Struct`` of an input record (or a tagged union of them).
        summary: the ``TypedDict`` of a published summary.
        key: the stream's key of a record; the Kafka key is its UTF-8.
        entity: what a summary is keyed by.
        check: what the types cannot say of a record; raises `BadRecord`.
        fields: the fields of a summary that its key holds, by a key: what is left of an entity that was removed.
            None: the first field of ``summary`` is the key.
        stage: what these records are: a stream's input, or the partials that its counting published
            (`schemas.partial.partials_of`).
        merges: whether entities cut across keys, so that counting publishes partials.
        row: the ``TypedDict`` of what is published beside the summaries, in ``<stream>.rows``; None: nothing is.
        csv: what the rows of the input files hold, where those are CSV.
        tables: what is kept in a database, where one is configured.
        extend: the ``msgspec.Struct`` of a record that has further fields, by the names that a person configured; None
            for a stream whose fields are fixed.
    """

    name: str
    record: Any
    summary: Any
    key: Callable[[R], str]
    entity: Callable[[Any], str]
    check: Callable[[R], None] | None = None
    fields: Callable[[str], dict[str, Any]] | None = None
    stage: Literal["count", "merge"] = "count"
    merges: bool = False
    row: Any = None
    csv: Table | None = None
    tables: Sequence[SqlTable] = ()
    extend: Callable[[Sequence[str]], Any] | None = None

    def with_fields(self, names: Sequence[str]) -> Schema[R]:
        """This schema as who counts needs it: its records have the further fields ``names``, where it knows of any.

        Raises:
            UsageError: a name is none that can be added.
        """
        return self if self.extend is None or not names else replace(self, record=self.extend(names))

    def removed(self, key: str) -> dict[str, Any]:
        """What is left of an entity that was removed: the fields that its ``key`` holds."""
        return self.fields(key) if self.fields is not None else {next(iter(self.summary.__annotations__)): key}

    def removed_row(self, key: str) -> dict[str, Any]:
        """What is left of a row that was removed: the fields that its ``key`` holds, with NUL between them."""
        return dict(zip(self.row.__annotations__, key.split("\0"), strict=False))

    def with_op(self, op: str | None) -> Schema[R]:
        """This schema as who reads files needs it: their rows are commands to do ``op``; None: the usual one.

        Raises:
            UsageError: there is no such command.
        """
        if op is None:
            return self
        known = self.csv.ops if self.csv is not None else ()
        if self.csv is None or op not in known:
            does = f"there is {', '.join(known)}" if known else f"records of {self.name} are no commands"
            raise UsageError(f"no such operation: {op}; {does}")
        return replace(self, csv=replace(self.csv, op=op))

    @property
    def decoder(self) -> RunDecoder[R]:
        """A decoder of this stream's records."""
        return RunDecoder(self.record, self.check)

    @property
    def topics(self) -> Topics:
        """The topics of this stage of the stream."""
        if self.stage == "merge":
            return merge_topics(self.name)
        return topics(self.name, merges=self.merges, rows=self.row is not None)
