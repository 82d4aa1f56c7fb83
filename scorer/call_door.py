"""Where calls of a kind are let in or refused, before anything of them is read: whatever transport they come by."""

import time
from collections.abc import Callable
from typing import Final

from feature_service.refusal import CallRefusedError
from scorer.admission import Admission
from telemetry.metrics import Metrics

_MS_PER_S: Final = 1_000


class CallDoor:
    """Who is let in must `leave`."""

    def __init__(
        self,
        limit: int,
        metrics: Metrics,
        *,
        default_budget_ms: float,
        least_retry_ms: float,
        waiting: Callable[[int], int] | None = None,
    ) -> None:
        """`default_budget_ms`: of callers who name none; `limit` and `waiting`: of `Admission`."""
        self.admission: Final = Admission(limit) if waiting is None else Admission(limit, waiting)
        self._metrics = metrics
        self.default_budget_ms: Final = default_budget_ms
        self._least_retry_ms = least_retry_ms

    def enter(self, left_s: float | None) -> CallRefusedError | None:
        """`left_s`: what its caller gives it from now on, if that is known."""
        now_ns = time.monotonic_ns()
        left_ms = self.default_budget_ms if left_s is None else _MS_PER_S * left_s
        if self.admission.has_room(now_ns, left_ms=left_ms, patient=left_s is None):
            self.admission.enter(now_ns)
            return None
        self._metrics.add("fraud.requests.shed")
        return CallRefusedError(
            "RESOURCE_EXHAUSTED",
            "too many calls are in flight here: try another scorer, or later",
            retry_ms=round(max(self._least_retry_ms, self.admission.wait_ms(now_ns))),
        )

    def leave(self) -> None:
        self.admission.leave()
