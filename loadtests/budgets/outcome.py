"""One fault under one deadline: what was measured, and what of it breaks a promise. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadtests.latency import Latencies

_AS_EXPECTED: Final = 0.99  # of the answers while the fault lasts
_FULL_AGAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    fault: str
    deadline_ms: float
    of_the_caller: bool  # else the scorer's own budget
    calls: int
    refusals: Mapping[str, int]  # by status
    server: Latencies  # of answers, by what they say
    client: Latencies  # from when each call was due
    echo: Latencies  # beside, of a server that does nothing
    echo_refusals: Mapping[str, int]
    tiers: Mapping[str, int]  # of answers while the fault lasted
    expected_tier: str
    skipped: Mapping[str, int]  # stages, of all answers
    contradictions: Mapping[str, int]
    unpublished: int  # answers that are not in `decisions` in the end and do not say so
    full_again_s: float  # after the fault

    @property
    def share_as_expected(self) -> float:
        return self.tiers.get(self.expected_tier, 0) / max(1, sum(self.tiers.values()))

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        promises = {
            "every call is answered": not self.refusals,
            "p99.9 of the server is inside the deadline": self.server.p999_ms <= self.deadline_ms,
            f"answers are {self.expected_tier}": self.share_as_expected >= _AS_EXPECTED,
            "answers do not contradict themselves": not self.contradictions,
            "every answer is published": self.unpublished == 0,
            f"answers are FULL within {_FULL_AGAIN_S:.0f} s": self.full_again_s <= _FULL_AGAIN_S,
        }
        return [promise for promise, kept in promises.items() if not kept]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "broken": self.broken}
