"""What calls carry, as the use cases take it: split, decoded and judged by compiled code, without a parsed message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1.scoring_pb2 import ScoreRequest
from google.protobuf.message import DecodeError

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.identity import IdKey
from feature_service.money import RateTable
from feature_service.records import Kind
from feature_service.rejections import explain
from feature_service.score_batch import split_score_batch
from feature_service.settings import timeless
from feature_service.traceparents import contexts_of, read_traceparents
from scorer import frames
from scorer.errors import ScorerError
from scorer.payments import Payments
from telemetry.trace_context import TraceContext

_AUTHORISATION: Final = int(Kind.AUTHORISATION)


class RefusedError(ScorerError):
    """A payment that is not decided. The message says what to mend, without any value of an id."""

    def __init__(self, rejection: str, message: str, transaction_id: str) -> None:
        super().__init__(message)
        self.rejection = rejection
        self.transaction_id = transaction_id  # empty where that is no token


@dataclass(frozen=True, slots=True)
class BatchRequest:
    payments: Payments  # those that are accepted
    rejections: Sequence[str | None]  # (items,) a Rejection's name; None: the next of the payments
    links: Sequence[TraceContext]


class RequestReader:
    def __init__(self, contract: ContractSettings, rates: RateTable, id_key: IdKey) -> None:
        self._contract = contract
        self._decoder = TransactionDecoder(contract, rates, id_key)
        # Items of a batch were judged against their records' timestamps by the caller. The time of this call says
        # nothing about them: a replay must be judged as the first time.
        self._batch_decoder = TransactionDecoder(timeless(contract), rates, id_key)

    def score(self, request: bytes, *, now_ms: int, parent: TraceContext | None, caller: str = "") -> Payments:
        """Of a serialised ScoreRequest. Raises: RefusedError."""
        transaction = _transaction_of(request)
        rows = self._decoder.decode_one(transaction, now_ms)
        start, length = int(rows["id_start"][0]), int(rows["id_length"][0])
        transaction_id = transaction[start : start + length].decode()
        if rejection := int(rows["rejection"][0]):
            name = dead_letter.Rejection.Name(dead_letter.Rejection.ValueType(rejection))
            raise RefusedError(name, explain(rejection, self._contract), transaction_id)
        if rows["kind"][0] != _AUTHORISATION:
            raise RefusedError(
                "REJECTION_INVALID_CODE",
                "only authorisations are decided: send captures, reversals and refunds to the transactions topic",
                transaction_id,
            )
        return Payments(rows, [transaction], [transaction_id], [parent], [caller])

    def score_batch(self, request: bytes, *, caller: str = "") -> BatchRequest:
        """Of a serialised ScoreBatchRequest. Raises: ScoreBatchError."""
        batch = split_score_batch(request)
        timestamps = np.zeros(batch.starts.shape[0], dtype=np.int64)
        rows = self._batch_decoder.decode_buffer(request, batch.starts, batch.lengths, timestamps)
        refused = rows["rejection"].astype(np.int64)
        refused[(refused == 0) & (rows["kind"] != _AUTHORISATION)] = dead_letter.REJECTION_INVALID_CODE
        accepted = np.flatnonzero(refused == 0)
        rows = rows[accepted]
        payments = Payments(
            rows,
            _cut(request, batch.starts[accepted].tolist(), batch.lengths[accepted].tolist()),
            [each.decode() for each in _cut(request, rows["id_start"].tolist(), rows["id_length"].tolist())],
            contexts_of(
                read_traceparents(
                    np.frombuffer(request, dtype=np.uint8),
                    batch.traceparent_starts[accepted],
                    batch.traceparent_lengths[accepted],
                )
            ),
            [caller] * accepted.shape[0],
        )
        rejections = [
            dead_letter.Rejection.Name(dead_letter.Rejection.ValueType(each)) if each else None
            for each in refused.tolist()
        ]
        folded = TraceContext.parse(batch.batch_traceparent)
        return BatchRequest(payments, rejections, () if folded is None else (folded,))


def _cut(buffer: bytes, starts: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
    return [buffer[start : start + length] for start, length in zip(starts, lengths, strict=True)]


def _transaction_of(request: bytes) -> bytes:
    """The bytes of the one field that a ScoreRequest has, as they came. Raises: RefusedError."""
    for header in range(2, min(6, len(request)) + 1):
        if request[:header] == frames.frame(ScoreRequest.TRANSACTION_FIELD_NUMBER, len(request) - header):
            return request[header:]
    # Empty, or written in another way, as by a client of a newer contract: what the official parser makes of it.
    try:
        return ScoreRequest.FromString(request).transaction.SerializeToString()
    except DecodeError as error:
        raise RefusedError("REJECTION_MALFORMED", "the request is not a fraud.v1.ScoreRequest", "") from error
