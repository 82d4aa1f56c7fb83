"""The fixed-width forms a payment takes after its bytes have been decoded.

`DECODED` is one validated message of the contract: ids hashed, amount in the base currency. `RECORD` is what an
entity's history holds of it: 72 bytes, nine 64-bit words, so that the kernel can read a history as int64. `TILE` is
what a compacted history holds in place of many old records that no read tells apart any more.
"""

from enum import IntEnum
from typing import Final

import numpy as np

ENTITIES: Final = ("customer", "card", "merchant", "terminal", "device", "ip")
ENTITY_INDEX: Final = {name: index for index, name in enumerate(ENTITIES)}

MISSING_INT64: Final = np.iinfo(np.int64).min
MISSING_INT32: Final = np.iinfo(np.int32).min
MISSING_INT16: Final = np.iinfo(np.int16).min


class Kind(IntEnum):
    """Of a record. The first four are `TransactionKind`; a label is filed among the records of its transaction.

    Compacted histories have two more: tiles, and the frontier, before whose event time no read is answered.
    """

    AUTHORISATION = 1
    CAPTURE = 2
    REVERSAL = 3
    REFUND = 4
    LABEL = 5
    TILE = 6
    FRONTIER = 7


class Outcome(IntEnum):
    """What became of a payment: what the issuer said, and before that what the scorer's answer made of it."""

    UNKNOWN = 0
    APPROVED = 1
    DECLINED = 2
    DECLINED_BY_SCORER = 3


# A decoded transaction. Hashes are 64-bit keyed SipHash, 0 is absent; the numbers below `rejection` are meaningless
# where `rejection` is not 0. Countries are 1 + 26 * first + second letter (A is 0), 0 is missing.
DECODED: Final = np.dtype(
    [
        ("event_time_ms", "<i8"),
        ("transaction_hash", "<u8"),
        ("original_hash", "<u8"),
        ("amount_minor", "<i8"),  # base currency; MISSING_INT64 where it cannot be converted
        ("entity_hash", "<u8", (len(ENTITIES),)),
        ("latitude", "<i4"),  # microdegrees; MISSING_INT32
        ("longitude", "<i4"),
        ("id_start", "<u4"),  # of transaction_id in the decoded buffer, bytes
        ("id_length", "<u4"),
        ("mcc", "<u2"),  # 0 is missing
        ("merchant_country", "<u2"),
        ("card_country", "<u2"),
        ("utc_offset_minutes", "<i2"),  # MISSING_INT16
        ("kind", "u1"),
        ("outcome", "u1"),
        ("channel", "u1"),
        ("rejection", "u1"),  # fraud.v1.Rejection; 0 is accepted
        ("padding", "<u4"),
    ]
)

# The counterparts that a history's records carry, by entity: three slots each.
COUNTERPARTS: Final = {
    "customer": ("terminal", "merchant", "device"),
    "card": ("terminal", "merchant", "device"),
    "merchant": ("customer", "card", "device"),
    "terminal": ("customer", "card", "device"),
    "device": ("customer", "card", "merchant"),
    "ip": ("customer", "card", "device"),
}

RECORD: Final = np.dtype(
    [
        ("event_time_ms", "<i8"),  # of the transaction, for its labels too
        ("transaction_hash", "<u8"),
        ("amount_minor", "<i8"),
        ("known_at_ms", "<i8"),  # of a label; the event time otherwise
        ("counterpart", "<u8", (3,)),
        ("mcc", "<u2"),
        ("country", "<u2"),  # of the merchant
        ("kind", "u1"),
        ("outcome", "u1"),
        ("channel", "u1"),
        ("label", "u1"),  # of a label: 2 * source + is_fraud
        ("latitude", "<i4"),
        ("longitude", "<i4"),
    ]
)
RECORD_WORDS: Final = RECORD.itemsize // 8

# In the same words as RECORD, the ones on which reading and trimming rest at the same place: event time and kind.
TILE: Final = np.dtype(
    [
        ("event_time_ms", "<i8"),  # the end of its bucket, inclusive
        ("count", "<i8"),  # of records; of frauds for labels
        ("amount_count", "<i8"),  # of records with a known amount
        ("amount_total", "<i8"),
        ("squares_high", "<i8"),  # the sum of squared amounts, 128 bits
        ("squares_low", "<i8"),
        ("amount_min", "<i8"),  # meaningless where amount_count is 0
        ("level", "<u2"),  # the bucket is 1 << level milliseconds long, its start exclusive
        ("group", "<u2"),  # what its records have in common: kernel.groups
        ("kind", "u1"),
        ("padding", "u1", (3,)),
        ("amount_max", "<i8"),
    ]
)

assert DECODED.itemsize == 112
assert RECORD.itemsize == TILE.itemsize == 72


def word_of(field: str, layout: np.dtype[np.void] = RECORD) -> int:
    """Index of the 64-bit word of a RECORD, or of a TILE, in which the field starts."""
    assert layout.fields is not None
    return int(layout.fields[field][1]) // 8
