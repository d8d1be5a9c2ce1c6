"""The laws of an aggregator, to be tested against any: an author of a plug-in runs them against their own.

Each takes the aggregator, records, and the disturbance, and raises `LawBroken` with the first difference. Property
tests draw the records and the disturbance:

    @given(records=lists(events), cuts=sets(integers(0, 100)))
    def test_split(records, cuts):
        laws.split(Sites(Counting()), records, cuts)

>>> from aggregators.aggregator import Counting
>>> from aggregators.sites import Sites
>>> from schemas.sites import Message, MessageData
>>> records = [Message(id, "v", "7", 1, MessageData()) for id in ("a", "b", "a")]
>>> split(Sites(Counting()), records, cuts={1, 2})
>>> order(Sites(Counting()), records, records[::-1])

What is compared: rows byte for byte where the law says so (`split`, `forgetting`); everywhere the summaries and the
answers to ``views``. `order` and `duplication` do not compare rows: rows may tell in which order things came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import orjson

from aggregators.aggregator import Aggregator, Batch, Unanswerable
from aggregators.rows import Memory, MemoryStore, Rows

R = TypeVar("R")

Views = Sequence[tuple[str, Mapping[str, str]]]
"""Questions: ``(name, arguments)`` of views."""


class LawBroken(AssertionError):
    """Two ways that must lead to the same do not."""


@dataclass
class Outcome:
    """What is left after some batches."""

    rows: dict[bytes, bytes]
    summaries: dict[str, Any]
    answers: dict[tuple[str, str, str], Any]
    """By key, name and arguments of a view."""
    refused: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """``(index into all records, reason)``."""


def outcome(
    aggregator: Aggregator[R],
    records: Sequence[R],
    cuts: Collection[int] = (),
    *,
    views: Views = (),
    forget: bool = False,
    broker_ms: int = 0,
) -> Outcome:
    """Count ``records``, cut into batches and epochs before each index of ``cuts``.

    Args:
        aggregator: what is tested.
        records: in order of their offsets.
        cuts: indices; others than those within ``records`` do nothing.
        views: what to ask of every key at the end.
        forget: whether every kept object is forgotten after each batch.
        broker_ms: when the broker took in each of the records.
    """
    store, memory = MemoryStore(), Memory()
    rows = Rows(store, memory=memory)
    done = Outcome({}, {}, {})
    entities: set[str] = set()
    borders = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(records)), len(records)]
    for number, (first, last) in enumerate(pairwise(borders)):
        part = records[first:last]
        batch = Batch(part, [broker_ms] * len(part))
        changes = aggregator.update(rows, _taken_in(aggregator, batch) if number % 2 else batch)
        entities.update(changes.entities)
        done.refused += [(first + index, reason) for index, reason in changes.refused]
        store.end_epoch(rows)
        if forget:
            rows.forget_all()
    done.summaries = {entity: aggregator.summary(rows, entity) for entity in entities}
    for entity, summary in done.summaries.items():
        _told(f"the summary of {entity!r}", summary)
    for key in aggregator.keys(rows):
        for name, arguments in views:
            answer = _answer(aggregator, rows, key, name, arguments)
            done.answers[key, name, str(sorted(arguments.items()))] = answer
    done.rows = dict(store)
    return done


def _taken_in(aggregator: Aggregator[R], batch: Batch[R]) -> Batch[R]:
    """A batch as the engine gives it: where the aggregator keeps columns, it has taken in the records bit by bit."""
    columns, records = aggregator.columns(), batch.records
    if columns is None:
        return batch
    for some in (records[:1], records[1:]):
        columns.extend(some)
    return Batch((), batch.broker_ms, columns)


def split(aggregator: Aggregator[R], records: Sequence[R], cuts: Collection[int], *, views: Views = ()) -> None:
    """Any cut into batches and epochs leaves the same rows, byte for byte, and refuses the same records."""
    whole, parts = outcome(aggregator, records, views=views), outcome(aggregator, records, cuts, views=views)
    _same("summaries", whole.summaries, parts.summaries)
    _same("answers", whole.answers, parts.answers)
    _same("refused records", dict(whole.refused), dict(parts.refused))
    _same("rows", whole.rows, parts.rows)


def forgetting(aggregator: Aggregator[R], records: Sequence[R], cuts: Collection[int], *, views: Views = ()) -> None:
    """Forgetting the kept objects between batches changes nothing, not even rows."""
    kept = outcome(aggregator, records, cuts, views=views)
    forgotten = outcome(aggregator, records, cuts, views=views, forget=True)
    _same("summaries", kept.summaries, forgotten.summaries)
    _same("answers", kept.answers, forgotten.answers)
    _same("refused records", dict(kept.refused), dict(forgotten.refused))
    _same("rows", kept.rows, forgotten.rows)


def order(aggregator: Aggregator[R], records: Sequence[R], other: Sequence[R], *, views: Views = ()) -> None:
    """``other``, which is ``records`` in another order, gives the same (as long as nothing is refused)."""
    _alike(aggregator, records, other, views)


def duplication(aggregator: Aggregator[R], records: Sequence[R], other: Sequence[R], *, views: Views = ()) -> None:
    """``other``, which is ``records`` with some of them repeated anywhere later, gives the same."""
    _alike(aggregator, records, other, views)


def _alike(aggregator: Aggregator[R], records: Sequence[R], other: Sequence[R], views: Views) -> None:
    one, two = outcome(aggregator, records, views=views), outcome(aggregator, other, views=views)
    if one.refused or two.refused:
        return
    _same("summaries", one.summaries, two.summaries)
    _same("answers", one.answers, two.answers)


def _answer(aggregator: Aggregator[R], rows: Rows, key: str, name: str, arguments: Mapping[str, str]) -> Any:
    try:
        answer = aggregator.view(rows, key, name, arguments)
    except ValueError as error:
        return str(error)
    if not isinstance(answer, Unanswerable):
        _told(f"the view {name} of {key!r}", answer)
    return answer


def _told(what: str, value: Any) -> None:
    """What is answered and published travels as JSON, whose writer knows integers of 64 bits only."""
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise LawBroken(f"{what} is no JSON: {error}: {value!r}") from error


def _same(what: str, one: Mapping[Any, Any], two: Mapping[Any, Any]) -> None:
    for key in sorted(one.keys() | two.keys(), key=repr):
        if one.get(key) != two.get(key):
            raise LawBroken(f"{what} differ at {key!r}: {one.get(key)!r} and {two.get(key)!r}")
