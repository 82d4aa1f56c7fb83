"""A decision made again from what it captured: vector → model → policy must give the same bits. Pure.

Each check compares one thing of the decision with what follows from the others. What cannot be checked is said, never
passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np
from fraud.v1.decision_pb2 import (
    OVERRIDE_CONTROL_GROUP,
    OVERRIDE_KILL_SWITCH,
    OVERRIDE_OBSERVE_ONLY,
    OVERRIDE_UNSPECIFIED,
    Decision,
    Override,
)
from numpy.typing import NDArray

from decision_index.payment import Payment
from feature_service.catalogue import REQUEST_FEATURES
from scorer.errors import ModelError
from scorer.idempotency import request_hash
from scorer.policy import Action, Decider, Tier
from scorer.reasons import Reason, rule_reason
from scorer.serving import Models, ServedModel

_LETTING_THROUGH: Final = (OVERRIDE_OBSERVE_ONLY, OVERRIDE_KILL_SWITCH, OVERRIDE_CONTROL_GROUP)


@dataclass(frozen=True, slots=True)
class Absent:
    """In place of what a replay needs."""

    why: str  # and what to do about it


@dataclass(frozen=True, slots=True)
class Check:
    what: str
    captured: str
    replayed: str | None  # None: it could not be replayed
    remark: str = ""

    @property
    def same(self) -> bool | None:
        return None if self.replayed is None else self.captured == self.replayed


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: Sequence[Check]

    @property
    def identical(self) -> bool:
        """Everything could be replayed, and came out with the same bits."""
        return all(check.same for check in self.checks)

    @property
    def different(self) -> list[Check]:
        return [check for check in self.checks if check.same is False]

    @property
    def not_replayed(self) -> list[Check]:
        return [check for check in self.checks if check.same is None]


def replay(decision: Decision, payment: Payment, models: Models | Absent, decider: Decider | Absent) -> Verdict:
    """`models`: of the decision's model_version; `decider`: of its policy_version."""
    captured_hash, hash_now = decision.request_hash.hex(), request_hash(payment.transaction).hex()
    asked = _model_asked(decision, models)
    return Verdict(
        [
            Check("transaction", captured_hash, hash_now, "" if captured_hash == hash_now else "changed afterwards"),
            *_model_checks(decision, payment, asked),
            *_policy_checks(decision, payment, asked, decider),
        ]
    )


def tier_of(decision: Decision) -> Tier | None:
    """None for a number that is no tier."""
    try:
        return Tier(decision.tier)
    except ValueError:
        return None


def model_of(tier: Tier | None, models: Models) -> ServedModel | None:
    """The one of a bundle's two models that a tier asks; None where it asks none."""
    if tier is Tier.FULL or tier is Tier.DEGRADED_STALE:
        return models.full
    return models.request_only if tier is Tier.DEGRADED_NO_FEATURES else None


def _model_asked(decision: Decision, models: Models | Absent) -> ServedModel | Absent | None:
    """None where the decision rests on no model."""
    tier = tier_of(decision)
    if tier is None or tier is Tier.FALLBACK_RULES or decision.override == OVERRIDE_KILL_SWITCH:
        return None
    return models if isinstance(models, Absent) else model_of(tier, models)


def _model_checks(decision: Decision, payment: Payment, asked: ServedModel | Absent | None) -> Iterator[Check]:
    model = _identity(decision.model_name, decision.model_version, decision.feature_set_version)
    probability = _bits(decision.fraud_probability)
    vector = np.array(decision.feature_vector, dtype=np.float64)
    length = f"{len(vector)} values"
    if isinstance(asked, Absent):
        for what, captured in (("model", model), ("features", length), ("fraud_probability", probability)):
            yield Check(what, captured, None, asked.why)
        return
    if asked is None:
        yield Check("model", model, "none")
        yield Check("features", length, "0 values")
        yield Check("fraud_probability", probability, _bits(0.0))
        return
    names = asked.scoring.feature_names
    yield Check("model", model, _identity(asked.model_name, asked.model_version, asked.feature_set_version))
    yield Check("features", length, f"{len(names)} values")
    if len(names) != len(vector):
        yield Check("fraud_probability", probability, None, "the vector is none of this model's")
        return
    try:
        yield Check("fraud_probability", probability, _bits(asked.scoring.probability(vector)))
    except ModelError as error:
        yield Check("fraud_probability", probability, None, f"the model gives no answer: {error}")
    yield _request_features(names, vector, payment)


