"""Record batches as a broker hands them out: cut, cut off, compressed, thinned out, opened again."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from processors.packets import Fetched, RecordBatches, is_intact, magic_of
from processors.run import Loose, Record, Run
from processors.waiting import OPEN_RECORDS, Waiting
from schemas.decode import RunDecoder
from schemas.wire import ORIGIN

CODECS = {
    "none": DefaultRecordBatch.CODEC_NONE,
    "gzip": DefaultRecordBatch.CODEC_GZIP,
    "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}


def batch_of(values: list[bytes | None], codec: str = "none", first: int = 0) -> bytes:
    """A record batch whose records have the key ``b"k"``, an origin, and the time 1000 plus their place."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, -1, 1 << 20)
    for place, value in enumerate(values):
        builder.append(place, 1000 + place, b"k", value, [(ORIGIN, b"a:%d" % place)])
    data = builder.build()
    data[0:8] = first.to_bytes(8, "big")  # the broker sets it, and the checksum does not cover it
    return bytes(data)


@pytest.mark.parametrize("codec", CODECS)
def test_a_packet_gives_the_same_records_each_time_it_is_opened(codec: str) -> None:
    """A dead letter is read out of the packet that was opened for counting before."""
    packet = Fetched(batch_of([b"1", None, b"3"], codec, first=40), 40)
    assert (packet.first, len(packet)) == (40, 3)
    for _ in range(2):
        records = packet.records()
        assert [(record.offset, record.value) for record in records] == [(40, b"1"), (41, None), (42, b"3")]
        assert [(record.key, record.timestamp) for record in records] == [(b"k", 1000), (b"k", 1001), (b"k", 1002)]
        assert [list(record.headers) for record in records] == [[(ORIGIN, b"a:%d" % place)] for place in range(3)]


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    cut_off=st.integers(0, 80),
)
def test_a_response_is_cut_into_its_whole_batches(sizes: list[int], cut_off: int) -> None:
    """The broker cuts a response at a size, in the middle of a batch; what is not whole is fetched again."""
    batches = [batch_of([b"x"] * size) for size in sizes]
    data = b"".join(batches)
    response = RecordBatches(data[: len(data) - cut_off])
    found: list[bytes] = []
    while response.has_next():
        found.append(response.next_batch())
    whole = 0
    while whole < len(batches) and len(b"".join(batches[: whole + 1])) <= len(data) - cut_off:
        whole += 1
    assert found == batches[:whole]
    assert [magic_of(batch) for batch in found] == [2] * whole
    assert response.size_in_bytes() == len(data) - cut_off


@pytest.mark.parametrize("data", [b"", b"\0" * 25, b"\0" * 400, b"\xff" * 400])
def test_what_is_no_batch_is_never_taken_for_one(data: bytes) -> None:
    """A length that is too small or too large must neither be read past the end nor read for ever."""
    assert not RecordBatches(data).has_next()


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    offsets=st.lists(st.integers(0, 20), min_size=1, max_size=2),
    packed=st.booleans(),
)
def test_the_rest_of_a_run_holds_exactly_the_records_above(sizes: list[int], offsets: list[int], packed: bool) -> None:
    """A run may be cut anywhere, also twice, in the middle of a packet, between two, or beyond the end."""
    packets: list[Fetched | Loose] = []
    at = 0
    for size in sizes:
        values: list[bytes | None] = [b"%d" % offset for offset in range(at, at + size)]
        loose = Loose([Record(offset, b"%d" % offset) for offset in range(at, at + size)])
        packets.append(Fetched(batch_of(values, first=at), at) if packed else loose)
        at += size
    run = Run("t", 0, first=0, next=at, packets=packets, end=at)
    for offset in offsets:
        run = run.since(offset)
    above = max(offsets)
    assert [record.offset for record in run.records()] == [*range(above, at)]
    assert (run.first, run.next) == (min(above, at), at)
    assert all(packet.records() for packet in run.packets)


