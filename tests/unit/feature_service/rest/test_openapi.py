"""The description is valid OpenAPI, says what the contract's comments say, and what is written obeys its schemas."""

import json
from importlib.resources import files
from typing import Any

import pytest
from fraud.v1 import decision_pb2, features_pb2, scoring_pb2
from fraud.v1.transaction_pb2 import Transaction
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from feature_service.rest import Call, Endpoint
from feature_service.rest.forms import write_json
from feature_service.rest.openapi import openapi
from feature_service.rest.schemas import reference

NOW_MS = 1_700_000_000_000
COMMENTS = json.loads(files("fraud.v1").joinpath("comments.json").read_text())
METHODS = [
    *scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].methods,
    *features_pb2.DESCRIPTOR.services_by_name["FeatureService"].methods,
]


async def no_answer(call: Call) -> bytes:
    raise NotImplementedError


def example(now_ms: int) -> Message:
    return scoring_pb2.ScoreRequest(transaction=Transaction(transaction_id="t", event_time_ms=now_ms))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    endpoints = [
        Endpoint(
            verb="GET" if method.name == "DescribeCatalogue" else "POST",
            path=f"/{method.name}",
            method=method,
            permission="score",
            answer=no_answer,
            example=example if method.name == "Score" else None,
        )
        for method in METHODS
    ]
    return openapi("Everything", "v1", endpoints, COMMENTS, now_ms=NOW_MS)


def test_it_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_methods_fields_and_values_are_described_by_the_contract(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert "stored decision" in document["paths"]["/Score"]["post"]["description"]
    assert "missing, never zero" in schemas["fraud.v1.Transaction"]["description"]
    assert schemas["fraud.v1.Transaction"]["properties"]["currency"]["description"] == "ISO 4217 alphabetic code"
    assert "TIER_FALLBACK_RULES: no model" in schemas["fraud.v1.Tier"]["description"]
    assert "requestBody" not in document["paths"]["/DescribeCatalogue"]["get"]


def test_an_example_is_of_now(document: dict[str, Any]) -> None:
    content = document["paths"]["/Score"]["post"]["requestBody"]["content"]["application/json"]

    assert content["example"]["transaction"]["event_time_ms"] == str(NOW_MS)


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    bits = {
        FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
        FieldDescriptor.CPPTYPE_STRING: st.text(st.characters(codec="utf-8"), max_size=5),
    }
    return st.binary(max_size=5) if field.type == FieldDescriptor.TYPE_BYTES else bits[field.cpp_type]


def messages(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    fields = {
        field.name: st.lists(scalars(field), max_size=2) if field.is_repeated else scalars(field)
        for field in descriptor.fields
    }
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: GetMessageClass(descriptor)(**given))


@pytest.mark.parametrize(
    "descriptor",
    [decision_pb2.Decision.DESCRIPTOR, *(method.output_type for method in METHODS), *(m.input_type for m in METHODS)],
    ids=lambda descriptor: descriptor.name,
)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_written_obeys_the_schemas(
    document: dict[str, Any], descriptor: Descriptor, data: st.DataObject
) -> None:
    message = data.draw(messages(descriptor))
    validator = OAS31Validator({**reference(descriptor.full_name), "components": document["components"]})

    validator.validate(json.loads(write_json(message.SerializeToString(), descriptor)))