def _request_features(names: Sequence[str], vector: NDArray[np.float64], payment: Payment) -> Check:
    """Those that need no history follow from the transaction alone."""
    captured = {name: value for name, value in zip(names, vector.tolist(), strict=True) if name in REQUEST_FEATURES}
    if payment.rejection:
        return Check("request features", _listed(captured), None, "the contract refuses the transaction now")
    now = {name: payment.request[name] for name in captured}
    same = _listed(captured) == _listed(now)
    remark = "" if same else "changed afterwards, or converted with other rates then (FRAUD_RATES_FILE)"
    return Check("request features", _listed(captured), _listed(now), remark)


def _policy_checks(
    decision: Decision, payment: Payment, asked: ServedModel | Absent | None, decider: Decider | Absent
) -> Iterator[Check]:
    yield _answer(decision)
    if decision.override == OVERRIDE_KILL_SWITCH:
        return  # no policy was asked
    action, tier = _action_name(decision.policy_action or decision.action), tier_of(decision)
    if isinstance(decider, Absent) or tier is None or payment.rejection:
        why = "the decision has no tier" if tier is None else "the contract refuses the transaction now"
        yield Check("policy's action", action, None, decider.why if isinstance(decider, Absent) else why)
        return
    yield Check("policy", decision.policy_version, decider.policy_version)
    try:
        replayed, rules = _decide(decider, decision, tier, payment)
    except ValueError as error:
        yield Check("policy's action", action, None, str(error))
        return
    yield Check("policy's action", action, replayed.name)
    of_rules = [rule_reason(rule, decider.rule_words[rule]) for rule in rules]
    yield _reasons(decision, of_rules, asked, alert=replayed in decider.alert_actions)


def _decide(decider: Decider, decision: Decision, tier: Tier, payment: Payment) -> tuple[Action, Sequence[str]]:
    """How a policy is asked: the one place that knows. Raises: ValueError for a probability that is none."""
    probability = None if tier is Tier.FALLBACK_RULES else decision.fraud_probability
    return decider.decide(probability, payment.amount_minor, tier, payment.request)


def _answer(decision: Decision) -> Check:
    """What was answered follows from what the policy decided and what overrode it."""
    action = _action_name(decision.action)
    if decision.override == OVERRIDE_UNSPECIFIED:
        return Check("action", action, _action_name(decision.policy_action or decision.action))
    if decision.override in _LETTING_THROUGH:
        return Check("action", action, Action.APPROVE.name, Override.Name(decision.override))
    return Check("action", action, None, f"this release does not know override {decision.override}")


def _reasons(
    decision: Decision, of_rules: Sequence[Reason], asked: ServedModel | Absent | None, *, alert: bool
) -> Check:
    captured = [Reason(each.code, each.words, each.feature, each.value, each.contribution) for each in decision.reasons]
    # How many features are named is a setting of the scorer's; but that an alert names none must have a cause.
    wanted = sum(1 for reason in captured if reason.feature)
    wanted = wanted or int(alert and "explanation" not in decision.skipped_stages)
    if wanted == 0 or asked is None:
        return Check("reasons", _worded(captured), _worded(of_rules))
    if isinstance(asked, Absent):
        return Check("reasons", _worded(captured), None, asked.why)
    vector = np.array(decision.feature_vector, dtype=np.float64)
    if len(vector) != len(asked.scoring.feature_names):
        return Check("reasons", _worded(captured), None, "the vector is none of this model's")
    try:
        of_model = asked.scoring.reasons(vector, limit=wanted)
    except ModelError as error:
        return Check("reasons", _worded(captured), None, f"the model gives no reasons: {error}")
    return Check("reasons", _worded(captured), _worded([*of_rules, *of_model]))


def _action_name(number: int) -> str:
    return next((action.name for action in Action if action == number), f"unknown ({number})")


def _identity(model_name: str, model_version: str, feature_set_version: str) -> str:
    named = f"{model_name} {model_version} {feature_set_version}".strip()
    return named or "none"


def _bits(value: float) -> str:
    """The same text only for the same bits, those in a NaN aside."""
    return "NaN" if isnan(value) else repr(value)


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={_bits(value)}" for name, value in values.items())


def _worded(reasons: Sequence[Reason]) -> str:
    return "; ".join(
        f"{each.code}: {each.words} ({each.feature or 'rule'} {_bits(each.value)}, {_bits(each.contribution)})"
        for each in reasons
    )
