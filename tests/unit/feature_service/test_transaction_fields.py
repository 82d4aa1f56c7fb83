"""A Transaction's fields as they are read; and that those bytes are read which the official parser reads, no others."""

import numpy as np
import pytest
from fraud.v1.transaction_pb2 import Channel, Location, Transaction, TransactionKind
from fraud.v1.transaction_pb2 import Outcome as OutcomeCode
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service import transaction_fields
from feature_service.records import ENTITIES, Kind, Outcome
from feature_service.transaction_fields import (
    FIRST_ENTITY,
    LATITUDE,
    LONGITUDE,
    MAX_CHANNEL,
    SLOTS,
    country_code,
    exceeds,
    read_transaction,
)
from feature_service.wire import MESSAGE, STRING, VARINT

PROFILE = settings(derandomize=True, deadline=None, max_examples=500)
INT64 = st.integers(-(2**63), 2**63 - 1)


def kind_of(field: FieldDescriptor) -> int:
    return {FieldDescriptor.CPPTYPE_STRING: STRING, FieldDescriptor.CPPTYPE_MESSAGE: MESSAGE}.get(
        field.cpp_type, VARINT
    )


def official_reads(value: bytes) -> bool:
    try:
        Transaction.FromString(value)
    except DecodeError:
        return False
    return True


def reads(value: bytes) -> bool:
    slots = np.zeros((SLOTS, 2), dtype=np.int64)
    return read_transaction(np.frombuffer(value, dtype=np.uint8), 0, len(value), slots)


def test_every_field_of_the_contract_is_read_as_its_type() -> None:
    table = transaction_fields._TRANSACTION_KINDS
    assert {number: kind for number, kind in enumerate(table.tolist()) if kind} == {
        field.number: kind_of(field) for field in Transaction.DESCRIPTOR.fields
    }
    inner = transaction_fields._LOCATION_KINDS
    assert {number: kind for number, kind in enumerate(inner.tolist()) if kind} == {
        field.number: kind_of(field) for field in Location.DESCRIPTOR.fields
    }


def test_entities_lie_in_their_order() -> None:
    by_number = {field.number: field.name for field in Transaction.DESCRIPTOR.fields}
    names = [by_number[FIRST_ENTITY + index].removesuffix("_id") for index in range(len(ENTITIES))]
    assert tuple(names) == ENTITIES


def test_codes_are_those_of_the_contract() -> None:
    assert {int(kind): kind.name for kind in Kind if kind < Kind.LABEL} == {
        number: name.removeprefix("TRANSACTION_KIND_") for name, number in TransactionKind.items() if number
    }
    assert [int(outcome) for outcome in Outcome] == sorted(OutcomeCode.values())
    assert max(Channel.values()) == MAX_CHANNEL


def test_numbers_are_cut_to_their_width_and_zigzag_is_undone() -> None:
    slots = np.zeros((SLOTS, 2), dtype=np.int64)
    value = (
        b"\x10\x82\x80\x80\x80\x10"  # kind 2 + 2**32
        b"\x68\x81\x80\x80\x80\x10"  # mcc 1 + 2**32
        b"\x90\x01\x83\x80\x80\x80\x10"  # utc_offset_minutes -2, and 2**32
        b"\x8a\x01\x02\x08\x01\x8a\x01\x02\x10\x04"  # a location in two parts
    )
    assert read_transaction(np.frombuffer(value, dtype=np.uint8), 0, len(value), slots)
    assert slots[[transaction_fields.KIND, transaction_fields.MCC, transaction_fields.UTC_OFFSET], 0].tolist() == [
        2,
        1,
        -2,
    ]
    assert slots[[LATITUDE, LONGITUDE], 0].tolist() == [-1, 2]


def varint(value: int, length: int = 0) -> bytes:
    """At least `length` bytes long, if need be by continuing with nothing."""
    encoded = bytearray()
    while value > 0x7F or len(encoded) + 1 < length:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def delimited(content: bytes) -> bytes:
    return varint(len(content)) + content


# Fields of any number and wire type, mostly well-formed, with contents that may be wrong in turn.
contents = st.deferred(lambda: st.one_of(st.binary(max_size=6), st.text(max_size=3).map(str.encode), wire))
numbers = st.one_of(st.integers(0, 22), st.integers(0, 2**29 - 1))
fields = st.one_of(
    st.builds(
        lambda number, value, size, tag: varint(number << 3, tag) + varint(value, size),
        numbers,
        st.integers(0, 2**64 - 1),
        st.integers(0, 11),
        st.integers(0, 6),
    ),
    st.builds(lambda number, content: varint(number << 3 | 1) + content, numbers, st.binary(min_size=7, max_size=8)),
    st.builds(lambda number, content: varint(number << 3 | 5) + content, numbers, st.binary(min_size=3, max_size=4)),
    st.builds(lambda number, content: varint(number << 3 | 2) + delimited(content), numbers, contents),
    st.builds(
        lambda number, content, off: varint(number << 3 | 3) + content + varint((number + off) << 3 | 4),
        numbers,
        contents,
        st.sampled_from([0, 0, 0, 1]),
    ),
)
wire: st.SearchStrategy[bytes] = st.lists(fields, max_size=3).map(b"".join)


@PROFILE
@given(st.one_of(wire, wire.map(lambda value: value[:-1]), st.binary(max_size=12)))
def test_the_same_bytes_are_a_message_as_for_the_official_parser(value: bytes) -> None:
    assert reads(value) == official_reads(value)


@pytest.mark.parametrize("levels", [97, 98, 99, 100, 101])
def test_the_same_nesting_is_too_deep(levels: int) -> None:
    groups = b"\xfb\x07" * levels + b"\xfc\x07" * levels
    assert reads(groups) == official_reads(groups)
    in_location = b"\x8a\x01" + delimited(groups)
    assert reads(in_location) == official_reads(in_location)


@PROFILE
@given(INT64, INT64, st.integers(0, 2**63 - 1))
def test_times_are_compared_without_overflow(later: int, earlier: int, allowance: int) -> None:
    assert exceeds(later, earlier, allowance) == (later - earlier > allowance)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(b"", 0), (b"AA", 1), (b"FR", 1 + 26 * 5 + 17), (b"ZZ", 676), (b"fr", -1), (b"F", -1), (b"FRA", -1), (b"F1", -1)],
)
def test_countries(code: bytes, expected: int) -> None:
    assert country_code(np.frombuffer(code, dtype=np.uint8), 0, len(code)) == expected
