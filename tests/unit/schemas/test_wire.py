"""The wire: names that other programs rely on, and Kafka's partitioner bit by bit."""

from __future__ import annotations

import aiokafka.partitioner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import LETTER_BYTES, MAX_RECORD_BYTES, murmur2, partition_of, topics, transactional_id


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_what_java_gives(data: bytes, signed: int) -> None:
    """The vectors are those of Kafka's own ``UtilsTest.testMurmur2``."""
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.binary(max_size=40))
def test_murmur2_agrees_with_another_client_for_any_bytes(data: bytes) -> None:
    """Also for the lengths that leave one, two or three bytes over."""
    assert murmur2(data) == aiokafka.partitioner.murmur2(data) & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(1, 1000))
def test_a_key_lies_in_exactly_one_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_topics_are_named_after_their_stream() -> None:
    """Changing any of these strands the data of whoever runs the former version."""
    assert topics("sites")._asdict() == {
        "input": "sites",
        "output": "sites.summaries",
        "partials": "sites.partials",
        "summaries": "sites.summaries",
        "rows": "",
        "dead_letters": "dlq.sites",
        "replayed": "dlq.sites.replayed",
        "app": "streamgauge-sites",
        "changelog": "streamgauge-sites-state-changelog",
    }
    assert topics("products", merges=True, rows=True).rows == "products.rows"


def test_each_partition_has_a_transactional_id_of_its_own() -> None:
    """Fencing works by it: one id, one owner."""
    ids = {transactional_id(topics(stream).app, partition) for stream in ("sites", "items") for partition in range(8)}
    assert len(ids) == 16


def test_a_cut_dead_letter_is_smaller_than_what_is_refused() -> None:
    assert LETTER_BYTES < MAX_RECORD_BYTES
