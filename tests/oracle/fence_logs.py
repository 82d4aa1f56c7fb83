"""Logs of a simulated cluster: what was ever written to each, what is still there, and what its group committed."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from feature_service.records import ENTITIES, RECORD_WORDS
from stream_processor.record_batch import PartitionLog


@dataclass(frozen=True, slots=True)
class LogRecord:
    offset: int
    entities: frozenset[int]  # indices of ENTITIES: one entity of each kind exists; none where the record was refused


@dataclass(eq=False, slots=True)
class SourceLog:
    """One partition of a topic as it was created once. Only its start moves; what was deleted is still known here."""

    number: int  # of the source, over all topics: what its records carry
    topic: str
    topic_id: str
    partition: int
    records: list[LogRecord] = field(default_factory=list)
    start: int = 0
    end: int = 0
    committed: int | None = None
    published: set[int] = field(default_factory=set)

    def append(self, records: list[frozenset[int]], *, hole: int) -> None:
        """Behind `hole` offsets that hold no record."""
        self.end += hole
        self.records += [LogRecord(offset, entities) for offset, entities in enumerate(records, start=self.end)]
        self.end += len(records)

    def between(self, first: int, last: int) -> list[LogRecord]:
        return [record for record in self.records if first <= record.offset <= last]

    def partition_log(self, committed: int | None) -> PartitionLog:
        return PartitionLog(start_offset=self.start, end_offset=self.end, committed=committed)

    def rows(self, records: list[LogRecord]) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
        """Offsets (n,), entity hashes (n, 6) and records (n, 6, 9) that carry the source's number and their offset."""
        offsets = np.array([record.offset for record in records], dtype=np.int64)
        hashes = np.zeros((len(records), len(ENTITIES)), dtype=np.uint64)
        words = np.zeros((len(records), len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        for row, record in enumerate(records):
            for entity in record.entities:
                hashes[row, entity] = entity_hash(entity)
            words[row, :, 1:3] = self.number, record.offset
        return offsets, hashes, words


def entity_hash(entity: int) -> int:
    """Of the one entity of a kind, by the kind's index: neighbours lie in different shards."""
    return entity + 1
