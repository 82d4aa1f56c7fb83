"""What answers of Score say of themselves. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fraud.v1.decision_pb2 import TIER_DEGRADED_NO_FEATURES, TIER_FALLBACK_RULES, Decision, Tier
from fraud.v1.scoring_pb2 import ScoreResponse
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Answers:
    """Of n calls that succeeded."""

    transaction_ids: Sequence[str]
    to_be_published: frozenset[str]  # those of them whose answer does not name publishing as skipped
    tiers: Sequence[str]  # (n,)
    took_s: NDArray[np.float64]  # (n,) of the server
    skipped: Counter[str]  # stages
    contradictions: Counter[str]  # in words, by how many answers have them

    @classmethod
    def of(cls, responses: Sequence[bytes]) -> "Answers":
        ids, tiers, took_us = [], [], []
        to_be_published = set()
        skipped, contradictions = Counter[str](), Counter[str]()
        for each in responses:
            response = ScoreResponse.FromString(each)
            decision = response.decision
            ids.append(decision.transaction_id)
            tiers.append(Tier.Name(decision.tier).removeprefix("TIER_"))
            took_us.append(response.took_us)
            skipped.update(decision.skipped_stages)
            contradictions.update(contradictions_in(decision))
            if "publishing" not in decision.skipped_stages:
                to_be_published.add(decision.transaction_id)
        took_s = np.array(took_us, dtype=np.float64) / 1e6
        return cls(ids, frozenset(to_be_published), tiers, took_s, skipped, contradictions)


def contradictions_in(decision: Decision) -> list[str]:
    """What cannot all be true of one answer."""
    found = []
    latency = decision.latency
    stages_us = latency.decode_us + latency.features_us + latency.model_us + latency.explanation_us
    if not 0 < stages_us <= latency.total_us:
        found.append("its stages do not fit into all of it")
    if ("features" in decision.skipped_stages) != (decision.tier >= TIER_DEGRADED_NO_FEATURES):
        found.append("its tier is not that of the stages it skipped")
    if (not decision.model_version) != (decision.tier == TIER_FALLBACK_RULES):
        found.append("its tier is not that of the model it names")
    return found
