"""A real model whose policy reviews every payment above an amount, so that it is known which alerts must come."""

from pathlib import Path

from feature_service.catalogue import view
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable, currency_exponents
from feature_service.offline.dataset import decode_events, write_features
from feature_service.plan import make_plan
from loadtests.context import Context
from loadtests.faults.given import ALERT_FROM_MINOR
from training.simulator import SimulatorSettings, simulate_batches
from training.train import DEFAULT_POLICY, train
from training.windows import Lengths

_LENGTHS = Lengths(calibration_days=5, delay_days=3, test_days=3)


def train_alerting_model(context: Context) -> Path:
    """The folder of the bundle."""
    context.say("training a model")
    contract = context.contract
    id_key = contract.read_id_key()
    minor_per_major = 10 ** currency_exponents()[contract.base_currency]
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
    decoder = TransactionDecoder(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    events = decode_events(simulate_batches(settings), decoder, LabelDecoder(contract, id_key))
    features = context.scratch / "training.parquet"
    write_features(events, make_plan(view("production").names), features, minor_per_major=minor_per_major)
    into = context.scratch / "bundle"
    return train(features, view="production", into=into, lengths=_LENGTHS, policy=policy).path
