"""What a decision's transaction gives to models and policies: decoded again, from the bytes as they were received."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from fraud.v1.decision_pb2 import Decision
from numpy.typing import NDArray

from feature_service.catalogue import REQUEST_FEATURES
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.identity import IdKey
from feature_service.key_set import KeySet
from feature_service.money import RateTable
from feature_service.online import OnlineFeatures
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, MISSING_INT64
from feature_service.settings import make_online_features, timeless
from feature_service.stores.layout import StoreLayout

_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}  # by wire type


@dataclass(frozen=True, slots=True)
class Payment:
    transaction: bytes  # as received
    row: NDArray[np.void]  # (1,) DECODED
    rejection: int  # fraud.v1.Rejection; 0: accepted, and what follows means something
    amount_minor: int | None  # base currency
    request: Mapping[str, float]  # all request features by name; NaN is missing


class PaymentReader:
    """Not for concurrent use by threads."""

    def __init__(self, contract: ContractSettings, rates: RateTable, id_key: IdKey, layout: StoreLayout) -> None:
        self._decoder = TransactionDecoder(timeless(contract), rates, id_key)
        self._features: OnlineFeatures = make_online_features(make_plan(tuple(REQUEST_FEATURES)), layout, contract)

    def read(self, message: bytes) -> Payment:
        """Of a serialised Decision."""
        transaction = transaction_bytes(message)
        row = self._decoder.decode_one(transaction, 0)
        nowhere = KeySet([], np.full((1, len(ENTITIES)), -1, dtype=np.int64))
        values = self._features.vectors(row, nowhere, []).values[0]
        amount_minor = int(row["amount_minor"][0])
        return Payment(
            transaction,
            row,
            int(row["rejection"][0]),
            None if amount_minor == MISSING_INT64 else amount_minor,
            dict(zip(REQUEST_FEATURES, values.tolist(), strict=True)),
        )


def transaction_bytes(message: bytes) -> bytes:
    """Of a serialised Decision, the transaction as it stands there: a parser might write it in another way."""
    parts: Sequence[bytes] = _delimited(message, Decision.TRANSACTION_FIELD_NUMBER)
    return b"".join(parts)  # protobuf merges what comes in several parts


def _delimited(message: bytes, wanted: int) -> list[bytes]:
    """The contents of a field of a well-formed message, in order."""
    found: list[bytes] = []
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            _, place = _varint(message, place)
        elif wire_type == _DELIMITED:
            length, place = _varint(message, place)
            if field == wanted:
                found.append(message[place : place + length])
            place += length
        else:
            place += _FIXED_BYTES[wire_type]
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
