"""How the public handbook on card fraud detection splits its data (Le Borgne et al., chapters 3 and 5).

A fold trains on seven days, waits seven days for labels and tests on the next seven. From each test day those customers
are removed who are known as defrauded by then: in training, or on a day of the wait up to eight days before.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from training.dataset import DAY_MS, Dataset

TRAIN_DAYS: Final = 7
DELAY_DAYS: Final = 7
TEST_DAYS: Final = 7
FOLD_DAYS: Final = TRAIN_DAYS + DELAY_DAYS + TEST_DAYS


def _day_ms(month: int, day: int) -> int:
    return int(datetime(2018, month, day, tzinfo=UTC).timestamp()) * 1000


SINGLE_SPLIT_START_MS: Final = _day_ms(7, 25)
# Each fold begins seven days before the one in front of it. Parameters are chosen on the validation folds only; two of
# them are test folds as well, which is the handbook's choice and not a good one.
TEST_FOLD_STARTS_MS: Final = (_day_ms(8, 15), _day_ms(8, 8), _day_ms(8, 1), _day_ms(7, 25))
VALIDATION_FOLD_STARTS_MS: Final = (_day_ms(8, 1), _day_ms(7, 25), _day_ms(7, 18), _day_ms(7, 11))


@dataclass(frozen=True, slots=True)
class Fold:
    train: Dataset
    test: Dataset


def fold(dataset: Dataset, start_ms: int) -> Fold:
    """The fold whose training starts at `start_ms`, a midnight in UTC."""
    train = dataset.between(start_ms, start_ms + TRAIN_DAYS * DAY_MS)
    defrauded = np.unique(train.customer[train.is_fraud])
    keep = []
    first_test_ms = start_ms + (TRAIN_DAYS + DELAY_DAYS) * DAY_MS
    for day_ms in range(first_test_ms, first_test_ms + TEST_DAYS * DAY_MS, DAY_MS):
        # Of a day's labels, a test day sees those of the eighth day before: the seventh is known only during it.
        learnt = dataset.between(day_ms - (DELAY_DAYS + 1) * DAY_MS, day_ms - DELAY_DAYS * DAY_MS)
        defrauded = np.union1d(defrauded, learnt.customer[learnt.is_fraud])
        keep.append(~np.isin(dataset.between(day_ms, day_ms + DAY_MS).customer, defrauded))
    test = dataset.between(first_test_ms, first_test_ms + TEST_DAYS * DAY_MS)
    return Fold(train, test.where(np.concatenate(keep)))
