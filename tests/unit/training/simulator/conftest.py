"""Small worlds for the simulator's tests, and the contract's own judges of what it sends."""

from pathlib import Path

import pytest

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.identity import IdKey
from feature_service.labels import LabelDecoder
from feature_service.money import SAMPLE_RATES_FILE, RateTable
from training.simulator.population import Population, populate
from training.simulator.settings import SimulatorSettings

CONTRACT = ContractSettings(id_hash_key_file=Path("unread"))
KEY = IdKey.from_hex("00" * 16)


@pytest.fixture(scope="session")
def world() -> SimulatorSettings:
    """A fifth of the default's people and terminals, with its rates."""
    return SimulatorSettings(seed=3, customers=1_000, terminals=2_000, days=40)


@pytest.fixture(scope="session")
def population(world: SimulatorSettings) -> Population:
    return populate(world)


@pytest.fixture(scope="session")
def decoder() -> TransactionDecoder:
    return TransactionDecoder(CONTRACT, RateTable.load(SAMPLE_RATES_FILE, "EUR"), KEY)


@pytest.fixture(scope="session")
def label_decoder() -> LabelDecoder:
    return LabelDecoder(CONTRACT, KEY)
