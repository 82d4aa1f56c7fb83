from scorer.policy.differences import differences
from tests.unit.scorer.policy.policies import a_list, content, decider, ids, rule


def test_what_differs_is_named_by_its_place() -> None:
    old = decider(rules=[rule("REVIEW"), rule("CHALLENGE")])
    costs = content()["costs"] | {"missed_fraud_fixed_minor": 2000}
    new = decider(costs=costs, rules=[rule("CHALLENGE", value=250.0)], mode="observe_only")
    changed, mode, value, gone = differences(old.content, new.content)
    assert changed == "costs.missed_fraud_fixed_minor: 1500 → 2000"
    assert mode == "mode: enforce → observe_only"
    assert value == (
        'rules.at_least_challenge.when: [{"comparison": "at_least", "feature": "amount", "value": 100.0}] → '
        '[{"comparison": "at_least", "feature": "amount", "value": 250.0}]'
    )
    assert gone.startswith('rules.at_least_review: {"action": "REVIEW"')
    assert gone.endswith("→ nothing")


def test_rules_in_another_order_are_another_policy_and_said_to_be() -> None:
    rules = [rule("REVIEW"), rule("CHALLENGE")]
    old, new = decider(rules=rules), decider(rules=rules[::-1])
    assert old.policy_version != new.policy_version
    assert differences(old.content, new.content) == ["rules: in another order"]


def test_of_lists_the_number_of_ids_and_their_digest_are_told() -> None:
    lists = [a_list("stolen", at_least="DECLINE")]
    old, new = (decider({"stolen": ids(*tokens)}, lists=lists) for tokens in (("a", "b"), ("a", "c", "d")))
    count, digest = differences(old.content, new.content)
    assert count == "ids.stolen.count: 2 → 3"
    assert digest.startswith("ids.stolen.sha256: ")


def test_the_same_differs_in_nothing() -> None:
    assert differences(decider().content, decider().content) == []
