import numpy as np
import pytest

from feature_service.compaction import compact_history
from feature_service.errors import HistoryFormatError
from feature_service.stores.layout import COMPACTED_HEADER, HEADER, HEADER_BYTES, RECORD_BYTES
from tests.oracle.payments import Payment, histories_of

NOW_MS = 1_700_000_000_000
PAYMENTS = [
    Payment(transaction=1 + index, time_ms=NOW_MS + index * 1_000, amount_minor=index, entities={"card": 7})
    for index in range(3_000)
]
RECORDS = histories_of(PAYMENTS)[1, 7].tobytes()


def test_a_long_history_becomes_a_shorter_one_that_older_readers_refuse() -> None:
    shorter = compact_history(HEADER + RECORDS)
    assert shorter is not None
    assert shorter.startswith(COMPACTED_HEADER)
    assert (len(shorter) - HEADER_BYTES) // RECORD_BYTES < 1_500
    assert shorter.endswith(RECORDS[-1_024 * RECORD_BYTES :])


def test_what_is_appended_to_a_compacted_history_is_compacted_with_it() -> None:
    half = len(PAYMENTS) // 2 * RECORD_BYTES
    once = compact_history(HEADER + RECORDS)
    first = compact_history(HEADER + RECORDS[:half])
    assert first is not None
    assert compact_history(first + RECORDS[half:]) == once


@pytest.mark.parametrize("records", [0, 1, 255, 256, 1_024])
def test_a_short_history_has_no_shorter_form(records: int) -> None:
    assert compact_history(HEADER + RECORDS[: records * RECORD_BYTES]) is None


@pytest.mark.parametrize("value", [b"", HEADER[:7] + b"\x03" + RECORDS, HEADER + RECORDS[:-1]])
def test_what_is_no_history_is_refused(value: bytes) -> None:
    with pytest.raises(HistoryFormatError):
        compact_history(value)


def test_the_order_of_records_says_nothing() -> None:
    records = np.frombuffer(RECORDS, dtype=np.int64).reshape(-1, 9)
    shuffled = np.random.default_rng(1).permutation(records)
    assert compact_history(HEADER + shuffled.tobytes()) == compact_history(HEADER + RECORDS)
