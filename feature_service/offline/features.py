"""Feature vectors of recorded transactions, each as of its event time."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from feature_service.kernel import compute, make_workspace
from feature_service.offline.histories import LabelRecords, OfflineHistories, build_histories
from feature_service.packing import pack_transactions
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS

_CHUNK_ROWS = 16_384
_NO_TRIMMING_MS = 1 << 60


def iterate_features(
    plan: Plan, rows: NDArray[np.void], labels: LabelRecords, *, minor_per_major: int, wanted: NDArray[np.bool_]
) -> Iterator[NDArray[np.float64]]:
    """Chunks (c, F) of the features of the rows that are `wanted` (n,), in their order, as of their event times.

    rows: (n,) accepted DECODED rows of every kind, in any order: they are the histories. Runs on all cores, since the
    kernel works without the interpreter lock, a few chunks ahead of who takes them.
    """
    histories = build_histories(plan, rows, labels)
    targets = rows[wanted]
    workers = os.cpu_count() or 1
    ahead: deque[Future[NDArray[np.float64]]] = deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for first in range(0, targets.shape[0], _CHUNK_ROWS):
            chunk = targets[first : first + _CHUNK_ROWS]
            ahead.append(pool.submit(_chunk_features, plan, histories, chunk, float(minor_per_major)))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def offline_features(
    plan: Plan, rows: NDArray[np.void], labels: LabelRecords, *, minor_per_major: int, wanted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(w, F): the chunks of `iterate_features` in one array."""
    chunks = list(iterate_features(plan, rows, labels, minor_per_major=minor_per_major, wanted=wanted))
    return np.concatenate(chunks) if chunks else np.empty((0, len(plan.names)))


def _chunk_features(
    plan: Plan, histories: OfflineHistories, chunk: NDArray[np.void], minor_per_major: float
) -> NDArray[np.float64]:
    spans = histories.spans(chunk)
    currents = np.zeros((chunk.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(chunk, currents)
    values = np.empty((chunk.shape[0], len(plan.names)))
    compute(
        histories.words,
        spans,
        chunk,
        currents,
        plan.arrays,
        minor_per_major,
        _NO_TRIMMING_MS,
        make_workspace(int(spans[:, :, 1].max(initial=0))),
        values,
        np.empty(chunk.shape[0], dtype=np.int8),
    )
    return values
