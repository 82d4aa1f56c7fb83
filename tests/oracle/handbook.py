"""The handbook's 15 features, written twice from their published definitions and from nothing of this project's.

`naive_features` looks at every pair of rows and reads as the definition does; `handbook_features` finds each window's
ends by binary search in the sorted times of its entity, and manages the whole public file in seconds.

Both take a frame with the public file's columns: TRANSACTION_ID, TX_DATETIME (UTC, no zone), CUSTOMER_ID, TERMINAL_ID,
TX_AMOUNT (major units, 2 decimals), TX_FRAUD. Both return, row for row: transaction_id, event_time_ms, customer_id,
terminal_id, the features as float64, is_fraud, known_at_ms.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY_MS = 86_400_000
DELAY_DAYS = 7
WINDOW_DAYS = (1, 7, 30)
FEATURES = (
    "amount",
    "is_weekend",
    "is_night",
    *(f"customer_{what}_{days}d" for days in WINDOW_DAYS for what in ("count", "amount_mean")),
    *(f"terminal_{what}_{days}d_delay_7d" for days in WINDOW_DAYS for what in ("count", "fraud_rate")),
)


def handbook_features(frame: pd.DataFrame) -> pd.DataFrame:
    out = _request_features(frame)
    time_ms = out["event_time_ms"].to_numpy()
    amount_minor = _amount_minor(frame)
    is_fraud = out["is_fraud"].to_numpy().astype(np.int64)
    for days in WINDOW_DAYS:
        count, total = _windows(out["customer_id"], time_ms, amount_minor, days * DAY_MS, 0)
        out[f"customer_count_{days}d"] = count.astype(np.float64)
        out[f"customer_amount_mean_{days}d"] = total / count / 100
        count, frauds = _windows(out["terminal_id"], time_ms, is_fraud, days * DAY_MS, DELAY_DAYS * DAY_MS)
        out[f"terminal_count_{days}d_delay_7d"] = count.astype(np.float64)
        out[f"terminal_fraud_rate_{days}d_delay_7d"] = frauds / np.maximum(count, 1)
    return _ordered(out)


def naive_features(frame: pd.DataFrame) -> pd.DataFrame:
    """O(n²): for small frames."""
    out = _request_features(frame)
    rows = list(
        zip(
            out["event_time_ms"], out["customer_id"], out["terminal_id"],
            _amount_minor(frame), out["is_fraud"], strict=True,
        )
    )  # fmt: skip
    for days in WINDOW_DAYS:
        counts, means, delayed_counts, rates = [], [], [], []
        for now, customer, terminal, _, _ in rows:
            amounts = [a for t, c, _, a, _ in rows if c == customer and now - days * DAY_MS < t <= now]
            counts.append(float(len(amounts)))
            means.append(sum(amounts) / len(amounts) / 100)
            end = now - DELAY_DAYS * DAY_MS
            labels = [f for t, _, x, _, f in rows if x == terminal and end - days * DAY_MS < t <= end]
            delayed_counts.append(float(len(labels)))
            rates.append(sum(labels) / len(labels) if labels else 0.0)
        out[f"customer_count_{days}d"] = counts
        out[f"customer_amount_mean_{days}d"] = means
        out[f"terminal_count_{days}d_delay_7d"] = delayed_counts
        out[f"terminal_fraud_rate_{days}d_delay_7d"] = rates
    return _ordered(out)


def _request_features(frame: pd.DataFrame) -> pd.DataFrame:
    time = frame["TX_DATETIME"]
    event_time_ms = time.to_numpy().astype("datetime64[ms]").astype(np.int64)
    is_fraud = frame["TX_FRAUD"].to_numpy() == 1
    return pd.DataFrame(
        {
            "transaction_id": frame["TRANSACTION_ID"].astype(str).to_numpy(),
            "event_time_ms": event_time_ms,
            "customer_id": frame["CUSTOMER_ID"].astype(str).to_numpy(),
            "terminal_id": frame["TERMINAL_ID"].astype(str).to_numpy(),
            "amount": _amount_minor(frame) / 100,
            "is_weekend": (time.dt.day_of_week >= 5).to_numpy().astype(np.float64),
            "is_night": (time.dt.hour <= 6).to_numpy().astype(np.float64),
            "is_fraud": is_fraud,
            "known_at_ms": event_time_ms + DELAY_DAYS * DAY_MS,
        }
    )


def _amount_minor(frame: pd.DataFrame) -> NDArray[np.int64]:
    minor: NDArray[np.int64] = np.rint(frame["TX_AMOUNT"].to_numpy() * 100).astype(np.int64)
    return minor


def _ordered(out: pd.DataFrame) -> pd.DataFrame:
    keys = ["transaction_id", "event_time_ms", "customer_id", "terminal_id"]
    return out[[*keys, *FEATURES, "is_fraud", "known_at_ms"]]


def _windows(
    entity: "pd.Series[str]", time_ms: NDArray[np.int64], value: NDArray[np.int64], window_ms: int, delay_ms: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per row: how many rows its entity has in (t - delay - window, t - delay], and the sum of their values."""
    count, total = np.zeros_like(time_ms), np.zeros_like(time_ms)
    for rows in entity.groupby(entity, sort=False).indices.values():
        order = rows[np.argsort(time_ms[rows], kind="stable")]
        times = time_ms[order]
        sums = np.concatenate(([0], np.cumsum(value[order])))
        first = np.searchsorted(times, times - delay_ms - window_ms, side="right")
        end = np.searchsorted(times, times - delay_ms, side="right")
        count[order] = end - first
        total[order] = sums[end] - sums[first]
    return count, total
