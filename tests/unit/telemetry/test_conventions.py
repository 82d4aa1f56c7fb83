import re
from typing import get_args

import pytest
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    messaging_attributes,
    rpc_attributes,
)

from telemetry.conventions import AttributeName, SpanName

# Renamed in version 1.45 of the conventions, which the installed package does not have yet.
RENAMED = {"kafka.offset": "messaging.kafka.offset", "messaging.system.name": "messaging.system"}
PUBLISHED = {
    value
    for module in (error_attributes, messaging_attributes, rpc_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}


@pytest.mark.parametrize("name", [name for name in get_args(AttributeName) if not name.startswith("fraud.")])
def test_a_name_that_is_not_ours_is_a_published_convention(name: str) -> None:
    assert RENAMED.get(name, name) in PUBLISHED


@pytest.mark.parametrize("name", [name for name in get_args(AttributeName) if name.startswith("fraud.")])
def test_our_names_are_formed_alike(name: str) -> None:
    assert re.fullmatch(r"fraud(\.[a-z]+(_[a-z]+)*)+", name)


def test_no_name_is_of_an_entity() -> None:
    entities = ("customer", "card", "merchant", "terminal", "device", "ip")

    assert not [name for name in get_args(AttributeName) for part in name.split(".") if part in entities]


def test_names_are_declared_once() -> None:
    for names in (get_args(AttributeName), get_args(SpanName)):
        assert len(set(names)) == len(names)
