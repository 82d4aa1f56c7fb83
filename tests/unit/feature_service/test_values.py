"""Answers to MGET, whatever pieces they come in: what the client library's own reader makes of the same bytes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from feature_service.stores.values import Values, ValuesReader
from tests.oracle.mget import mget_answer

REFUSAL = ResponseError("LOADING Redis is loading the dataset in memory")
VALUE = st.none() | st.binary(max_size=40) | st.sampled_from([b"\r\n", b"$-1\r\n", bytes(1_444), bytes(9_000)])
ANSWERS = st.lists(st.lists(VALUE, max_size=9) | st.just(REFUSAL), max_size=4)


def written(answer: Sequence[bytes | None] | ResponseError) -> bytes:
    if isinstance(answer, ResponseError):
        return b"-%b\r\n" % str(answer).encode()
    return mget_answer(answer)


def read(reader: Any, pieces: Sequence[bytes]) -> list[Any]:
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (answer := reader.gets()) is not False:
            found.append(answer)
    return found


@given(answers=ANSWERS, data=st.data())
@settings(max_examples=400, derandomize=True, deadline=None)
def test_answers_are_those_that_the_client_library_reads(
    answers: list[list[bytes | None] | ResponseError], data: st.DataObject
) -> None:
    came = b"".join(map(written, answers))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(came)), max_size=12)))
    pieces = [came[start:end] for start, end in pairwise([0, *cuts, len(came)])]
    found = read(ValuesReader(), pieces)
    expected = read(hiredis.Reader(replyError=ResponseError), pieces)
    assert list(map(repr, map(plain, found))) == list(map(repr, expected))


def plain(answer: Values | ResponseError) -> list[bytes | None] | ResponseError:
    return answer if isinstance(answer, ResponseError) else list(answer)


def test_bytes_come_one_by_one() -> None:
    answer = [b"", None, b"12345678", b"\r\n*1\r\n", None]
    (found,) = read(ValuesReader(), [bytes([byte]) for byte in written(answer)])
    assert found == answer


def test_room_grows_from_one_answer_to_the_next() -> None:
    long: list[bytes | None] = [bytes(100_000), None, bytes(300_000)]
    answers: list[list[bytes | None]] = [[b"a"], long, [b"b"] * 50, [bytes(1_000)] * 50]
    assert read(ValuesReader(), [b"".join(map(written, answers))]) == answers


def test_one_long_value_makes_no_room_for_many() -> None:
    _, found = read(ValuesReader(), [written([bytes(3_000_000)]), written([b"a"] * 1_000)])
    assert found.words.nbytes <= 16 * 1024 * 1024


@given(values=st.lists(VALUE, min_size=1, max_size=9), data=st.data())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_values_are_a_sequence(values: list[bytes | None], data: st.DataObject) -> None:
    (found,) = read(ValuesReader(), [written(values)])
    place = data.draw(st.integers(-len(values), len(values) - 1))
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(values)), st.integers(0, len(values)))))
    assert isinstance(found[start:end], Values)
    assert (len(found), found[place], found[start:end]) == (len(values), values[place], values[start:end])
    assert found != [*values, None]
    with pytest.raises(IndexError):
        found[len(values)]
    with pytest.raises(ValueError, match="one after another"):
        found[::2]


def test_values_may_be_read_only() -> None:
    (found,) = read(ValuesReader(), [written([b"12345678"])])
    with pytest.raises(ValueError, match="read-only"):
        found.words[0] = 0


@pytest.mark.parametrize(
    "came", [b"+OK\r\n", b"$1\r\na\r\n", b"*-1\r\n", b"*1\r\n:1\r\n", b"*1\r\n$1-\r\n", b"*1\r\n$536870913\r\n"]
)
def test_what_is_no_answer_to_mget_is_a_fault(came: bytes) -> None:
    with pytest.raises(hiredis.ProtocolError, match="answer to MGET"):
        read(ValuesReader(), [came])
