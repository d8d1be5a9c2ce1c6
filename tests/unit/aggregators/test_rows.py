"""The rows of a partition behave like one dict, whatever is open, under way or stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aggregators.rows import Memory, MemoryStore, Rows

KEYS = st.binary(min_size=1, max_size=2).filter(lambda key: key[0] in b"abc") | st.sampled_from([b"a", b"b", b"c"])
VALUES = st.binary(max_size=4)


class RowsAsDict(RuleBasedStateMachine):
    """Rows with epochs ending and settling at any moment, beside the dict that they stand for."""

    def __init__(self) -> None:
        super().__init__()
        self.stored = MemoryStore()
        self.rows = Rows(self.stored)
        self.model: dict[bytes, bytes] = {}
        self.open: dict[bytes, bytes | None] = {}
        self.taken = False

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.rows.put(key, value)
        self.model[key] = value
        self.open[key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.rows.delete(key)
        self.model.pop(key, None)
        self.open[key] = None

    @rule(rows=st.dictionaries(KEYS, st.none() | VALUES, max_size=4))
    def change(self, rows: dict[bytes, bytes | None]) -> None:
        """Many at once: as one by one."""
        self.rows.change(rows)
        for key, value in rows.items():
            if value is None:
                self.model.pop(key, None)
            else:
                self.model[key] = value
        self.open |= rows

    @precondition(lambda self: not self.taken)
    @rule()
    def end_epoch(self) -> None:
        assert dict(self.rows.take()) == self.open
        self.open, self.taken = {}, True

    @precondition(lambda self: self.taken)
    @rule()
    def commit(self) -> None:
        self.rows.committed()
        self.taken = False

    @rule(settle=st.booleans())
    def store(self, settle: bool) -> None:
        """The store is written first; a read between the two sees the same."""
        self.stored.write(self.rows.unsettled)
        if settle:
            self.rows.settled()

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.rows.get(key) == self.model.get(key)

    @rule(keys=st.lists(KEYS, max_size=6))
    def get_many(self, keys: list[bytes]) -> None:
        """A key may be asked for twice."""
        assert self.rows.get_many(keys) == [self.model.get(key) for key in keys]

    @rule(start=KEYS, end=KEYS)
    def range(self, start: bytes, end: bytes) -> None:
        expected = [(key, self.model[key]) for key in sorted(self.model) if start <= key < end]
        assert list(self.rows.range(start, end)) == expected
        assert list(self.rows.range(start, end, reverse=True)) == expected[::-1]

    @invariant()
    def open_epoch_is_weighed(self) -> None:
        """`dirty_bytes` bounds what an epoch sends; it must count each key once."""
        assert self.rows.dirty_bytes == sum(len(key) + len(value or b"") for key, value in self.open.items())


TestRowsAsDict = RowsAsDict.TestCase


class KeptObjects(RuleBasedStateMachine):
    """Kept objects of two partitions under one budget, beside the last object kept under each key."""

    LIMIT = 50

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(self.LIMIT)
        self.partitions = [Rows(MemoryStore(), memory=self.memory) for _ in range(2)]
        self.last: dict[tuple[int, bytes], Any] = {}
        self.number = 0

    @rule(partition=st.integers(0, 1), key=KEYS, nbytes=st.integers(1, 40))
    def keep(self, partition: int, key: bytes, nbytes: int) -> None:
        self.number += 1
        value = (self.number, nbytes)
        self.partitions[partition].keep(key, value, nbytes)
        self.last[partition, key] = value

    @rule(partition=st.integers(0, 1), key=KEYS)
    def ask(self, partition: int, key: bytes) -> None:
        """The newest object, or nothing: never an older one."""
        assert self.partitions[partition].kept(key) in (None, self.last.get((partition, key)))

    @rule(partition=st.integers(0, 1), key=KEYS)
    def forget(self, partition: int, key: bytes) -> None:
        self.partitions[partition].forget(key)
        assert self.partitions[partition].kept(key) is None

    @rule()
    def shrink(self) -> None:
        self.memory.shrink()
        assert self.memory.used_bytes <= self.LIMIT

    @rule(partition=st.integers(0, 1))
    def revoke(self, partition: int) -> None:
        self.memory.leave(self.partitions[partition])
        assert self.partitions[partition].kept_bytes == 0
        self.partitions[partition] = Rows(MemoryStore(), memory=self.memory)

    @rule(partition=st.integers(0, 1))
    def count(self, partition: int) -> None:
        """Every byte once; asking moves the objects to the young generation, so this is no invariant."""
        rows = self.partitions[partition]
        held = [value for (p, key), value in self.last.items() if p == partition and rows.kept(key) == value]
        assert rows.kept_bytes == sum(nbytes for _, nbytes in held)

    @invariant()
    def the_budget_knows_what_is_held(self) -> None:
        assert self.memory.used_bytes == sum(rows.kept_bytes for rows in self.partitions)


TestKeptObjects = KeptObjects.TestCase


def test_what_is_not_committed_does_not_reach_the_store() -> None:
    """The store must be a prefix of the changelog at every moment."""
    rows = Rows(MemoryStore())
    rows.put(b"a", b"1")
    rows.take()
    rows.committed()
    rows.put(b"a", b"2")
    rows.put(b"b", b"2")
    rows.take()
    assert rows.unsettled == {b"a": b"1"}
    with pytest.raises(RuntimeError, match="another are under way"):
        rows.take()
    rows.settled()
    assert (rows.unsettled, rows.get(b"a"), rows.get(b"b")) == ({}, b"2", b"2")


def test_the_budget_takes_from_the_partition_that_holds_most() -> None:
    """A small partition keeps its objects while a large one beside it grows."""
    memory = Memory(100)
    small, large = Rows(MemoryStore(), memory=memory), Rows(MemoryStore(), memory=memory)
    small.keep(b"s", "small", 30)
    for number in range(9):
        large.keep(b"%d" % number, number, 10)
    memory.shrink()
    assert small.kept(b"s") == "small"
    assert memory.used_bytes == 100
    assert memory.evictions == 2


def test_an_object_in_use_outlives_those_that_are_not() -> None:
    """What was asked for since the budget was last exceeded goes after what was not."""
    memory = Memory(20)
    rows = Rows(MemoryStore(), memory=memory)
    for key in (b"first", b"used", b"idle"):
        rows.keep(key, key, 10)
    memory.shrink()
    assert rows.kept(b"first") is None
    assert rows.kept(b"used") == b"used"
    rows.keep(b"more", b"more", 10)
    memory.shrink()
    assert (rows.kept(b"idle"), rows.kept(b"used"), rows.kept(b"more")) == (None, b"used", b"more")


def test_a_working_set_over_the_budget_is_never_forgotten_as_a_whole() -> None:
    """Where everything went at once, each batch read all of its rows again."""
    memory = Memory(100)
    rows = Rows(MemoryStore(), memory=memory)
    for number in range(200):
        rows.keep(b"%d" % (number % 15), number, 10)
        memory.shrink()
        assert memory.used_bytes == min(100, 10 * (number + 1))


@given(st.binary(max_size=8), st.integers(1, 16))
def test_exactly_one_partition_owns_a_key(key: bytes, partitions: int) -> None:
    owners = [Rows(MemoryStore(), partition=p, partitions=partitions).owns(key) for p in range(partitions)]
    assert owners.count(True) == 1
