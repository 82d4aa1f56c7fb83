"""A features file of the handbook's view with signal in it: large amounts and terminals with a past are fraud."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_service import catalogue

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_700_006_400_000 // DAY_MS * DAY_MS
DAYS = 50
NAMES = catalogue.view("handbook").names


def feature_table(seed: int = 1, rows: int = 20_000) -> pa.Table:
    random = np.random.default_rng(seed)
    event_time_ms = FIRST_DAY_MS + np.sort(random.integers(0, DAYS * DAY_MS, rows))
    columns = {name: random.gamma(2.0, 2.0, rows) for name in NAMES}
    columns["amount"] = random.gamma(2.0, 30.0, rows).round(2)
    columns["is_night"] = (random.random(rows) < 0.2).astype(float)
    columns["terminal_fraud_rate_7d_delay_7d"] = np.where(random.random(rows) < 0.02, random.random(rows), 0.0)
    columns["terminal_fraud_rate_7d_delay_7d"][::97] = np.nan
    risk = -6 + 0.02 * columns["amount"] + 8 * np.nan_to_num(columns["terminal_fraud_rate_7d_delay_7d"])
    return pa.table(
        {
            "transaction_id": [str(row) for row in range(rows)],
            "event_time_ms": event_time_ms,
            "customer_id": [f"c{number}" for number in random.integers(0, 300, rows)],
            **columns,
            "is_fraud": random.random(rows) < 1 / (1 + np.exp(-risk)),
            "known_at_ms": event_time_ms + 7 * DAY_MS,
        }
    )


@pytest.fixture(scope="session")
def features_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "features.parquet"
    pq.write_table(feature_table(), path)
    return path
