from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fraud.v1.decision_pb2 import ACTION_DECLINE, ORIGIN_CALL, Decision
from fraud.v1.label_pb2 import LABEL_SOURCE_ANALYST, LABEL_SOURCE_CHARGEBACK, Label
from fraud.v1.transaction_pb2 import (
    OUTCOME_APPROVED,
    TRANSACTION_KIND_CAPTURE,
    TRANSACTION_KIND_REVERSAL,
    Transaction,
)
from pyarrow import parquet

from feature_service.catalogue import feature_set_version
from feature_service.catalogue.definitions import DAY_MS
from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.events import EventBatch, Messages
from feature_service.identity import IdKey
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.offline.dataset import DecodedEvents, OfflineSummary, decode_events, write_features
from feature_service.plan import make_plan

NOW_MS = 1_700_000_000_000
KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
SETTINGS = ContractSettings(id_hash_key_file=Path("unread"))
PLAN = make_plan(("amount", "card_count_1d", "merchant_fraud_count_30d_delay_7d"))


def payment(number: int, **changes: object) -> Transaction:
    fields = {
        "transaction_id": f"t-{number}",
        "event_time_ms": NOW_MS + number,
        "card_id": "c-1",
        "merchant_id": "m-1",
        "amount_minor": 100 * number,
        "currency": "EUR",
    }
    return Transaction(**fields | changes)  # type: ignore[arg-type]


def label(number: int, *, known_after_ms: int, is_fraud: bool, source: int = LABEL_SOURCE_ANALYST) -> Label:
    return Label(
        label_id=f"l-{number}-{known_after_ms}-{source}",
        transaction_id=f"t-{number}",
        event_time_ms=NOW_MS + number,
        known_at_ms=NOW_MS + known_after_ms,
        is_fraud=is_fraud,
        source=source,  # type: ignore[arg-type]
        merchant_id="m-1",
    )


def messages(values: Sequence[tuple[bytes, int]]) -> Messages:
    lengths = np.array([len(value) for value, _ in values], dtype=np.int64)
    none = np.zeros(len(values), dtype=np.int64)
    return Messages(
        buffer=b"".join(value for value, _ in values),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        key_starts=none,
        key_lengths=none,
        timestamps_ms=np.array([timestamp_ms for _, timestamp_ms in values], dtype=np.int64),
    )


def batch_of(payments: Sequence[Transaction], labels: Sequence[Label] = ()) -> EventBatch:
    return EventBatch(
        transactions=messages([(each.SerializeToString(), each.event_time_ms) for each in payments]),
        labels=messages([(each.SerializeToString(), each.known_at_ms) for each in labels]),
        label_rows=np.zeros(len(labels), dtype=np.int64),
    )


def events_of(*batches: EventBatch) -> DecodedEvents:
    rates = RateTable.load(SETTINGS.rates_file, "EUR")
    return decode_events(batches, TransactionDecoder(SETTINGS, rates, KEY), LabelDecoder(SETTINGS, KEY))


def written(events: DecodedEvents, folder: Path) -> tuple[dict[str, list[object]], OfflineSummary]:
    summary = write_features(events, PLAN, folder / "out.parquet", minor_per_major=100)
    assert [each.name for each in folder.iterdir()] == ["out.parquet"]
    return parquet.read_table(folder / "out.parquet").to_pydict(), summary


