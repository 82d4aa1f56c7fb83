from typing import Any

import pytest
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest
from fraud.v1.transaction_pb2 import Transaction
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessages
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.score_batch import ScoreBatch, ScoreBatchError, join_score_batch, split_score_batch

PROFILE = settings(derandomize=True, deadline=None, max_examples=300)
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

transactions = st.builds(
    Transaction, transaction_id=st.text(max_size=200), amount_minor=st.one_of(st.none(), st.integers(0, 10**11))
).map(Transaction.SerializeToString)
traceparents = st.sampled_from([b"", TRACEPARENT, b"x" * 128])
items = st.lists(st.tuples(transactions, traceparents), max_size=5)


def frame_class() -> Any:  # a class made at run time
    """ScoreBatchRequest with its transactions as bytes, of which an item may have several."""
    kinds = FieldDescriptorProto
    file = FileDescriptorProto(name="frame.proto", package="frame", syntax="proto3")
    item, request = file.message_type.add(name="Item"), file.message_type.add(name="Request")
    item.field.add(name="transactions", number=1, type=kinds.TYPE_BYTES, label=kinds.LABEL_REPEATED)
    item.field.add(name="traceparent", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    request.field.add(
        name="items", number=1, type=kinds.TYPE_MESSAGE, type_name=".frame.Item", label=kinds.LABEL_REPEATED
    )
    request.field.add(name="batch_traceparent", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    return GetMessages([file], pool=DescriptorPool())["frame.Request"]


FRAME = frame_class()


def parts(buffer: bytes, batch: ScoreBatch) -> list[tuple[bytes, bytes]]:
    spans = zip(
        batch.starts.tolist(),
        batch.lengths.tolist(),
        batch.traceparent_starts.tolist(),
        batch.traceparent_lengths.tolist(),
        strict=True,
    )
    return [(buffer[a : a + n], buffer[b : b + m]) for a, n, b, m in spans]


@PROFILE
@given(items, traceparents)
def test_joined_is_what_the_official_library_reads(pairs: list[tuple[bytes, bytes]], batch: bytes) -> None:
    joined = join_score_batch([value for value, _ in pairs], [header for _, header in pairs], batch)
    expected = ScoreBatchRequest(
        items=[
            ScoreBatchItem(transaction=Transaction.FromString(value), traceparent=header.decode())
            for value, header in pairs
        ],
        batch_traceparent=batch.decode(),
    )
    assert ScoreBatchRequest.FromString(joined) == expected
    assert joined == expected.SerializeToString(deterministic=True)


@PROFILE
@given(items, traceparents)
def test_split_gives_the_parts_that_were_joined(pairs: list[tuple[bytes, bytes]], batch: bytes) -> None:
    joined = join_score_batch([value for value, _ in pairs], [header for _, header in pairs], batch)
    split = split_score_batch(joined)
    assert parts(joined, split) == pairs
    assert split.batch_traceparent == batch.decode()


@PROFILE
@given(items, st.data())
def test_any_bytes_are_framed_as_the_official_parser_frames_them(
    pairs: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    joined = join_score_batch([value for value, _ in pairs], [header for _, header in pairs], b"b")
    position = data.draw(st.integers(0, len(joined)))
    value = joined[:position] + data.draw(st.binary(max_size=3)) + joined[position + data.draw(st.integers(0, 3)) :]
    try:
        frame = FRAME.FromString(value)
    except DecodeError:
        frame = None
    if frame is None or any(len(item.transactions) > 1 for item in frame.items):
        with pytest.raises(ScoreBatchError):
            split_score_batch(value)
    else:
        split = split_score_batch(value)
        assert parts(value, split) == [(b"".join(item.transactions), item.traceparent.encode()) for item in frame.items]
        assert split.batch_traceparent == frame.batch_traceparent


def test_an_item_with_two_transactions_is_refused_not_merged() -> None:
    with pytest.raises(ScoreBatchError):
        split_score_batch(b"\x0a\x04\x0a\x00\x0a\x00")


def test_an_item_may_be_empty_and_unknown_fields_are_skipped() -> None:
    value = b"\x0a\x00\x18\x05\x0a\x04\x18\x05\x12\x00"
    assert parts(value, split_score_batch(value)) == [(b"", b""), (b"", b"")]


def test_the_last_trace_wins() -> None:
    value = b"\x12\x01a\x0a\x06\x12\x01x\x12\x01y\x12\x01b"
    split = split_score_batch(value)
    assert parts(value, split) == [(b"", b"y")]
    assert split.batch_traceparent == "b"


@pytest.mark.parametrize(
    "value", [b"\x0a", b"\x0a\x05\x0a\x01", b"\x12\x01\xff", b"\x0a\x03\x12\x01\xff", b"\x0a\x01\x0a"]
)
def test_broken_frames(value: bytes) -> None:
    with pytest.raises(ScoreBatchError, match="not a fraud"):
        split_score_batch(value)


def test_a_trace_header_that_is_not_ascii_is_left_out() -> None:
    joined = join_score_batch([b"", b""], [b"\xff", TRACEPARENT], b"\xff")
    split = split_score_batch(joined)
    assert parts(joined, split) == [(b"", b""), (b"", TRACEPARENT)]
    assert split.batch_traceparent == ""


def test_each_transaction_needs_its_header() -> None:
    with pytest.raises(ValueError, match="shorter"):
        join_score_batch([b"", b""], [b""], b"")
