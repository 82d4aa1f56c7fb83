"""What calls of one kind to one server gave, over several rounds, and their figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fraud.v1.decision_pb2 import Action, Decision, Tier
from fraud.v1.scoring_pb2 import ScoreResponse

from loadtests.calls import Calls
from loadtests.figures import Value
from loadtests.latency import Latencies


@dataclass(slots=True)
class Rounds:
    scheduled: list[Calls] = field(default_factory=list)
    saturated: list[Calls] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # of the server for each scheduled call, by round

    @property
    def latencies(self) -> Latencies:
        """Of scheduled calls."""
        return Latencies.pooled([calls.latencies_s for calls in self.scheduled])

    @property
    def calls_per_s(self) -> float:
        """Answers of saturated calls."""
        return sum(len(calls.responses) for calls in self.saturated) / sum(calls.seconds for calls in self.saturated)

    @property
    def saturated_details(self) -> dict[str, Value]:
        found = Latencies.pooled([calls.latencies_s for calls in self.saturated])
        return {"p50_ms": round(found.p50_ms, 2), "p99_ms": round(found.p99_ms, 2)}

    @property
    def scheduled_details(self) -> dict[str, Value]:
        found = self.latencies
        return {
            "calls": found.count,
            "p99.9_ms": round(found.p999_ms, 2),
            "max_ms": round(found.max_ms, 2),
            "server_cpu_us_per_call": round(sum(self.cpu_us) / len(self.cpu_us), 1),
        }


def outcomes(calls: Sequence[Calls]) -> dict[str, Value]:
    """Of Score: how many answers of each tier and action, with each stage skipped, and how many refusals."""
    decisions = [ScoreResponse.FromString(response).decision for each in calls for response in each.responses]
    skipped = Counter(f"skipped_{stage}" for decision in decisions for stage in decision.skipped_stages)
    refusals = sum((each.refusals for each in calls), Counter[str]())
    return {**tiers_and_actions(decisions), **skipped, **refusals}


def tiers_and_actions(decisions: Sequence[Decision]) -> dict[str, Value]:
    """How many of each. What is not approved was explained, which costs."""
    tiers = Counter(Tier.Name(decision.tier) for decision in decisions)
    actions = Counter(Action.Name(decision.action) for decision in decisions)
    return {**tiers, **actions}
