"""A policy at work: what is decided, and what is answered."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.id_list import IdList, ListMatcher
from feature_service.records import ENTITY_INDEX
from scorer.policy.actions import Action, Override, Tier
from scorer.policy.control_group import units
from scorer.policy.costs import Thresholds
from scorer.policy.data import Policy
from scorer.policy.lists import NO_MATCH, ListMatch, match_of
from scorer.policy.rules import Rule

_VERSION_DIGITS: Final = 12


class Answer(NamedTuple):
    """What the caller gets of what was decided."""

    action: Action
    override: Override
    control_propensity: float  # with which a payment like this is let through as one of the control group


class Decider:
    """A policy, ready to decide. Immutable; safe to share between threads."""

    def __init__(self, policy: Policy, ids: Mapping[str, IdList] | None = None) -> None:
        """`ids`: of each of the policy's lists, by its name. Without them nothing is on a list."""
        self.policy: Final = policy
        self.content: Final = _content(policy, ids or {})
        self.policy_version: Final = version_of(self.content)
        self.id_counts: Final = {name: each.hashes.shape[0] for name, each in (ids or {}).items()}
        self.alert_actions: Final = frozenset(Action[name] for name in policy.alert_actions)
        self.is_off: Final = policy.mode == "off"
        self._thresholds = Thresholds(policy.costs)
        self._by_tier = {
            tier: (
                Action[policy.most_severe[tier.name]],
                tuple((rule, Action[rule.action]) for rule in policy.rules if tier.name in rule.tiers),
            )
            for tier in Tier
        }
        self._matcher: ListMatcher | None = None
        if ids:
            self._matcher = ListMatcher([(ENTITY_INDEX[each.entity], ids[each.name]) for each in policy.lists])
        # What is answered to a payment on no list that is not drawn: the same to all of them.
        self._usual_answers = {decided: self._undrawn(decided, self._propensity(NO_MATCH)) for decided in Action}

    def decide(
        self,
        probability: float | None,
        amount_minor: int | None,
        tier: Tier,
        request: Mapping[str, float],
        lists: ListMatch = NO_MATCH,
    ) -> tuple[Action, tuple[Rule, ...]]:
        """What the policy decides, and the rules that hold.

        `probability` is None where no model answered; `amount_minor` is in the base currency, None where it is not
        known; `request` maps names of request features to values. Raises: ValueError where `probability` is none.
        """
        action = Action.APPROVE
        if probability is not None:
            action = self._thresholds.action(probability, self._amount(amount_minor))
        cap, rules = self._by_tier[tier]
        held: tuple[Rule, ...] = ()
        for rule, least in rules:
            if rule.holds(request):
                held = (*held, rule)
                action = max(action, least)
        action = min(action, cap)
        return lists.bound(action) if lists.lists else action, held

    def has_rules(self, tier: Tier) -> bool:
        """Whether `decide` looks at the request."""
        return bool(self._by_tier[tier][1])

    def answer(self, decided: Action, lists: ListMatch, unit: int) -> Answer:
        """What is answered where `decided` was; `unit` as `units` gives it."""
        usual = self._usual_answers[decided]
        propensity = self._propensity(lists) if lists.lists else usual.control_propensity
        if propensity and decided is not Action.APPROVE and self._holds(unit):
            return Answer(Action.APPROVE, Override.CONTROL_GROUP, propensity)
        return self._undrawn(decided, propensity) if lists.lists else usual

    def raises_alert(self, decided: Action, override: Override) -> bool:
        """None of the control group: people who look at a payment change what becomes of it."""
        return decided in self.alert_actions and override is not Override.CONTROL_GROUP

    def matches(self, rows: NDArray[np.void]) -> list[ListMatch]:
        """Of (n,) DECODED rows, what the lists make of each."""
        if self._matcher is None:
            return [NO_MATCH] * rows.shape[0]
        return [self._match(bits) if bits else NO_MATCH for bits in self._matcher.matches(rows).tolist()]

    def units(self, rows: NDArray[np.void]) -> list[int]:
        """Of (n,) DECODED rows, by what each is drawn into the control group; 0 where there is none."""
        return units(rows) if self.policy.control_group else [0] * rows.shape[0]

    def match_of(self, names: Sequence[str]) -> ListMatch:
        """Of the lists of these names: to decide again what was decided once."""
        return match_of([each for each in self.policy.lists if each.name in names])

    def thresholds(self, amount_minor: int | None) -> tuple[float, float, float]:
        """The probability above which to challenge, to review and to decline (or go further); never decreasing."""
        return self._thresholds.of(self._amount(amount_minor))

    def _amount(self, amount_minor: int | None) -> int:
        return self.policy.amount_when_missing_minor if amount_minor is None else amount_minor

    def _match(self, bits: int) -> ListMatch:
        return match_of([each for place, each in enumerate(self.policy.lists) if bits >> place & 1])

    def _undrawn(self, decided: Action, propensity: float) -> Answer:
        if self.policy.mode == "observe_only" and decided is not Action.APPROVE:
            return Answer(Action.APPROVE, Override.OBSERVE_ONLY, propensity)
        return Answer(decided, Override.NONE, propensity)

    def _holds(self, unit: int) -> bool:
        group = self.policy.control_group
        return group is not None and group.holds(unit)

    def _propensity(self, lists: ListMatch) -> float:
        """What is blocked is never let through, and where everything is, nobody is drawn."""
        group = self.policy.control_group
        return group.share if group and self.policy.mode == "enforce" and not lists.blocks else 0.0


def version_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_VERSION_DIGITS]


def policy_of(content: bytes) -> Policy:
    """The policy of a `Decider.content`, to decide again what was decided once. Raises: ValueError."""
    return Policy.model_validate(json.loads(content)["policy"])


def _content(policy: Policy, ids: Mapping[str, IdList]) -> bytes:
    """Canonical JSON of all that decides. Of ids their number and a digest: who is on a list is not told."""
    members = {name: {"count": len(each.hashes), "sha256": each.digest} for name, each in ids.items()}
    return json.dumps({"policy": policy.model_dump(mode="json"), "ids": members}, sort_keys=True).encode()
