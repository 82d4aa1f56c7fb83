"""A decision in words, for an analyst: what was decided, why, on what, and what is known of it since. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from fraud.v1.decision_pb2 import (
    OVERRIDE_UNSPECIFIED,
    AlertSuppression,
    Decision,
    Origin,
    Override,
    Variant,
)
from fraud.v1.label_pb2 import LabelSource

from decision_index.lookup import CardDecision, Found
from scorer.policy import Action, Tier

_TIERS: Final = {
    "FULL": "all features",
    "DEGRADED_STALE": "all features, from histories older than the freshness limit",
    "DEGRADED_NO_FEATURES": "the request alone: no histories could be read",
    "FALLBACK_RULES": "rules on the request alone: no model answered",
}
_OVERRIDES: Final = {
    "OBSERVE_ONLY": "answered with APPROVE because the policy only observes",
    "KILL_SWITCH": "answered with APPROVE because the kill switch was on; nothing was asked",
    "CONTROL_GROUP": "let through as part of the control group",
}
_SUPPRESSIONS: Final = {
    "CARD": "no alert: the card had one a short time before",
    "DAILY_BUDGET": "no alert: the day's budget of alerts was used up",
}
_ORIGINS: Final = {"CALL": "a call before the payment was authorised", "STREAM": "an event of the stream"}


@dataclass(frozen=True, slots=True)
class Told:
    """One reason, as it was given."""

    code: str
    words: str
    value: float | None  # of the feature behind it; None for a rule
    contribution: float | None  # to the log-odds of fraud


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became known."""

    is_fraud: bool
    source: str
    known_at_ms: int


@dataclass(frozen=True, slots=True)
class Challenger:
    """What another model would have said."""

    model: str
    fraud_probability: float
    action: str


@dataclass(frozen=True, slots=True)
class Recent:
    """Another decision on the card."""

    transaction_id: str
    decided_at_ms: int
    event_time_ms: int
    action: str
    fraud_probability: float
    tier: str
    alert: bool
    is_fraud: bool | None


@dataclass(frozen=True, slots=True)
class Explanation:
    transaction_id: str
    decided_at_ms: int
    event_time_ms: int
    amount_minor: int
    currency: str
    action: str
    policy_action: str
    override: str  # in words; empty: the answer is what the policy decided
    fraud_probability: float | None  # None: no model answered
    alert: bool
    no_alert_because: str
    reasons: Sequence[Told]
    matched_lists: Sequence[str]
    tier: str
    rests_on: str
    skipped_stages: Sequence[str]
    freshness_ms: int | None
    approximate_entities: Sequence[str]
    model: str
    variant: str
    policy_version: str
    feature_set_version: str
    control_propensity: float
    asked_by: str
    scorer_instance: str
    trace_id: str
    trace_url: str  # empty: no viewer is known
    labels: Sequence[Outcome]
    challengers: Sequence[Challenger]
    recent_on_card: Sequence[Recent]  # newest first


def explain(found: Found, on_card: Sequence[CardDecision], *, trace_url: str) -> Explanation:
    """`on_card`: the latest others of the same card; `trace_url`: with {trace_id} in it, or empty."""
    decision = found.decision
    return Explanation(
        transaction_id=decision.transaction_id,
        decided_at_ms=decision.decided_at_ms,
        event_time_ms=decision.transaction.event_time_ms,
        amount_minor=decision.transaction.amount_minor,
        currency=decision.transaction.currency,
        action=_name(Action, decision.action),
        policy_action=_name(Action, decision.policy_action or decision.action),
        override=_override(decision),
        fraud_probability=decision.fraud_probability if decision.model_version else None,
        alert=found.alerted,
        no_alert_because=_SUPPRESSIONS.get(
            _enum(AlertSuppression, decision.alert_suppression, "ALERT_SUPPRESSION_"), ""
        ),
        reasons=[
            Told(
                each.code,
                each.words,
                each.value if each.feature else None,
                each.contribution if each.feature else None,
            )
            for each in decision.reasons
        ],
        matched_lists=list(decision.matched_lists),
        tier=_name(Tier, decision.tier),
        rests_on=_TIERS.get(_name(Tier, decision.tier), "an unknown tier"),
        skipped_stages=list(decision.skipped_stages),
        freshness_ms=decision.freshness_ms if decision.HasField("freshness_ms") else None,
        approximate_entities=list(decision.approximate_entities),
        model=f"{decision.model_name} {decision.model_version}".strip(),
        variant=_enum(Variant, decision.variant, "VARIANT_").lower(),
        policy_version=decision.policy_version,
        feature_set_version=decision.feature_set_version,
        control_propensity=decision.control_propensity,
        asked_by=_ORIGINS.get(_enum(Origin, decision.origin, "ORIGIN_"), ""),
        scorer_instance=decision.scorer_instance,
        trace_id=decision.trace_id,
        trace_url=trace_url.replace("{trace_id}", decision.trace_id) if decision.trace_id else "",
        labels=[
            Outcome(label.is_fraud, _enum(LabelSource, label.source, "LABEL_SOURCE_").lower(), label.known_at_ms)
            for label in found.labels
        ],
        challengers=[
            Challenger(f"{each.model_name} {each.model_version}", each.fraud_probability, _name(Action, each.action))
            for each in found.shadow_scores
        ],
        recent_on_card=[_recent(each) for each in on_card],
    )


def _recent(each: CardDecision) -> Recent:
    return Recent(
        each.transaction_id,
        each.decided_at_ms,
        each.event_time_ms,
        _name(Action, each.action),
        each.fraud_probability,
        _name(Tier, each.tier),
        each.alerted,
        each.is_fraud,
    )


def _override(decision: Decision) -> str:
    if decision.override == OVERRIDE_UNSPECIFIED:
        return ""
    name = _enum(Override, decision.override, "OVERRIDE_")
    return _OVERRIDES.get(name, name)


def _name(kind: type[IntEnum], number: int) -> str:
    return next((member.name for member in kind if member == number), str(number))


def _enum(kind: Any, number: int, prefix: str) -> str:
    """The name of a contract's enum without its prefix; empty for the unspecified, digits where it is newer."""
    if number == 0:
        return ""
    return str(kind.Name(number)).removeprefix(prefix) if number in kind.values() else str(number)
