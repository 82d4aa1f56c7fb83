"""Builds histories that nobody reads yet, from files and from the log.

The same functions fold as in a worker, under the same fences: a build that broke off goes on where it stopped, and a
worker goes on where the build ended. Nothing is published, for it has been, dead letters too. Hence no worker of
another consumer group does this: it would publish the dead letters again, and could not read files.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from fraud.v1.dead_letter_pb2 import Rejection
from numpy.typing import NDArray

from feature_service.stores.base import HistoryStore
from stream_processor.file_source import FileSurvey, intervals
from stream_processor.fold_input import RecordDecoder
from stream_processor.log_reader import LogReader
from stream_processor.record_batch import TopicPartition
from stream_processor.source_fold import SourceFold

OnProgress = Callable[[int, int], None]
"""Told how many records of how many are folded."""


class HistoryBuilder:
    """Into a store whose generation nobody else folds into. Call `fold_file` for each file, `fold_log`, `verify`."""

    def __init__(
        self, store: HistoryStore, *, transactions: RecordDecoder, labels: RecordDecoder, max_batch_records: int
    ) -> None:
        self._store = store
        self._transactions = transactions
        self._labels = labels
        self._max_batch_records = max_batch_records
        self._folds: list[SourceFold] = []

    async def fold_file(self, found: FileSurvey, on_progress: OnProgress) -> Counter[str]:
        """Fold the rows that are not yet; returns how many records were refused, by name of Rejection.

        Raises: FileError, BackfillConflictError, StoreError, StoreUnavailableError.
        """
        refused: Counter[str] = Counter()
        fold = await SourceFold.begin(self._store, found.source, start_offset=0, end_offset=found.rows)
        self._folds.append(fold)
        parts = intervals(
            found.file,
            self._transactions,
            self._labels,
            from_row=fold.position,
            max_rows=self._max_batch_records,
        )
        for part in parts:
            await fold.fold(
                from_offset=part.from_row, to_offset=part.to_row, offsets=part.rows, fold_input=part.fold_input
            )
            refused.update(_names(part.fold_input.rejections))
            on_progress(fold.position, found.rows)
        await fold.move_fences()
        return refused

    async def fold_log(
        self,
        reader: LogReader,
        decoders: Mapping[TopicPartition, RecordDecoder],
        sources: Mapping[TopicPartition, str],
        on_progress: OnProgress,
    ) -> int:
        """Fold until less than a batch is left, which a worker does at its start; returns how many records that were.

        Raises: LogGapError, FetchPositionError where the log has lost what comes next; BackfillConflictError,
        StoreError, StoreUnavailableError; aiokafka's KafkaError.
        """
        tps = list(sources)
        starts, ends = await reader.starts(tps), await reader.ends(tps)
        folds = {
            tp: await SourceFold.begin(self._store, source, start_offset=starts[tp], end_offset=ends[tp])
            for tp, source in sources.items()
        }
        self._folds += folds.values()
        begun_at = sum(fold.position for fold in folds.values())
        reader.seek({tp: fold.position for tp, fold in folds.items()})
        while True:
            while any(folds[tp].position < ends[tp] for tp in tps):
                for batch in await reader.read():
                    await folds[batch.tp].fold(
                        from_offset=batch.from_offset,
                        to_offset=batch.to_offset,
                        offsets=batch.offsets,
                        fold_input=decoders[batch.tp](batch.values, batch.timestamps_ms),
                    )
                done = sum(fold.position for fold in folds.values()) - begun_at
                on_progress(done, done + _left(folds, ends))
            ends = await reader.ends(tps)
            if _left(folds, ends) <= self._max_batch_records:
                break
        for fold in folds.values():
            await fold.move_fences()
        return sum(fold.position for fold in folds.values()) - begun_at

    async def verify(self) -> None:
        """After what was folded has been saved: raises BackfillLostError where it is no longer all there."""
        for fold in self._folds:
            await fold.verify()


def _left(folds: Mapping[TopicPartition, SourceFold], ends: Mapping[TopicPartition, int]) -> int:
    return sum(max(0, ends[tp] - fold.position) for tp, fold in folds.items())


def _names(rejections: NDArray[np.int64]) -> Sequence[str]:
    found = rejections[rejections != 0].tolist()
    return [Rejection.Name(Rejection.ValueType(rejection)).removeprefix("REJECTION_") for rejection in found]
