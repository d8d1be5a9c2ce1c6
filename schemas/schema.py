"""What a stream's records and summaries are: the half of a stream that producers need too.

>>> from schemas.sites import SITES
>>> SITES.key(SITES.decoder.decode_one(b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}'))
'7'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from schemas.decode import RunDecoder
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
        stage: what these records are: a stream's input, or the partials that its counting published
            (`schemas.partial.partials_of`).
        merges: whether entities cut across keys, so that counting publishes partials.
    """

    name: str
    record: Any
    summary: Any
    key: Callable[[R], str]
    entity: Callable[[Any], str]
    check: Callable[[R], None] | None = None
    stage: Literal["count", "merge"] = "count"
    merges: bool = False

    @property
    def decoder(self) -> RunDecoder[R]:
        """A decoder of this stream's records."""
        return RunDecoder(self.record, self.check)

    @property
    def topics(self) -> Topics:
        """The topics of this stage of the stream."""
        return merge_topics(self.name) if self.stage == "merge" else topics(self.name, merges=self.merges)
