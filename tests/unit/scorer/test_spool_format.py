"""Whatever becomes of a segment's bytes, what is read from them is what was written first, and no more than that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.publication import Record
from scorer.spool_format import MAGIC, frame, read_segment

RECORDS = st.lists(
    st.builds(
        Record,
        st.text(max_size=5),
        st.binary(max_size=8),
        st.binary(max_size=40),
        st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=8)), max_size=3),
    ),
    max_size=6,
)


def segment_of(records: list[Record]) -> bytes:
    return MAGIC + b"".join(frame(record) for record in records)


@given(RECORDS)
def test_what_is_written_is_read(records: list[Record]) -> None:
    data = segment_of(records)

    read = read_segment(data)

    assert (read.records, read.fault, read.sound_bytes) == (records, None, len(data))


@given(RECORDS)
def test_every_prefix_gives_the_whole_records_before_its_end(records: list[Record]) -> None:
    data = segment_of(records)
    ends = [len(MAGIC)]
    for record in records:
        ends.append(ends[-1] + len(frame(record)))

    for length in range(len(data)):
        read = read_segment(data[:length])
        whole = sum(end <= length for end in ends[1:])
        assert read.records == records[:whole]
        assert read.fault == (None if length in ends else "torn")
        assert read.sound_bytes == (ends[whole] if length >= len(MAGIC) else 0)


@given(RECORDS, st.data())
def test_a_changed_byte_is_noticed_and_nothing_before_it_is_lost(records: list[Record], draw: st.DataObject) -> None:
    data = bytearray(segment_of(records))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))

    read = read_segment(bytes(data))

    assert read.fault == "damaged"
    assert read.sound_bytes <= at
    assert read.records == records[: len(read.records)]
    assert segment_of(read.records) == bytes(data[: max(len(MAGIC), read.sound_bytes)]) or read.sound_bytes == 0


@pytest.mark.parametrize("zeros", [12, 4_096])
def test_zeros_where_a_frame_should_be_are_damage(zeros: int) -> None:
    record = Record("decisions", b"key", b"value", [])

    read = read_segment(segment_of([record]) + bytes(zeros))

    assert (read.records, read.fault) == ([record], "damaged")


@given(st.binary(max_size=200))
def test_anything_can_be_read(data: bytes) -> None:
    assert read_segment(data).sound_bytes <= len(data)
