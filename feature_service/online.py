"""Features of transactions from stored histories: which keys to read, and what the kernel makes of the values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.attempts import Attempts
from feature_service.errors import HistoryFormatError
from feature_service.history_spans import history_spans
from feature_service.kernel import APPROXIMATE, Workspace, compute, make_scratch, make_workspace
from feature_service.key_places import key_table, place_keys
from feature_service.key_set import KeySet
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.layout import StoreLayout
from feature_service.stores.values import ABSENT, Values

_FIRST_CAPACITY: Final = 256


@dataclass(frozen=True, slots=True)
class FeatureVectors:
    values: NDArray[np.float64]  # (n, F); NaN is missing
    statuses: NDArray[np.int8]  # (n,) bits of the kernel's; READ_BEFORE_HORIZON: that row's values must not be used


def approximate_entities(status: int) -> tuple[str, ...]:
    """Those of a row whose windows reach past the records that are seen exactly."""
    return tuple(name for index, name in enumerate(ENTITIES) if status & APPROXIMATE << index)


class OnlineFeatures:
    """Feature vectors by one plan. Not for concurrent use by threads: it owns scratch memory."""

    def __init__(self, plan: Plan, layout: StoreLayout, *, minor_per_major: int, slack_ms: int) -> None:
        self.plan = plan
        self._layout = layout
        self._entities = np.array(plan.entities, dtype=np.int64)
        self._minor_per_major = float(minor_per_major)
        self._slack_ms = slack_ms
        self._space: Workspace = make_workspace(_FIRST_CAPACITY)
        self._capacity = _FIRST_CAPACITY
        self._scratch = make_scratch(plan.arrays)

    def keys(self, rows: NDArray[np.void]) -> KeySet:
        """The keys for (n,) DECODED rows."""
        places = np.full((rows.shape[0], len(ENTITIES)), -1, dtype=np.int64)
        most = rows.shape[0] * self._entities.shape[0]
        hashes, entities = np.empty(most, dtype=np.uint64), np.empty(most, dtype=np.int64)
        count = place_keys(rows, self._entities, places, hashes, entities, key_table(most))
        return KeySet(self._layout.history_keys(entities[:count].tolist(), hashes[:count].tolist()), places)

    def vectors(
        self,
        rows: NDArray[np.void],
        keys: KeySet,
        histories: Sequence[bytes | None],
        attempts: Attempts | None = None,
    ) -> FeatureVectors:
        """Features of (n,) DECODED rows as of their event times, from the values under `keys`.

        `attempts` beside those histories: a row sees those that come before its own. A row whose `transaction_hash` is
        0 is a read as of a time, without a transaction. Raises: HistoryFormatError.
        """
        words, lengths = _joined(histories, attempts)
        currents = np.empty((rows.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        spans = np.empty((rows.shape[0], len(ENTITIES), 2), dtype=np.int64)
        starts = np.empty(len(histories), dtype=np.int64)
        longest = history_spans(words, lengths, rows, keys.places, currents, spans, starts)
        if longest < 0:
            raise HistoryFormatError(f"the value under {keys.keys[-1 - longest]!r} is no history of format 1 or 2")
        self._grow(longest)
        result = FeatureVectors(np.empty((rows.shape[0], len(self.plan.names))), np.empty(rows.shape[0], dtype=np.int8))
        compute(
            words,
            spans,
            rows,
            currents,
            self.plan.arrays,
            self._minor_per_major,
            self._slack_ms,
            self._space,
            self._scratch,
            result.values,
            result.statuses,
        )
        return result

    def _grow(self, records: int) -> None:
        if records > self._capacity:
            self._capacity = 2 * records
            self._space = make_workspace(self._capacity)


def _joined(
    histories: Sequence[bytes | None], attempts: Attempts | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words of k histories, each with the attempts behind it, and (k, 2) the bytes of both."""
    lengths = np.zeros((len(histories), 2), dtype=np.int64)
    if attempts is None and isinstance(histories, Values):
        lengths[:, 0] = histories.lengths
        return histories.words_from_first, lengths
    lengths[:, 0] = [ABSENT if history is None else len(history) for history in histories]
    pieces = [history or b"" for history in histories]
    if attempts is not None:
        beside = list(zip(pieces, attempts.before, attempts.runs, strict=True))
        lengths[:, 1] = [len(before) + len(run) for _, before, run in beside]
        pieces = [piece for of_key in beside for piece in of_key]
    joined = b"".join(pieces)
    return np.frombuffer(joined, dtype=np.int64, count=len(joined) // 8), lengths
