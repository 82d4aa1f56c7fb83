"""Feature vectors of recorded transactions, each as of its event time."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from feature_service.kernel import compute, make_workspace
from feature_service.offline.histories import LabelRecords, build_histories
from feature_service.packing import pack_transactions
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS

_CHUNK_ROWS = 16_384
_NO_TRIMMING_MS = 1 << 60


def offline_features(
    plan: Plan, rows: NDArray[np.void], labels: LabelRecords, *, minor_per_major: int, wanted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(w, F) features of the rows that are `wanted` (n,), in their order, as of their event times.

    rows: (n,) accepted DECODED rows of every kind, in any order: they are the histories. Runs on all cores: the kernel
    works without the interpreter lock.
    """
    histories = build_histories(plan, rows, labels)
    targets = rows[wanted]
    values = np.empty((targets.shape[0], len(plan.names)))

    def fill(first: int) -> None:
        chunk = targets[first : first + _CHUNK_ROWS]
        spans = histories.spans(chunk)
        currents = np.zeros((chunk.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        pack_transactions(chunk, currents)
        compute(
            histories.words,
            spans,
            chunk,
            currents,
            plan.arrays,
            float(minor_per_major),
            _NO_TRIMMING_MS,
            make_workspace(int(spans[:, :, 1].max(initial=0))),
            values[first : first + _CHUNK_ROWS],
            np.empty(chunk.shape[0], dtype=np.int8),
        )

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in pool.map(fill, range(0, targets.shape[0], _CHUNK_ROWS)):
            pass
    return values
