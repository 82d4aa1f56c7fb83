import numpy as np

from training.dataset import DAY_MS, Dataset
from training.protocol import fold


def dataset(rows: list[tuple[int, int, bool]]) -> Dataset:
    """Of (day, customer, is_fraud), noon each."""
    rows = sorted(rows)
    time_ms = np.array([day for day, _, _ in rows]) * DAY_MS + DAY_MS // 2
    customer = np.array([customer for _, customer, _ in rows])
    is_fraud = np.array([fraud for _, _, fraud in rows])
    return Dataset((), time_ms, customer, np.empty((len(rows), 0)), is_fraud, time_ms)


def rows_tested(rows: list[tuple[int, int, bool]]) -> list[tuple[int, int]]:
    test = fold(dataset(rows), 100 * DAY_MS).test
    return [
        (int(time_ms // DAY_MS), int(customer))
        for time_ms, customer in zip(test.event_time_ms, test.customer, strict=True)
    ]


def test_seven_days_of_training_seven_of_waiting_seven_of_testing() -> None:
    found = fold(dataset([(day, 1, False) for day in range(90, 130)]), 100 * DAY_MS)
    assert (found.train.event_time_ms // DAY_MS).tolist() == list(range(100, 107))
    assert (found.test.event_time_ms // DAY_MS).tolist() == list(range(114, 121))


def test_customers_defrauded_in_training_are_removed_from_every_test_day() -> None:
    assert rows_tested([(103, 1, True), (114, 1, False), (120, 1, True), (114, 2, False)]) == [(114, 2)]


def test_a_fraud_during_the_wait_removes_its_customer_from_the_eighth_day_after() -> None:
    always = [(day, 1, False) for day in range(114, 121)]
    assert rows_tested([(109, 1, True), *always]) == [(114, 1), (115, 1), (116, 1)]


def test_frauds_before_training_or_shortly_before_a_test_day_are_not_known() -> None:
    rows = [(99, 1, True), (113, 1, True), (114, 1, True), (120, 1, False)]
    assert rows_tested(rows) == [(114, 1), (120, 1)]
