"""The partitions of many keys at once are those of each by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aggregators.homes import FEW, partitions_of, strangers
from aggregators.rows import MemoryStore, Rows
from schemas.wire import partition_of

keys = st.lists(st.binary(max_size=40) | st.binary(max_size=3), max_size=5 * FEW)


@given(keys, st.integers(1, 300))
def test_many_keys_have_the_partitions_of_each(keys: list[bytes], partitions: int) -> None:
    """Of all lengths together, empty ones too."""
    assert partitions_of(keys, partitions) == [partition_of(key, partitions) for key in keys]


def test_a_key_that_is_much_longer_than_the_others_costs_no_step_for_each_of_its_words() -> None:
    """It may have a megabyte."""
    keys = [b"%d" % number for number in range(1000)] + [b"long" * 2_000] * FEW
    assert partitions_of(keys, 7) == [partition_of(key, 7) for key in keys]


@given(keys)
def test_strangers_are_those_of_other_partitions(keys: list[bytes]) -> None:
    for here in range(3):
        rows = Rows(MemoryStore(), partition=here, partitions=3)
        assert strangers(rows, keys) == {at for at, key in enumerate(keys) if partition_of(key, 3) != here}
    assert strangers(Rows(MemoryStore()), keys) == set()
