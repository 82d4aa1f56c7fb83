"""Which traces are worth exporting. Decided when the work is done and its outcome known; pure.

The head's wish (the W3C flag) and a share by trace id are kept whatever happened; the rest only if it is what people
come back to look at. The collector may sample the tail further: `fraud.kept_because` tells it what it looks at.
"""

from dataclasses import dataclass
from typing import Final, Literal

from telemetry.trace_context import TraceContext

KeepReason = Literal["error", "deadline_missed", "degraded", "alert", "sampled"]

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
        return context.sampled or low < round(self.sampled_share * (1 << _SAMPLED_BITS))

    def reason(
        self, context: TraceContext, *, failed: bool, deadline_missed: bool, degraded: bool, alert: bool
    ) -> KeepReason | None:
        """The first reason that holds, gravest first; None: not kept. `alert` is any review or decline."""
        if failed:
            return "error"
        if deadline_missed:
            return "deadline_missed"
        if degraded:
            return "degraded"
        if alert:
            return "alert"
        return "sampled" if self.sampled(context) else None
