import numpy as np

from scorer.model import FastModel
from training.boosting import CATEGORIES, fit


def rows(
    count: int = 2_000,
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    random = np.random.default_rng(1)
    amount, mcc = random.gamma(2.0, 30.0, count), random.integers(0, 50, count).astype(float)
    features = np.column_stack([amount, mcc])
    return features, (amount > 60) ^ (mcc % 3 == 0)


def test_the_same_rows_and_seed_give_the_same_text() -> None:
    features, is_fraud = rows()
    assert fit(features, is_fraud, ["amount", "mcc"], seed=1) == fit(features, is_fraud, ["amount", "mcc"], seed=1)


def test_the_number_of_cores_leaves_no_trace() -> None:
    features, is_fraud = rows()
    assert "[num_threads: 0]" in fit(features, is_fraud, ["amount", "mcc"], seed=1)


def test_categories_are_split_as_sets_and_not_by_order() -> None:
    features, is_fraud = rows()
    text = fit(features, is_fraud, ["amount", "mcc"], seed=1)
    found = FastModel(text, ["amount", "mcc"]).predict_many(features) > 0
    assert "mcc" in CATEGORIES
    assert (found == is_fraud).mean() > 0.95


def test_a_sharp_cut_in_an_amount_is_found() -> None:
    random = np.random.default_rng(1)
    amounts = np.round(random.gamma(2.0, 50.0, 30_000), 2)
    text = fit(amounts[:, np.newaxis], amounts > 220, ["amount"], seed=1)
    around = FastModel(text, ["amount"]).predict_many(np.array([[219.5], [220.5]]))
    assert around[1] - around[0] > 5
