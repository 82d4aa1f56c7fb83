import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.handbook import DAY_MS, handbook_features, naive_features

START_MS = 1_522_540_800_000
# Whole and half days meet the ends of windows exactly.
TIMES_MS = st.integers(0, 2 * 45).map(lambda half_days: half_days * DAY_MS // 2) | st.integers(0, 45 * DAY_MS)
PAYMENT = st.tuples(TIMES_MS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 50_000), st.booleans())


def frame(payments: list[tuple[int, int, int, int, bool]]) -> pd.DataFrame:
    time_ms, customer, terminal, amount_minor, is_fraud = (list(column) for column in zip(*payments, strict=True))
    return pd.DataFrame(
        {
            "TRANSACTION_ID": range(len(payments)),
            "TX_DATETIME": pd.to_datetime([START_MS + each for each in time_ms], unit="ms"),
            "CUSTOMER_ID": customer,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": np.array(amount_minor) / 100,
            "TX_FRAUD": np.array(is_fraud).astype(np.int8),
        }
    )


@settings(deadline=None)
@given(st.lists(PAYMENT, min_size=1, max_size=25))
def test_binary_search_and_every_pair_agree(payments: list[tuple[int, int, int, int, bool]]) -> None:
    given_frame = frame(payments)
    pd.testing.assert_frame_equal(handbook_features(given_frame), naive_features(given_frame), check_exact=True)


def test_a_window_leaves_out_its_start_and_includes_its_end() -> None:
    found = handbook_features(
        frame([(0, 1, 1, 1000, True), (DAY_MS, 1, 1, 3000, False), (8 * DAY_MS, 1, 1, 100, False)])
    )
    assert found["customer_count_1d"].tolist() == [1.0, 1.0, 1.0]
    assert found["customer_count_7d"].tolist() == [1.0, 2.0, 1.0]
    assert found["customer_amount_mean_7d"].tolist() == [10.0, 20.0, 1.0]
    assert found["terminal_count_1d_delay_7d"].tolist() == [0.0, 0.0, 1.0]
    assert found["terminal_fraud_rate_7d_delay_7d"].tolist() == [0.0, 0.0, 0.5]


def test_night_is_until_the_end_of_the_seventh_hour_and_weekend_starts_on_saturday() -> None:
    hour_ms = DAY_MS // 24
    times_ms = [0, 7 * hour_ms - 1, 7 * hour_ms, 5 * DAY_MS, 6 * DAY_MS, 7 * DAY_MS]  # from Sunday, 2018-04-01
    found = handbook_features(frame([(time_ms, 1, 1, 1, False) for time_ms in times_ms]))
    assert found["is_night"].tolist() == [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]
    assert found["is_weekend"].tolist() == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]
