"""Messages come out of JSON as they went in; whatever else comes in is refused, without its values coming back."""

import json
from contextlib import suppress
from typing import Any

import pytest
from fraud.v1.decision_pb2 import Decision
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from fraud.v1.transaction_pb2 import CHANNEL_CHIP, Transaction
from hypothesis import given
from hypothesis import strategies as st

from feature_service.refusal import CallRefusedError
from feature_service.rest.forms import JSON, PROTOBUF, Form, read_json, request_form, response_form, write_json
from feature_service.rest.refusals import HttpRefusedError

CARD_NUMBER = "4111111111111111"
FIELDS = [field.name for field in Transaction.DESCRIPTOR.fields]

numbers = st.integers() | st.floats() | st.integers(-(2**63), 2**63).map(str)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20) | st.sampled_from(["CHANNEL_CHIP", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps({"transaction": value}).encode()))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    with suppress(CallRefusedError):
        ScoreRequest.FromString(read_json(body, ScoreRequest.DESCRIPTOR))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"transaction":' * 2_000,
        b'{"transaction": ' + b"9" * 5_000 + b"}",
        b'{"transaction": {"mcc": " at a.' + b"." * 1_000_000 + b'!"}}',
    ],
    ids=["lists", "objects", "a number", "dots"],
)
def test_depth_and_length_are_refused_too(body: bytes) -> None:
    with pytest.raises(CallRefusedError):
        read_json(body, ScoreRequest.DESCRIPTOR)


@given(
    st.builds(
        Transaction,
        transaction_id=st.text(st.characters(codec="utf-8"), max_size=10),
        event_time_ms=st.integers(-(2**63), 2**63 - 1),
        amount_minor=st.none() | st.integers(-(2**63), 2**63 - 1),
        mcc=st.integers(0, 2**32 - 1),
        channel=st.just(CHANNEL_CHIP),
        utc_offset_minutes=st.none() | st.integers(-(2**31), 2**31 - 1),
    )
)
def test_json_keeps_every_field(transaction: Transaction) -> None:
    request = ScoreRequest(transaction=transaction)

    text = write_json(request.SerializeToString(), ScoreRequest.DESCRIPTOR)

    assert ScoreRequest.FromString(read_json(text, ScoreRequest.DESCRIPTOR)) == request


@given(st.lists(st.floats(allow_nan=False)))
def test_json_keeps_the_bits_of_numbers(vector: list[float]) -> None:
    response = ScoreResponse()
    response.decision.feature_vector.extend(vector)

    text = write_json(response.SerializeToString(), ScoreResponse.DESCRIPTOR)

    assert read_json(text, ScoreResponse.DESCRIPTOR) == response.SerializeToString()


def test_json_names_fields_as_the_contract_does_and_leaves_no_default_out() -> None:
    written: dict[str, Any] = json.loads(
        write_json(ScoreResponse(decision=Decision()).SerializeToString(), ScoreResponse.DESCRIPTOR)
    )

    assert written["replayed"] is False
    assert written["decision"]["fraud_probability"] == 0
    assert written["decision"]["decided_at_ms"] == "0"  # 64 bits are a string
    assert "freshness_ms" not in written["decision"]  # which nobody knows


def test_both_spellings_of_a_field_are_read() -> None:
    snake, camel = b'{"transaction": {"amount_minor": 5}}', b'{"transaction": {"amountMinor": "5"}}'

    assert read_json(snake, ScoreRequest.DESCRIPTOR) == read_json(camel, ScoreRequest.DESCRIPTOR)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("nonsense", ": line 1, column 1"),
        ('{"transaction": {"amont": 1}}', ": there is no field amont in transaction"),
        ('{"transactions": {}}', ": there is no field transactions"),
        ('{"transaction": {"amount_minor": "CARD"x}}', ": line 1, column 52"),
        ('{"transaction": {"mcc": "CARD"}}', ": transaction.mcc is to be a whole number of 32 bits from 0 on"),
        (
            '{"transaction": {"amountMinor": "12 CARD"}}',
            ": transaction.amount_minor is to be a whole number of 64 bits",
        ),
        (
            '{"transaction": {"channel": "CARD"}}',
            ": transaction.channel is to be one of CHANNEL_UNSPECIFIED, CHANNEL_CHIP",
        ),
        ('{"transaction": {"card_id": 5, "CARD": 1}}', ": transaction.card_id is to be a string"),
        ('{"transaction": {"location": 5}}', ": transaction.location is to be an object, a fraud.v1.Location"),
        ('{"transaction": {"CARD": 1}}', ": there is no field of that name in transaction"),
        ('["CARD"]', ""),
    ],
)
def test_what_is_wrong_is_named_and_values_are_not(body: str, words: str) -> None:
    with pytest.raises(CallRefusedError) as refused:
        read_json(body.replace("CARD", CARD_NUMBER).encode(), ScoreRequest.DESCRIPTOR)

    assert f"the body is not a fraud.v1.ScoreRequest in JSON{words}" in str(refused.value)
    assert CARD_NUMBER not in str(refused.value)


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (JSON, JSON),
        ("Application/JSON; charset=utf-8", JSON),
        (PROTOBUF, PROTOBUF),
        ("application/x-protobuf ", PROTOBUF),
    ],
)
def test_a_request_says_its_form(content_type: str, form: Form) -> None:
    assert request_form(content_type) == form


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded"])
def test_a_request_of_no_known_form_is_refused(content_type: str | None) -> None:
    with pytest.raises(HttpRefusedError) as refused:
        request_form(content_type)

    assert refused.value.code == 415


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, PROTOBUF),
        (" ", PROTOBUF),
        ("*/*", PROTOBUF),
        ("text/html, application/*;q=0.8", PROTOBUF),
        (JSON, JSON),
        (f"text/html, {JSON};q=0.9, {PROTOBUF}", JSON),
        (PROTOBUF, PROTOBUF),
    ],
)
def test_an_answer_has_the_first_form_its_caller_accepts(accept: str | None, form: Form) -> None:
    assert response_form(accept, otherwise=PROTOBUF) == form


def test_an_answer_of_no_form_that_is_accepted_is_refused() -> None:
    with pytest.raises(HttpRefusedError) as refused:
        response_form("text/html, text/plain", otherwise=JSON)

    assert refused.value.code == 406