@given(
    values=st.lists(st.sampled_from([b"1", b"22", b"x", b"", None, b"1 2"]), max_size=30),
    cuts=st.lists(st.integers(1, 7), min_size=30, max_size=30),
    timed=st.booleans(),
)
def test_what_waits_is_decoded_as_each_record_alone_would_be(
    values: list[bytes | None], cuts: list[int], timed: bool
) -> None:
    """However it was packed: places, times and dead letters belong to the records that they came from."""
    decoder = RunDecoder[int](int)
    waiting = Waiting()
    begin, sizes = 0, iter(cuts)
    while begin < len(values):
        end = begin + next(sizes)
        waiting.add([Fetched(batch_of(values[begin:end], first=begin), begin)])
        begin = end
    assert len(waiting) == len(values)
    good = [(place, int(value)) for place, value in enumerate(values) if value in {b"1", b"22"}]
    parts = list(waiting.parts(decoder, timed=timed))
    assert len(parts) == (1 if values else 0)
    for part in parts:
        assert list(zip(part.places, part.records, strict=True)) == good
        assert {place for place, _ in part.bad} == set(range(len(values))) - {place for place, _ in good}
        assert [part.record(place).offset for place in range(part.size)] == [*range(len(values))]
        assert all(part.record(place).value == values[place] for place, _ in part.bad)
        if timed:  # each packet's times begin anew
            assert [part.record(place).timestamp for place in part.places] == part.times
        else:
            assert part.times == []


def test_what_is_large_when_it_is_opened_is_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compression may hide a thousand times the bytes that were fetched."""
    monkeypatch.setattr("processors.waiting.PART_BYTES", 10)
    waiting = Waiting()
    each = OPEN_RECORDS  # what is opened at once is not cut further
    waiting.add([Fetched(batch_of([b"7"] * each, "zstd", first=each * place), each * place) for place in range(3)])
    parts = list(waiting.parts(RunDecoder[int](int), timed=False))
    assert [part.size for part in parts] == [each] * 3
    assert parts[2].record(5).offset == 2 * each + 5


def test_few_values_that_are_large_are_opened_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet may hold one record of a megabyte, packed into a kilobyte: sixteen thousand of those fit no memory."""
    monkeypatch.setattr("processors.waiting.OPEN_BYTES", 10)
    decoder, sizes = RunDecoder[str](str), list[int]()
    waiting = Waiting()
    waiting.add([Fetched(batch_of([b'"seven"'], "zstd", first=place), place) for place in range(9)])
    decode = decoder.decode
    monkeypatch.setattr(decoder, "decode", lambda values: sizes.append(len(values)) or decode(values))
    (part,) = waiting.parts(decoder, timed=False)
    assert (part.records, part.places, sizes) == (["seven"] * 9, range(9), [2, 2, 2, 2, 1])


def test_a_packet_full_of_bad_records_is_opened_once_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty thousand records of garbage fit a packet."""
    opened: list[int] = []
    records = Fetched.records
    monkeypatch.setattr(Fetched, "records", lambda packet: opened.append(packet.first) or records(packet))
    waiting = Waiting()
    waiting.add([Fetched(batch_of([b"x"] * 20, first=first), first) for first in (0, 20)])
    (part,) = waiting.parts(RunDecoder[int](int), timed=False)
    assert [part.record(place).offset for place, _ in part.bad] == [*range(40)]
    assert opened == [0, 20, 0, 20]


def test_a_packet_of_which_nothing_is_left_ends_nothing() -> None:
    """Compaction removes records and keeps the batch's last offset; those that follow count all the same."""
    thinned = bytearray(batch_of([b"1"] * 3))
    thinned[23:27] = (8).to_bytes(4, "big")
    waiting = Waiting()
    waiting.add([Fetched(bytes(thinned), 5), Fetched(batch_of([b"2"], first=9), 9)])
    assert [part.records for part in waiting.parts(RunDecoder[int](int), timed=False)] == [[2]]


@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_batch_that_changed_on_its_way_is_not_intact(place: int, flip: int) -> None:
    """Whichever byte behind the checksum it is; aiokafka says the same."""
    data = bytearray(batch_of([b"some", b"values"]))
    assert is_intact(bytes(data))
    data[17 + place % (len(data) - 17)] ^= flip
    assert not is_intact(bytes(data))
    assert not DefaultRecordBatch(bytes(data)).validate_crc()
