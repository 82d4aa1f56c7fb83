"""Which traces are worth exporting whatever happened in them. Pure.

The head's wish (the W3C flag) and a share by trace id are; what people come back to look at is kept beside these by
whoever knows how its work ended.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry.trace_context import TraceContext

# The share is taken from the low 64 bits, as OpenTelemetry's ratio sampler does: two services with the same share keep
# the same traces, and a larger share keeps all that a smaller one does.
_SAMPLED_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """`sampled_share` of all traces, 0 to 1, is kept without any other reason."""

    sampled_share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.sampled_share <= 1.0:
            raise ValueError(f"sampled_share is {self.sampled_share}, must lie between 0 and 1")

    def sampled(self, context: TraceContext) -> bool:
        low = context.trace_id & ((1 << _SAMPLED_BITS) - 1)
        return context.sampled or low < self._limit

    def sampled_of(self, low_ids: NDArray[np.uint64], flags: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """The same (n,) of many: the low 64 bits of their trace ids (n,), and their flags (n,), 0 or 1."""
        limit = self._limit
        if limit >> _SAMPLED_BITS:  # everything, which no id of 64 bits says
            return np.ones(flags.shape, dtype=np.bool_)
        kept: NDArray[np.bool_] = (flags != 0) | (low_ids < np.uint64(limit))
        return kept

    @property
    def _limit(self) -> int:
        return round(self.sampled_share * (1 << _SAMPLED_BITS))
