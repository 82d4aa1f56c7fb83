"""Files into a store in memory; the log's part is under test with a real one, in tests/faults."""

from pathlib import Path

import pytest

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from stream_processor.errors import BackfillLostError
from stream_processor.file_source import survey
from stream_processor.fold_input import DecodeLabels, DecodeTransactions
from stream_processor.history_builder import HistoryBuilder
from tests.unit.stream_processor.conftest import ID_KEY
from tests.unit.stream_processor.test_file_source import ROWS, file_of


@pytest.fixture
def store() -> MemoryHistoryStore:
    return MemoryHistoryStore(StoreLayout(4, ID_KEY.fingerprint))


def builder(store: MemoryHistoryStore, contract: ContractSettings) -> HistoryBuilder:
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    return HistoryBuilder(
        store,
        transactions=DecodeTransactions(TransactionDecoder(contract, rates, ID_KEY)),
        labels=DecodeLabels(LabelDecoder(contract, ID_KEY)),
        max_batch_records=3,
    )


async def test_a_file_is_folded_once_however_often_it_is_given(
    store: MemoryHistoryStore, contract: ContractSettings, tmp_path: Path
) -> None:
    found = survey(file_of(tmp_path / "a.csv"))
    told: list[tuple[int, int]] = []
    await builder(store, contract).fold_file(found, lambda done, total: told.append((done, total)))
    assert told == [(3, 8), (6, 8), (8, 8)]
    histories = {key: bytes(value) for key, value in store._histories.items()}
    assert sum(len(value) - 8 for value in histories.values()) == (8 + 2) * 72, "payments and labels"

    await builder(store, contract).fold_file(found, lambda *_: pytest.fail("nothing was left to fold"))
    assert store._histories == histories


async def test_refused_rows_are_counted_by_reason(
    store: MemoryHistoryStore, contract: ContractSettings, tmp_path: Path
) -> None:
    rows = f"{ROWS}\nT8,1700000000000,4111111111111111,100,0\nT9,1700000000000,4111111111111111,100,0"
    refused = await builder(store, contract).fold_file(survey(file_of(tmp_path / "a.csv", rows)), lambda *_: None)
    assert refused == {"CARD_NUMBER": 2}


async def test_it_ends_only_with_all_its_sources_where_they_were_put(
    store: MemoryHistoryStore, contract: ContractSettings, tmp_path: Path
) -> None:
    found, one = survey(file_of(tmp_path / "a.csv")), builder(store, contract)
    await one.fold_file(found, lambda *_: None)
    await one.verify()
    store._fences[found.source][2] = -1
    with pytest.raises(BackfillLostError):
        await one.verify()
