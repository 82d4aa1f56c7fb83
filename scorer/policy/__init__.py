"""From a probability of fraud to an answer. The policy is data, versioned by its content; deciding by it is pure."""

from scorer.policy.actions import Action, Override, Tier
from scorer.policy.data import Policy
from scorer.policy.decider import Answer, Decider
from scorer.policy.rules import Rule

__all__ = ["Action", "Answer", "Decider", "Override", "Policy", "Rule", "Tier"]
