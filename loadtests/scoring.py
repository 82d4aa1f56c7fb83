"""What is needed to measure a scorer: a model trained on simulated payments, later payments, and a running process."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from fraud.v1.transaction_pb2 import TRANSACTION_KIND_AUTHORISATION, Transaction

from feature_service.catalogue import view
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable, currency_exponents
from feature_service.offline.dataset import decode_events, write_features
from feature_service.plan import make_plan
from feature_service.records import ENTITIES
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import Process
from loadtests.context import Context, Topics
from loadtests.inputs import simulated
from loadtests.scorer_probe import serves
from training.simulator import SimulatorSettings, simulate_batches
from training.train import DEFAULT_POLICY, train
from training.windows import Lengths

_TRAINED_ON_DAYS: Final = 18
_LATER_DAYS: Final = 12
_FEATURES: Final = "training.parquet"
_LENGTHS: Final = Lengths(calibration_days=5, delay_days=3, test_days=3)
# Of scorers that the stream has for itself, and of its workers: docs/operations.md.
STREAM_SCORER: Final[Mapping[str, str]] = {"FRAUD_BATCH_SLICE": "512"}
STREAM_BATCH: Final = 1_000  # transactions a call
STREAM_WORKER: Final[Mapping[str, str]] = {"FRAUD_SCORE_BATCH_SIZE": str(STREAM_BATCH)}
_ID_FIELDS: Final = tuple("ip" if entity == "ip" else f"{entity}_id" for entity in ENTITIES)


@dataclass(frozen=True, slots=True)
class ScoringInput:
    bundle: Path
    payments: Sequence[Transaction]  # of all kinds, after those that the model learned from, until yesterday


@cache
def scoring_input(context: Context) -> ScoringInput:
    """Made once: a real model of the view `production`, and about 490,000 payments (98,000 for smoke)."""
    settings = SimulatorSettings(
        start=datetime.now(UTC).date() - timedelta(days=_TRAINED_ON_DAYS + _LATER_DAYS),
        days=_TRAINED_ON_DAYS,
        # Frauds are as many as in the handbook's data, since what is suspect is explained: more would cost more.
        customers=4_000,
        terminals=8_000,
        label_delay_median_days=1.0,  # known sooner than usual: there are few days to learn from
    )
    bundle = train_model(context, settings)
    # So many that hardly anybody pays twice in a minute of a measurement: nobody does at a bank.
    customers = 4_000 if context.quick else 20_000
    later = replace(
        settings, first_day=_TRAINED_ON_DAYS, days=_LATER_DAYS, customers=customers, terminals=2 * customers
    )
    return ScoringInput(bundle, simulated_until_now(later))


def simulated_until_now(settings: SimulatorSettings) -> list[Transaction]:
    """What follows a payment, such as its refund, may be days later."""
    now_ms = time.time_ns() // 1_000_000
    return [payment for payment in simulated(settings) if payment.event_time_ms < now_ms]


def authorisations(payments: Sequence[Transaction]) -> list[Transaction]:
    """Those that are scored."""
    return [payment for payment in payments if payment.kind == TRANSACTION_KIND_AUTHORISATION]


def payments_now(given: ScoringInput, count: int, *, prefix: str) -> list[Transaction]:
    """New payments that happen now, like some of the given ones: `prefix` and a number are their ids."""
    random = Random(prefix)  # noqa: S311 - a sample
    now_ms = time.time_ns() // 1_000_000
    chosen = []
    for number, like in enumerate(random.choices(authorisations(given.payments), k=count)):
        payment = Transaction()
        payment.CopyFrom(like)
        payment.transaction_id = f"{prefix}{number}"
        payment.event_time_ms = now_ms
        chosen.append(payment)
    return chosen


def mean_records(given: ScoringInput, asked: Sequence[Transaction]) -> float:
    """How long the histories are that are read for these, where all the given payments are folded."""
    lengths = Counter(getattr(payment, field) for payment in given.payments for field in _ID_FIELDS)
    read = [lengths[getattr(payment, field)] for payment in asked for field in _ID_FIELDS if getattr(payment, field)]
    return sum(read) / len(read)


@contextmanager
def running_scorer(
    context: Context, name: str, topics: Topics, bundle: Path, environment: Mapping[str, str], *, address: str = ""
) -> Iterator[tuple[Process, str]]:
    """A scorer process that serves the bundle, or the registry that `environment` names; and its address.

    The address is of a port of its own, or one that others may serve on too.
    """
    address = address or f"{HOST}:{free_port()}"
    own = {
        **context.environment(topics),
        "FRAUD_SCORER_BIND": address,
        **({} if "FRAUD_MODELS_DIR" in environment else {"FRAUD_MODEL_DIR": str(bundle)}),
        **environment,
    }
    probe = serves(context.scratch / name / f"{name}.log", address)
    with context.running(name, "scorer", environment=own, probe=probe) as process:
        yield process, address


def train_challenger(context: Context) -> Path:
    """The folder of another model, learned from what `scoring_input`'s learned from."""
    features, into = context.scratch / _FEATURES, context.scratch / "challenger"
    return train(features, view="production", into=into, lengths=_LENGTHS, seed=2).path


def train_model(context: Context, settings: SimulatorSettings, *, policy: Path = DEFAULT_POLICY) -> Path:
    """The folder of a bundle of the view `production`, learned from these payments; one for each context."""
    context.say("training a model")
    contract = context.contract
    id_key = contract.read_id_key()
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    decoder = TransactionDecoder(contract, rates, id_key)
    events = decode_events(simulate_batches(settings), decoder, LabelDecoder(contract, id_key))
    features = context.scratch / _FEATURES
    minor_per_major = 10 ** currency_exponents()[contract.base_currency]
    write_features(events, make_plan(view("production").names), features, minor_per_major=minor_per_major)
    into = context.scratch / "bundle"
    return train(features, view="production", into=into, lengths=_LENGTHS, policy=policy).path
