"""Calls of the kernel itself, without a store before it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import EXACT_MEMBERS
from feature_service.kernel import compute, make_scratch, make_workspace
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS
from tests.oracle.payments import Histories, Payment, decoded, packed

NEVER_TRIMMED_MS = 1 << 60


def kernel_vectors(
    plan: Plan,
    asked: Sequence[Payment],
    histories: Histories,
    *,
    slack_ms: int = NEVER_TRIMMED_MS,
    exact_members: int = EXACT_MEMBERS,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Values (n, F) and statuses (n,) of the questions."""
    keys = list(histories)
    counts = np.array([histories[key].shape[0] for key in keys], dtype=np.int64)
    firsts = np.cumsum(counts) - counts
    words = np.concatenate([np.empty(0, dtype=np.int64), *(histories[key].reshape(-1) for key in keys)])
    rows = decoded(asked)
    spans = np.zeros((len(asked), len(ENTITIES), 2), dtype=np.int64)
    for row, payment in enumerate(asked):
        for place, entity in enumerate(ENTITIES):
            key = (place, payment.entities.get(entity, 0))
            if key in histories:
                spans[row, place] = firsts[keys.index(key)] * RECORD_WORDS, counts[keys.index(key)]
    values = np.empty((len(asked), len(plan.names)))
    statuses = np.empty(len(asked), dtype=np.int8)
    compute(
        words,
        spans,
        rows,
        packed(rows),
        plan.arrays._replace(exact_members=exact_members),
        100.0,
        slack_ms,
        make_workspace(int(spans[:, :, 1].max(initial=0))),
        make_scratch(plan.arrays),
        values,
        statuses,
    )
    return values, statuses
