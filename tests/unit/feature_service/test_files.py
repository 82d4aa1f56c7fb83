"""Files as events: the handbook's format and others, parquet and CSV, and what is wrong with a file."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fraud.v1 import label_pb2, transaction_pb2
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Location, Transaction
from pyarrow import csv

from feature_service import files
from feature_service.errors import FileError
from feature_service.file_mapping import FileMapping, load_mapping, parse_mapping
from feature_service.files import DEFAULT_LABEL_DELAY_MS, read_batches, read_events

HANDBOOK = load_mapping("handbook")
HANDBOOK_FILE = Path(
    os.environ.get(
        "FRAUD_HANDBOOK_DATA", Path(__file__).parents[3] / ".." / "shared" / "data" / "fdh_transactions.parquet"
    )
)
BEGIN = datetime(2018, 4, 1)  # noqa: DTZ001  # the file has no zone
BEGIN_MS = 1_522_540_800_000
DAY_MS = 86_400_000

Write = Callable[[dict[str, pa.Array]], Path]


@pytest.fixture(params=["parquet", "csv"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    def write_table(columns: dict[str, pa.Array]) -> Path:
        path = tmp_path / f"payments.{request.param}"
        writer = pq.write_table if request.param == "parquet" else csv.write_csv
        writer(pa.table(columns), path)
        return path

    return write_table


def handbook_rows(*, seconds: list[int], fraud: list[int]) -> dict[str, pa.Array]:
    rows = len(seconds)
    return {
        "TRANSACTION_ID": pa.array(range(rows), pa.int32()),
        "TX_DATETIME": pc.add(pa.scalar(BEGIN, pa.timestamp("ms")), pa.array(seconds, pa.duration("s"))),
        "CUSTOMER_ID": pa.array([596 + row for row in range(rows)], pa.int32()),
        "TERMINAL_ID": pa.array([3156] * rows, pa.int32()),
        "TX_AMOUNT": pa.array([57.16 + row for row in range(rows)]),
        "TX_FRAUD": pa.array(fraud, pa.int8()),
        "TX_FRAUD_SCENARIO": pa.array(fraud, pa.int8()),
    }


def test_the_handbooks_rows_become_payments_and_labels_in_order_of_time(write: Write) -> None:
    path = write(handbook_rows(seconds=[31, 130, 7 * 86_400 + 130], fraud=[0, 1, 1]))
    events = list(read_events(path, HANDBOOK))
    label_at_ms = BEGIN_MS + 130_000 + 7 * DAY_MS
    # What is known at t comes before the payment at t; what is known after the last payment comes last.
    assert [(event.topic, event.timestamp_ms, event.key) for event in events] == [
        ("transactions", BEGIN_MS + 31_000, b"596"),
        ("transactions", BEGIN_MS + 130_000, b"597"),
        ("labels", label_at_ms, b"597"),
        ("transactions", label_at_ms, b"598"),
        ("labels", label_at_ms + 7 * DAY_MS, b"598"),
    ]
    assert Transaction.FromString(events[1].value) == Transaction(
        transaction_id="1",
        event_time_ms=BEGIN_MS + 130_000,
        customer_id="597",
        terminal_id="3156",
        amount_minor=5816,
        currency="EUR",
    )
    assert Label.FromString(events[2].value) == Label(
        label_id="L1",
        transaction_id="1",
        event_time_ms=BEGIN_MS + 130_000,
        known_at_ms=label_at_ms,
        is_fraud=True,
        source=label_pb2.LABEL_SOURCE_CHARGEBACK,
        customer_id="597",
        terminal_id="3156",
    )


def test_the_delay_of_labels_is_settable_but_never_nothing(write: Write) -> None:
    path = write(handbook_rows(seconds=[0], fraud=[1]))
    assert [event.timestamp_ms for event in read_events(path, HANDBOOK, label_delay_ms=5)] == [BEGIN_MS, BEGIN_MS + 5]
    with pytest.raises(ValueError, match="positive"):
        list(read_events(path, HANDBOOK, label_delay_ms=0))


def test_batches_hold_the_labels_of_their_own_rows_and_any_order_will_do(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BATCH_ROWS", 2)
    path = write(handbook_rows(seconds=[50, 40, 30, 20, 10], fraud=[0, 1, 1, 1, 0]))
    about: list[str] = []
    ids: list[str] = []
    for batch in read_batches(path, HANDBOOK):
        payments = [Transaction.FromString(value).transaction_id for value in batch.transactions.values()]
        ids.extend(payments)
        labels = [Label.FromString(value) for value in batch.labels.values()]
        about.extend(label.transaction_id for label in labels)
        assert [payments[row] for row in batch.label_rows] == [label.transaction_id for label in labels]
        assert batch.labels.timestamps_ms.tolist() == [label.known_at_ms for label in labels]
    assert (ids, about) == (["0", "1", "2", "3", "4"], ["1", "2", "3"])


def test_events_of_many_batches_are_merged_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BATCH_ROWS", 3)
    path = tmp_path / "payments.parquet"
    pq.write_table(pa.table(handbook_rows(seconds=list(range(20)), fraud=[row % 2 for row in range(20)])), path)
    events = list(read_events(path, HANDBOOK, label_delay_ms=4_500))
    times_ms = [event.timestamp_ms for event in events]
    assert times_ms == sorted(times_ms)
    assert Counter(event.topic for event in events) == {"transactions": 20, "labels": 10}


EVERYTHING: dict[str, Any] = {
    "time_unit": "epoch_ms",
    "amount_unit": "minor",
    "columns": {
        "transaction_id": "id",
        "kind": "what",
        "original_transaction_id": "of",
        "event_time": "at",
        "customer_id": "customer",
        "card_id": "card",
        "merchant_id": "merchant",
        "terminal_id": "terminal",
        "device_id": "device",
        "ip": "address",
        "amount": "cents",
        "currency": "money",
        "mcc": "trade",
        "merchant_country": "shop country",
        "card_country": "card country",
        "channel": "way",
        "latitude": "lat",
        "longitude": "lon",
        "utc_offset_minutes": "zone",
    },
    "constants": {"outcome": "approved"},
}


def test_every_field_of_the_contract_can_be_mapped(write: Write) -> None:
    path = write(
        {
            "id": pa.array(["a", "b"]),
            "what": pa.array(["refund", None]),
            "of": pa.array(["z", None]),
            "at": pa.array([1_000, 2_000]),
            "customer": pa.array(["c", None]),
            "card": pa.array(["007", "008"]),
            "merchant": pa.array(["m", None]),
            "terminal": pa.array(["t", None]),
            "device": pa.array(["d", None]),
            "address": pa.array(["10.0.0.1", None]),
            "cents": pa.array([5, None]),
            "money": pa.array(["JPY", "EUR"]),
            "trade": pa.array([5411, None]),
            "shop country": pa.array(["NA", None]),
            "card country": pa.array(["DE", None]),
            "way": pa.array(["Contactless", None]),
            "lat": pa.array([50.7547, None]),
            "lon": pa.array([-6.0208, 1.0]),
            "zone": pa.array([-60, None]),
        }
    )
    first, second = (
        Transaction.FromString(event.value) for event in read_events(path, parse_mapping("all", EVERYTHING))
    )
    assert first == Transaction(
        transaction_id="a",
        kind=transaction_pb2.TRANSACTION_KIND_REFUND,
        original_transaction_id="z",
        event_time_ms=1_000,
        customer_id="c",
        card_id="007",
        merchant_id="m",
        terminal_id="t",
        device_id="d",
        ip="10.0.0.1",
        amount_minor=5,
        currency="JPY",
        mcc=5411,
        merchant_country="NA",
        card_country="DE",
        channel=transaction_pb2.CHANNEL_CONTACTLESS,
        location=Location(latitude_microdegrees=50_754_700, longitude_microdegrees=-6_020_800),
        utc_offset_minutes=-60,
        outcome=transaction_pb2.OUTCOME_APPROVED,
    )
    assert second == Transaction(
        transaction_id="b",
        event_time_ms=2_000,
        card_id="008",
        currency="EUR",
        outcome=transaction_pb2.OUTCOME_APPROVED,
    )


# --- what is wrong with a file ---


def refused(path: Path, mapping: FileMapping, words: str) -> None:
    with pytest.raises(FileError, match=words) as raised:
        list(read_events(path, mapping))
    assert str(path) in str(raised.value)


def test_a_missing_column_is_named_with_those_that_are_there(write: Write) -> None:
    rows = handbook_rows(seconds=[0], fraud=[0])
    del rows["TX_AMOUNT"]
    refused(write(rows), HANDBOOK, "no column TX_AMOUNT for amount; the file has: TRANSACTION_ID, TX_DATETIME")


def test_a_bad_cell_is_named_by_column_and_row(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BATCH_ROWS", 2)
    rows = handbook_rows(seconds=[0, 1, 2, 3], fraud=[0, 0, 0, 7])
    refused(write(rows), HANDBOOK, "column TX_FRAUD: row 4 has .*7.*: a flag is 0 or 1")


def test_a_row_without_id_is_named(write: Write) -> None:
    rows = handbook_rows(seconds=[0, 1], fraud=[0, 0]) | {"TRANSACTION_ID": pa.array(["x", None])}
    refused(write(rows), HANDBOOK, "column TRANSACTION_ID: row 2 has None: every row needs an id")


def test_an_unknown_code_is_answered_with_those_that_exist(write: Write) -> None:
    rows = handbook_rows(seconds=[0], fraud=[0]) | {"WAY": pa.array(["cheque"])}
    columns = {**HANDBOOK.columns, "channel": "WAY"}
    document = {"time_unit": "datetime", "amount_unit": "major", "columns": columns, "constants": HANDBOOK.constants}
    words = "column WAY: row 1 has 'cheque': it must be one of: unspecified, chip, contactless"
    refused(write(rows), parse_mapping("with channel", document), words)


@pytest.mark.parametrize("batch_rows", [2, 16])
def test_a_file_out_of_order_is_refused_at_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(files, "_BATCH_ROWS", batch_rows)
    path = tmp_path / "payments.parquet"
    pq.write_table(pa.table(handbook_rows(seconds=[1, 2, 1, 3], fraud=[0, 0, 0, 0])), path)
    refused(path, HANDBOOK, "row 3 is earlier than the row before; sort the file by TX_DATETIME")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.parquet", None, "no such file"),
        ("garbage.parquet", b"not parquet at all", "cannot be read"),
        ("empty.csv", b"", "cannot be read"),
        ("ragged.csv", b"TRANSACTION_ID,TX_DATETIME\n1\n", "cannot be read"),
        ("payments.xlsx", b"", r"\.xlsx is not supported; give a \.parquet or \.csv file"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_ours(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    refused(path, HANDBOOK, words)


# --- the whole public file ---


@pytest.mark.skipif(not HANDBOOK_FILE.exists(), reason=f"the handbook's data is not at {HANDBOOK_FILE}")
def test_the_whole_public_file_arrives_to_the_cent_and_the_millisecond() -> None:
    table = pq.read_table(HANDBOOK_FILE)
    amounts = table["TX_AMOUNT"].cast(pa.decimal128(20, 2))
    checked = labels = 0
    for number, batch in enumerate(read_batches(HANDBOOK_FILE, HANDBOOK)):
        rows = table.slice(checked, len(batch.transactions))
        assert batch.transactions.timestamps_ms.tolist() == rows["TX_DATETIME"].cast(pa.int64()).to_pylist()
        assert batch.label_rows.tolist() == pc.indices_nonzero(rows["TX_FRAUD"]).to_pylist()
        assert (batch.labels.timestamps_ms - DEFAULT_LABEL_DELAY_MS).tolist() == [
            batch.transactions.timestamps_ms[row] for row in batch.label_rows
        ]
        if number % 20 == 0:  # every message of these, field by field
            for offset, value in enumerate(batch.transactions.values()):
                payment = Transaction.FromString(value)
                assert payment.amount_minor == amounts[checked + offset].as_py().scaleb(2)
                assert payment.transaction_id == str(rows["TRANSACTION_ID"][offset].as_py())
        checked += len(batch.transactions)
        labels += len(batch.labels)
    assert (checked, labels) == (1_754_155, 14_681)