def test_authorisations_have_a_row_and_the_rest_is_history(tmp_path: Path) -> None:
    capture = payment(2, kind=TRANSACTION_KIND_CAPTURE)
    reversal = payment(3, kind=TRANSACTION_KIND_REVERSAL)
    answered = payment(1, outcome=OUTCOME_APPROVED)
    table, summary = written(
        events_of(batch_of([payment(1), capture]), batch_of([reversal, payment(4), answered])), tmp_path
    )
    assert table["transaction_id"] == ["t-1", "t-4", "t-1"]
    assert table["event_time_ms"] == [NOW_MS + 1, NOW_MS + 4, NOW_MS + 1]
    assert table["card_id"] == ["c-1"] * 3
    assert "terminal_id" not in table
    assert table["card_count_1d"] == [1.0, 2.0, 1.0]
    assert table["amount"] == [1.0, 4.0, 1.0]
    assert table["is_fraud"] == [False] * 3
    assert table["known_at_ms"] == [None] * 3
    assert (summary.rows, summary.frauds) == (3, 0)
    metadata = parquet.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"feature_set_version"].decode() == summary.feature_set_version == feature_set_version(PLAN.names)


def test_payments_that_calls_asked_about_are_history_and_have_no_row(tmp_path: Path) -> None:
    decoder = TransactionDecoder(SETTINGS, RateTable.load(SETTINGS.rates_file, "EUR"), KEY)
    decisions = [
        Decision(origin=ORIGIN_CALL, action=ACTION_DECLINE, transaction=payment(number)).SerializeToString()
        for number in (1, 2)  # the first comes as a transaction too
    ]
    asked = DecisionDecoder(decoder).decode(decisions, [NOW_MS + 10] * 2).rows
    batches = [batch_of([payment(1, outcome=OUTCOME_APPROVED), payment(3)])]

    table, _ = written(decode_events(batches, decoder, LabelDecoder(SETTINGS, KEY), asked=asked), tmp_path)

    assert table["transaction_id"] == ["t-1", "t-3"]
    assert table["card_count_1d"] == [1.0, 3.0]


def test_the_outcome_is_the_last_label_there_is_and_features_know_only_earlier_ones(tmp_path: Path) -> None:
    later = payment(1 + 8 * DAY_MS)
    labels = [
        label(1, known_after_ms=2 * DAY_MS, is_fraud=True),
        label(1, known_after_ms=9 * DAY_MS, is_fraud=False),
    ]
    table, summary = written(events_of(batch_of([payment(1), later], labels)), tmp_path)
    assert table["merchant_fraud_count_30d_delay_7d"] == [0.0, 1.0]
    assert table["is_fraud"] == [False, False]
    assert table["known_at_ms"] == [NOW_MS + 9 * DAY_MS, None]
    assert summary.frauds == 0


def test_of_labels_known_at_one_time_the_one_that_features_believe_is_the_outcome() -> None:
    cleared = label(1, known_after_ms=DAY_MS, is_fraud=False, source=LABEL_SOURCE_CHARGEBACK)
    suspected = label(1, known_after_ms=DAY_MS, is_fraud=True, source=LABEL_SOURCE_ANALYST)
    for labels in ([cleared, suspected], [suspected, cleared]):
        assert events_of(batch_of([payment(1)], labels)).is_fraud.tolist() == [False]


def test_what_is_refused_is_counted_and_is_no_history() -> None:
    events = events_of(batch_of([payment(1), payment(2, currency="XXQ"), payment(3, amount_minor=-1)]))
    assert events.rows.shape == (1,)
    assert events.ids.num_rows == 1
    assert sum(events.rejected.values()) == 2


@pytest.mark.parametrize("batches", [(), (batch_of([]),), (batch_of([payment(1, currency="")]),)])
def test_an_empty_data_set_is_a_file_without_rows(batches: tuple[EventBatch, ...], tmp_path: Path) -> None:
    table, summary = written(events_of(*batches), tmp_path)
    assert {"transaction_id", "event_time_ms", *PLAN.names, "is_fraud", "known_at_ms"} <= set(table)
    assert not any(table.values())
    assert summary.rows == 0


def test_a_file_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out.parquet"
    output.write_bytes(b"the one before")
    with pytest.raises(KeyboardInterrupt):
        write_features(events_of(batch_of([payment(1)])), PLAN, output, minor_per_major=100, on_progress=stop)
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]
    assert output.read_bytes() == b"the one before"
