"""Feature vectors of recorded transactions, each as of its event time."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.kernel import compute, make_scratch, make_workspace
from feature_service.offline.histories import LabelRecords, build_histories
from feature_service.packing import pack_transactions
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS

_CHUNK_ROWS: Final = 16_384
_NO_TRIMMING_MS: Final = 1 << 60


class OfflineFeatures:
    """Features by one plan over the histories of a data set."""

    def __init__(self, plan: Plan, rows: NDArray[np.void], labels: LabelRecords, *, minor_per_major: int) -> None:
        """rows: (n,) accepted DECODED rows of every kind, in any order: with the labels, they are the histories."""
        self.plan = plan
        self._histories = build_histories(plan, rows, labels)
        self._minor_per_major = float(minor_per_major)

    def of(self, targets: NDArray[np.void]) -> NDArray[np.float64]:
        """(t, F) of (t,) DECODED rows, as of their event times."""
        chunks = list(self.iterate(targets))
        return np.concatenate(chunks) if chunks else np.empty((0, len(self.plan.names)))

    def iterate(self, targets: NDArray[np.void]) -> Iterator[NDArray[np.float64]]:
        """The same in chunks (c, F), in order.

        Works on all cores, since the kernel runs without the interpreter lock, a few chunks ahead of who takes them.
        """
        workers = os.cpu_count() or 1
        ahead: deque[Future[NDArray[np.float64]]] = deque()
        with ThreadPoolExecutor(max_workers=workers) as pool:
            for first in range(0, targets.shape[0], _CHUNK_ROWS):
                ahead.append(pool.submit(self._chunk, targets[first : first + _CHUNK_ROWS]))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _chunk(self, chunk: NDArray[np.void]) -> NDArray[np.float64]:
        spans = self._histories.spans(chunk)
        currents = np.zeros((chunk.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        pack_transactions(chunk, currents)
        values = np.empty((chunk.shape[0], len(self.plan.names)))
        compute(
            self._histories.words,
            spans,
            chunk,
            currents,
            self.plan.arrays,
            self._minor_per_major,
            _NO_TRIMMING_MS,
            make_workspace(int(spans[:, :, 1].max(initial=0))),
            make_scratch(self.plan.arrays),
            values,
            np.empty(chunk.shape[0], dtype=np.int8),
        )
        return values
