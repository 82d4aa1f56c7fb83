"""What decisions are put together from, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NOT_KNOWN: Final = -1  # of a freshness


@dataclass(frozen=True, slots=True)
class Parts:
    """What n decisions are put together from: (n,) each, `heads` aside."""

    heads: Sequence[bytes]  # fields that several have in common
    head_of: Sequence[int]  # which of them
    probabilities: Sequence[float]
    transaction_ids: Sequence[bytes]
    request_hashes: Sequence[bytes]  # of HASH_BYTES
    trace_ids: Sequence[int]
    freshness_ms: Sequence[int]  # or NOT_KNOWN
    others: Sequence[bytes]  # fields of this one alone, or none
    vectors: Sequence[NDArray[np.float64]]
    transactions: Sequence[bytes]
    alerts: Sequence[bool]


class Decisions(NamedTuple):
    """(n,) each."""

    stored: list[bytes]  # StoredDecision's bytes
    whole: list[bytes]  # serialised fraud.v1.Decision
    briefs: list[bytes]  # the same without feature_vector and transaction
