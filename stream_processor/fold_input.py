"""Fetched records as what is folded, refused and scored of them. Pure: the same records always give the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.packing import pack_label, pack_transactions
from feature_service.records import ENTITIES, RECORD_WORDS, Kind


@dataclass(frozen=True, slots=True)
class FoldInput:
    """Of n records, in the order of the log. Refused records have no entities, so nothing of them is folded."""

    entity_hashes: NDArray[np.uint64]  # (n, 6), 0 is absent
    records: NDArray[np.int64]  # (n, 6, 9)
    rejections: NDArray[np.int64]  # (n,) fraud.v1.Rejection, 0 is accepted
    to_score: NDArray[np.int64]  # indices of the authorisations


class RecordDecoder(Protocol):
    """Makes fold input of one topic's records."""

    def __call__(self, values: Sequence[bytes | None], timestamps_ms: NDArray[np.int64]) -> FoldInput: ...


class DecodeTransactions:
    def __init__(self, decoder: TransactionDecoder) -> None:
        self._decoder = decoder

    def __call__(self, values: Sequence[bytes | None], timestamps_ms: NDArray[np.int64]) -> FoldInput:
        rows = self._decoder.decode(values, timestamps_ms).rows
        records = np.zeros((len(values), len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        pack_transactions(rows, records)
        accepted = rows["rejection"] == 0
        return FoldInput(
            entity_hashes=rows["entity_hash"],
            records=records,
            rejections=rows["rejection"].astype(np.int64),
            to_score=np.flatnonzero(accepted & (rows["kind"] == Kind.AUTHORISATION)),
        )


class DecodeLabels:
    def __init__(self, decoder: LabelDecoder) -> None:
        self._decoder = decoder

    def __call__(self, values: Sequence[bytes | None], timestamps_ms: NDArray[np.int64]) -> FoldInput:
        count = len(values)
        entity_hashes = np.zeros((count, len(ENTITIES)), dtype=np.uint64)
        records = np.zeros((count, len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        rejections = np.zeros(count, dtype=np.int64)
        for index, (value, timestamp_ms) in enumerate(zip(values, timestamps_ms.tolist(), strict=True)):
            label = self._decoder.decode(value, timestamp_ms)
            if isinstance(label, int):
                rejections[index] = label
            # A label past the horizon of the features changes none: it only matters to quality monitoring.
            elif not label.past_horizon:
                entity_hashes[index] = label.entity_hash
                records[index] = pack_label(
                    transaction_hash=label.transaction_hash,
                    event_time_ms=label.event_time_ms,
                    known_at_ms=label.known_at_ms,
                    is_fraud=label.is_fraud,
                    source=label.source,
                )
        return FoldInput(entity_hashes, records, rejections, np.empty(0, dtype=np.int64))


class DecodeDecisions:
    """The payments that calls asked about: one that was declined may never come as a transaction.

    Nothing is refused: every decision is the scorer's own word, and most are on payments that the log has anyway.
    """

    def __init__(self, decoder: DecisionDecoder) -> None:
        self._decoder = decoder

    def __call__(self, values: Sequence[bytes | None], timestamps_ms: NDArray[np.int64]) -> FoldInput:
        count = len(values)
        entity_hashes = np.zeros((count, len(ENTITIES)), dtype=np.uint64)
        records = np.zeros((count, len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        asked = self._decoder.decode(values, timestamps_ms)
        if asked.places.size:
            packed = np.zeros((asked.places.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
            pack_transactions(asked.rows, packed)
            entity_hashes[asked.places], records[asked.places] = asked.rows["entity_hash"], packed
        return FoldInput(entity_hashes, records, np.zeros(count, dtype=np.int64), np.empty(0, dtype=np.int64))
