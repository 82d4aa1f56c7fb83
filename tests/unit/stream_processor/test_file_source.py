from pathlib import Path

import numpy as np
import pytest

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.errors import FileError
from feature_service.file_mapping import FileMapping, parse_mapping
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.records import RECORD, Kind
from stream_processor.file_source import FileInput, FileInterval, intervals, survey
from stream_processor.fold_input import DecodeLabels, DecodeTransactions
from tests.unit.stream_processor.conftest import ID_KEY

DAY_MS = 86_400_000
MAPPING = parse_mapping(
    "test",
    {
        "time_unit": "epoch_ms",
        "amount_unit": "minor",
        "columns": {
            "transaction_id": "id",
            "event_time": "at",
            "customer_id": "customer",
            "amount": "amount",
            "is_fraud": "fraud",
        },
        "constants": {"currency": "EUR"},
    },
)
ROWS = "\n".join(f"T{row},{1_700_000_000_000 + row},C{row % 3},100,{int(row in (2, 5))}" for row in range(8))


def file_of(path: Path, rows: str = ROWS, mapping: FileMapping = MAPPING, label_delay_ms: int = DAY_MS) -> FileInput:
    path.write_text(f"id,at,customer,amount,fraud\n{rows}\n")
    return FileInput(path, mapping, label_delay_ms)


def parts(file: FileInput, contract: ContractSettings, *, from_row: int, max_rows: int) -> list[FileInterval]:
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    transactions = DecodeTransactions(TransactionDecoder(contract, rates, ID_KEY))
    return list(
        intervals(
            file, transactions, DecodeLabels(LabelDecoder(contract, ID_KEY)), from_row=from_row, max_rows=max_rows
        )
    )


def test_the_same_content_is_the_same_source_wherever_it_lies(tmp_path: Path) -> None:
    first, copy = survey(file_of(tmp_path / "a.csv")), survey(file_of(tmp_path / "b.csv"))
    assert first.source == copy.source
    assert first.source.startswith("file:")
    assert (first.rows, first.newest_event_time_ms) == (8, 1_700_000_000_007)


def test_other_content_or_another_reading_is_another_source(tmp_path: Path) -> None:
    other_mapping = FileMapping("test", MAPPING.columns, {"currency": "USD"}, "epoch_ms", "minor")
    sources = {
        survey(file).source
        for file in (
            file_of(tmp_path / "a.csv"),
            file_of(tmp_path / "b.csv", rows=ROWS.replace("C1", "C9")),
            file_of(tmp_path / "c.csv", mapping=other_mapping),
            file_of(tmp_path / "d.csv", label_delay_ms=2 * DAY_MS),
        )
    }
    assert len(sources) == 4


def test_a_file_without_payments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no payments"):
        survey(file_of(tmp_path / "a.csv", rows=""))


@pytest.mark.parametrize(("from_row", "expected"), [(0, [(0, 2), (3, 5), (6, 7)]), (4, [(4, 6), (7, 7)]), (8, [])])
def test_intervals_touch_and_begin_where_they_are_told(
    tmp_path: Path, contract: ContractSettings, from_row: int, expected: list[tuple[int, int]]
) -> None:
    found = parts(file_of(tmp_path / "a.csv"), contract, from_row=from_row, max_rows=3)
    assert [(part.from_row, part.to_row) for part in found] == expected


def test_a_label_goes_with_the_row_it_is_about(tmp_path: Path, contract: ContractSettings) -> None:
    first, second = parts(file_of(tmp_path / "a.csv"), contract, from_row=0, max_rows=4)
    assert first.rows.tolist() == [0, 1, 2, 3, 2]
    assert second.rows.tolist() == [4, 5, 6, 7, 5]
    records = np.ascontiguousarray(first.fold_input.records[:, 0]).view(RECORD)[:, 0]
    assert records["kind"].tolist() == [Kind.AUTHORISATION] * 4 + [Kind.LABEL]
    assert records["transaction_hash"][4] == records["transaction_hash"][2]


def test_what_is_refused_has_no_entities(tmp_path: Path, contract: ContractSettings) -> None:
    [part] = parts(file_of(tmp_path / "a.csv", rows="T1,1700000000000,C1,-5,0"), contract, from_row=0, max_rows=4)
    assert part.fold_input.rejections.all()
    assert not part.fold_input.entity_hashes.any()
