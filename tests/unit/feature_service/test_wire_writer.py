"""Columns written down all rows give the bytes that the official library gives for each row."""

from typing import Any

import numpy as np
import pyarrow as pa
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Location, Transaction
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.events import partition_key
from feature_service.message_columns import Column, Integers, Strings, Submessages
from feature_service.wire_writer import write_bytes, write_messages

VALUES: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.one_of(st.text(max_size=5), st.text("ab", min_size=120, max_size=200)),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_MESSAGE: st.builds(
        Location,
        latitude_microdegrees=st.integers(-90_000_000, 90_000_000),
        longitude_microdegrees=st.integers(-180_000_000, 180_000_000),
    ),
}


def messages(kind: type[Transaction] | type[Label]) -> st.SearchStrategy[Any]:
    """Any fields present or not; present and 0 or empty too, where the contract tells that from absent."""
    fields = {}
    for field in kind.DESCRIPTOR.fields:
        numbers = (
            None if field.enum_type is None else st.sampled_from([value.number for value in field.enum_type.values])
        )
        fields[field.name] = VALUES[field.type] if numbers is None else numbers
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: kind(**chosen))


def columns_of(rows: list[Message], fields: list[FieldDescriptor]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for field in fields:
        values = [getattr(row, field.name) for row in rows]
        if field.type == FieldDescriptor.TYPE_STRING:
            columns[field.name] = Strings.of(pa.array(values, pa.string()))
        elif field.message_type is not None:
            present = np.array([row.HasField(field.name) for row in rows], np.bool_)
            parts = {
                name: column
                for name, column in columns_of(values, list(field.message_type.fields)).items()
                if not isinstance(column, Submessages)
            }
            columns[field.name] = Submessages(parts, present)
        else:
            present = np.array([not field.has_presence or row.HasField(field.name) for row in rows], np.bool_)
            columns[field.name] = Integers(np.array(values, np.int64), present)
    return columns


@settings(deadline=None)  # the first example compiles
@given(st.lists(messages(Transaction), max_size=8), st.lists(messages(Label), max_size=8))
def test_bytes_and_keys_are_those_of_the_official_library(transactions: list[Transaction], labels: list[Label]) -> None:
    for rows, descriptor in ((transactions, Transaction.DESCRIPTOR), (labels, Label.DESCRIPTOR)):
        times_ms = np.arange(len(rows))
        written = write_messages(descriptor, columns_of(list(rows), list(descriptor.fields)), timestamps_ms=times_ms)
        events = written.events("transactions")
        assert [event.value for event in events] == [row.SerializeToString(deterministic=True) for row in rows]
        assert [event.key for event in events] == [partition_key(row) for row in rows]
        assert [event.timestamp_ms for event in events] == times_ms.tolist()


def take(codes: list[int]) -> NDArray[np.int64]:
    return np.array(codes, np.int64)


def test_texts_are_taken_from_a_pool_and_minus_one_is_absent() -> None:
    pool = Strings.of(pa.array(["zero", None, "two"]))
    assert pool.texts() == ["zero", "", "two"]
    assert pool.take(take([2, -1, 0, 1, 2])).texts() == ["two", "", "zero", "", "two"]
    assert pool.take(take([2, -1])).lengths().tolist() == [3, 0]


def test_texts_of_a_slice_are_those_of_its_rows() -> None:
    assert Strings.of(pa.array(["a", "bc", "def", "g"])[1:3]).texts() == ["bc", "def"]


def test_a_constant_stands_in_every_row() -> None:
    assert Strings.constant("EUR", 3).texts() == ["EUR", "EUR", "EUR"]


@given(st.data(), st.binary(max_size=300), st.integers(0, 40))
def test_bytes_are_copied_to_their_place_and_nowhere_else(data: st.DataObject, source: bytes, cursor: int) -> None:
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, len(source)))
    buffer = np.full(cursor + end - start + 40, 0xFF, dtype=np.uint8)
    behind = write_bytes(np.frombuffer(source, dtype=np.uint8), start, end, cursor, buffer)
    assert behind == cursor + end - start
    assert buffer.tobytes() == b"\xff" * cursor + source[start:end] + b"\xff" * 40
