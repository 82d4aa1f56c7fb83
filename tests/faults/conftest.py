"""What the faults of a session share: servers, a model, and what is sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from feature_service.events import Event
from loadtests.context import Context
from loadtests.faults.given import simulated_arrivals
from loadtests.faults.model import train_alerting_model

EVENTS = 100_000  # more than any of the faults in tests sends


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with Context(tmp_path_factory.mktemp("faults"), quick=True, say=print) as context:
        yield context


@pytest.fixture(scope="session")
def bundle(context: Context) -> Path:
    return train_alerting_model(context)


@pytest.fixture(scope="session")
def given() -> Sequence[Event]:
    return simulated_arrivals(EVENTS)
