"""What one load on one server gave. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.latency import Latencies

_S_PER_H = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    load: str  # in words
    server: str
    latencies: Latencies  # of calls, by the client
    scores_per_s: float  # answered
    refusals: Mapping[str, int]  # calls, by status
    cpu_us: Mapping[str, float]  # for each score, by process
    sent_late_p99_ms: float | None  # the client, behind its schedule; None where it has none

    def cost_per_million(self, *, price_per_vcpu_hour: float) -> float:
        return cost_per_million(self.cpu_us, price_per_vcpu_hour=price_per_vcpu_hour)

    def as_json(self, *, price_per_vcpu_hour: float) -> dict[str, Any]:
        return {
            "load": self.load,
            "server": self.server,
            "p50_ms": self.latencies.p50_ms,
            "p99_ms": self.latencies.p99_ms,
            "p999_ms": self.latencies.p999_ms,
            "max_ms": self.latencies.max_ms,
            "calls": self.latencies.count,
            "scores_per_s": self.scores_per_s,
            "refusals": dict(self.refusals),
            "cpu_us_per_score": dict(self.cpu_us),
            "sent_late_p99_ms": self.sent_late_p99_ms,
            "cost_per_million_scores": self.cost_per_million(price_per_vcpu_hour=price_per_vcpu_hour),
        }


def cost_per_million(cpu_us: Mapping[str, float], *, price_per_vcpu_hour: float) -> float:
    """Of processors that are used to the full: a million scores of so many microseconds each are as many seconds."""
    return sum(cpu_us.values()) / _S_PER_H * price_per_vcpu_hour


def mean_cpu(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of rounds of one length, by process."""
    return {name: sum(each[name] for each in rounds) / len(rounds) for name in rounds[0]}
