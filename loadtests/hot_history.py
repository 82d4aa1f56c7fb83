"""The history of a merchant with a million payments a day, as a store holds it: compacted as it comes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import DAY_MS
from feature_service.compaction import compact_history
from feature_service.kernel.words import CODES, COUNTERPART, KNOWN_AT, TIME
from feature_service.records import RECORD, RECORD_WORDS, Kind, Outcome
from feature_service.stores.layout import HEADER, HEADER_BYTES, HISTORY_CAP, RECORD_BYTES

NOW_MS: Final = 1_735_689_600_000  # 2025-01-01
_PAYMENTS: Final = 1_000_000
_FRAUDS: Final = 2_000
_LABELS_AFTER_MS: Final = 3_600_000
_LATE_MS: Final = 500
_BETWEEN_RECORDS: Final = 256  # compactions, as the fold names histories past the cap


def hot_histories() -> list[bytes]:
    """What is stored before and after each of the last day's compactions; the last one is compacted."""
    records = _records(np.random.default_rng(1))
    history = HEADER
    found = []
    for first in range(0, records.shape[0], _BETWEEN_RECORDS):
        history += records[first : first + _BETWEEN_RECORDS].tobytes()
        if (len(history) - HEADER_BYTES) // RECORD_BYTES > HISTORY_CAP:
            found.append(history)
            history = compact_history(history) or history
            found.append(history)
    return found


def _records(draw: np.random.Generator) -> NDArray[np.int64]:
    """(n, 9) of one day, in the order of arrival."""
    payments = np.zeros(_PAYMENTS, dtype=RECORD)
    payments["event_time_ms"] = NOW_MS - draw.integers(0, DAY_MS, _PAYMENTS)
    payments["known_at_ms"] = payments["event_time_ms"]
    payments["transaction_hash"] = draw.integers(1, 2**63, _PAYMENTS)
    payments["amount_minor"] = draw.integers(100, 100_000, _PAYMENTS)
    payments["kind"] = draw.choice([Kind.AUTHORISATION, Kind.REFUND], _PAYMENTS, p=[0.97, 0.03])
    payments["outcome"] = draw.choice([Outcome.APPROVED, Outcome.DECLINED], _PAYMENTS, p=[0.9, 0.1])
    payments["country"] = 83
    words = payments.view(np.int64).reshape(-1, RECORD_WORDS)
    words[:, COUNTERPART : COUNTERPART + 3] = draw.integers(1, 2**63, (_PAYMENTS, 3))
    labels = words[draw.choice(_PAYMENTS, _FRAUDS, replace=False)]
    labels[:, CODES] = Kind.LABEL << 32 | 3 << 56
    labels[:, KNOWN_AT] += _LABELS_AFTER_MS
    records = np.concatenate([words, labels])
    arrival_ms = records[:, KNOWN_AT] + draw.integers(0, _LATE_MS, records.shape[0])
    order = np.argsort(arrival_ms, kind="stable")
    arrived: NDArray[np.int64] = records[order][arrival_ms[order] <= NOW_MS]
    assert arrived[:, TIME].max() <= NOW_MS
    return arrived
