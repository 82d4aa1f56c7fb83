"""A real model whose policy reviews every payment above an amount, so that it is known which alerts must come."""

from pathlib import Path

from feature_service.money import currency_exponents
from loadtests.context import Context
from loadtests.faults.given import ALERT_FROM_MINOR
from loadtests.scoring import train_model
from training.simulator import SimulatorSettings
from training.train import DEFAULT_POLICY


def train_alerting_model(context: Context) -> Path:
    """The folder of the bundle."""
    minor_per_major = 10 ** currency_exponents()[context.contract.base_currency]
    rule = f"""
[[rules]]
rule_id = "large_amount"
words = "the amount is large"
tiers = ["FULL", "DEGRADED_STALE", "DEGRADED_NO_FEATURES", "FALLBACK_RULES"]
action = "REVIEW"
when = [{{ feature = "amount", comparison = "at_least", value = {ALERT_FROM_MINOR / minor_per_major} }}]
"""
    policy = context.scratch / "policy.toml"
    policy.write_text(DEFAULT_POLICY.read_text() + rule)
    settings = SimulatorSettings(
        days=18,
        customers=400,
        terminals=200,
        compromised_terminals_per_10k=10.0,
        leaked_customers_per_10k=15.0,
        label_delay_median_days=1.0,
    )
    return train_model(context, settings, policy=policy)
