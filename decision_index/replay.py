"""A decision made again from what it captured: vector → model → policy must give the same bits. Pure.

Each check compares one thing of the decision with what follows from the others. What cannot be checked is said, never
passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

import numpy as np
from fraud.v1.decision_pb2 import OVERRIDE_KILL_SWITCH, Decision
from numpy.typing import NDArray

from decision_index.payment import Payment
from feature_service.catalogue import REQUEST_FEATURES
from scorer.assessment import SWITCHED_OFF
from scorer.errors import ModelError
from scorer.explaining import reasons_of_policy
from scorer.idempotency import request_hash
from scorer.policy import Action, Answer, Decider, Override, Rule, Tier
from scorer.policy.lists import ListMatch
from scorer.reasons import Reason
from scorer.serving import Models, ServedModel


@dataclass(frozen=True, slots=True)
class Absent:
    """In place of what a replay needs."""

    why: str  # and what to do about it


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """A decider made of what was told of a policy lacks the ids of its lists, and so has another version than it."""

    policy_version: str
    decider: Decider


class _Again(NamedTuple):
    policy_action: Action
    rules: Sequence[Rule]
    answer: Answer


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


def replay(decision: Decision, payment: Payment, models: Models | Absent, policy: KnownPolicy | Absent) -> Verdict:
    """`models`: of the decision's model_version; `policy`: of its policy_version."""
    captured_hash, hash_now = decision.request_hash.hex(), request_hash(payment.transaction).hex()
    asked = _model_asked(decision, models)
    return Verdict(
        [
            Check("transaction", captured_hash, hash_now, "" if captured_hash == hash_now else "changed afterwards"),
            *_model_checks(decision, payment, asked),
            *_policy_checks(decision, payment, asked, policy),
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
    decision: Decision, payment: Payment, asked: ServedModel | Absent | None, known: KnownPolicy | Absent
) -> Iterator[Check]:
    captured, tier = _action_name(decision.policy_action or decision.action), tier_of(decision)
    if isinstance(known, Absent) or tier is None or payment.rejection:
        why = "the decision has no tier" if tier is None else "the contract refuses the transaction now"
        why = known.why if isinstance(known, Absent) else why
        yield Check("policy's action", captured, None, why)
        yield Check("answer", _answered(decision), None, why)
        return
    yield Check("policy", decision.policy_version, known.policy_version)
    lists = known.decider.match_of(decision.matched_lists)
    yield Check("lists", ", ".join(decision.matched_lists), ", ".join(each.name for each in lists.lists))
    try:
        again = _decide(known.decider, decision, tier, payment, lists)
    except ValueError as error:
        yield Check("policy's action", captured, None, str(error))
        yield Check("answer", _answered(decision), None, str(error))
        return
    yield Check("policy's action", captured, again.policy_action.name)
    yield Check("answer", _answered(decision), _worded_answer(again.answer))
    of_policy = reasons_of_policy(again.rules, lists.lists)
    yield _reasons(decision, of_policy, asked, explained=again.policy_action is not Action.APPROVE)


def _decide(decider: Decider, decision: Decision, tier: Tier, payment: Payment, lists: ListMatch) -> _Again:
    """How a policy is asked: the one place that knows. Raises: ValueError for a probability that is none."""
    if decider.is_off:
        return _Again(SWITCHED_OFF.policy_action, SWITCHED_OFF.rules, SWITCHED_OFF.answer)
    probability = None if tier is Tier.FALLBACK_RULES else decision.fraud_probability
    policy_action, rules = decider.decide(probability, payment.amount_minor, tier, payment.request, lists)
    [unit] = decider.units(payment.row)
    return _Again(policy_action, rules, decider.answer(policy_action, lists, unit))


def _answered(decision: Decision) -> str:
    number = int(decision.override)
    override = next((each.name for each in Override if each.value == number), f"unknown ({number})")
    return f"{_action_name(decision.action)}, override {override}, propensity {_bits(decision.control_propensity)}"


def _worded_answer(answer: Answer) -> str:
    return f"{answer.action.name}, override {answer.override.name}, propensity {_bits(answer.control_propensity)}"


def _reasons(
    decision: Decision, of_policy: Sequence[Reason], asked: ServedModel | Absent | None, *, explained: bool
) -> Check:
    captured = [Reason(each.code, each.words, each.feature, each.value, each.contribution) for each in decision.reasons]
    # How many features are named is a setting of the scorer's; that what was not let pass names none must have a cause.
    wanted = sum(1 for reason in captured if reason.feature)
    wanted = wanted or int(explained and "explanation" not in decision.skipped_stages)
    if wanted == 0 or asked is None:
        return Check("reasons", _worded(captured), _worded(of_policy))
    if isinstance(asked, Absent):
        return Check("reasons", _worded(captured), None, asked.why)
    vector = np.array(decision.feature_vector, dtype=np.float64)
    if len(vector) != len(asked.scoring.feature_names):
        return Check("reasons", _worded(captured), None, "the vector is none of this model's")
    try:
        [of_model] = asked.scoring.reasons(vector[np.newaxis], limit=wanted)
    except ModelError as error:
        return Check("reasons", _worded(captured), None, f"the model gives no reasons: {error}")
    return Check("reasons", _worded(captured), _worded([*of_policy, *of_model]))


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
