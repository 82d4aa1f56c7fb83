"""The issuer's answers, and what follows an authorisation."""

from dataclasses import replace

import numpy as np
import pytest
from fraud.v1 import transaction_pb2 as contract

from training.simulator.frauds import card_tests
from training.simulator.lifecycle import answered, follow_ups
from training.simulator.payments import Payments, Scenario, genuine_payments
from training.simulator.population import Population
from training.simulator.settings import SimulatorSettings

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def begun(population: Population, world: SimulatorSettings) -> Payments:
    days = [
        part
        for day in range(20)
        for part in (genuine_payments(population, world, day), card_tests(population, world, day))
    ]
    payments = Payments.concatenate(days)
    return answered(replace(payments, number=np.arange(len(payments))), world, 0)


def test_few_genuine_payments_and_most_card_tests_are_declined(begun: Payments) -> None:
    declined = begun.outcome == contract.OUTCOME_DECLINED_BY_ISSUER
    assert (declined | (begun.outcome == contract.OUTCOME_APPROVED)).all()
    assert declined[begun.scenario == Scenario.GENUINE].mean() == pytest.approx(0.03, abs=0.01)
    assert declined[begun.scenario == Scenario.CARD_TEST].mean() == pytest.approx(0.7, abs=0.15)


def test_follow_ups_repeat_an_approved_authorisation_and_come_after_it(
    begun: Payments, world: SimulatorSettings
) -> None:
    later = follow_ups(begun, world, 0)
    originals = begun.take(later.original)
    assert (originals.outcome == contract.OUTCOME_APPROVED).all()
    assert (originals.number == later.original).all()
    for name in ("customer", "card", "terminal", "device", "ip", "channel"):
        assert (getattr(originals, name) == getattr(later, name)).all()
    assert later.number.tolist() == list(range(len(begun), len(begun) + len(later)))
    assert (later.scenario == Scenario.GENUINE).all()
    for kind, share, shortest_ms, longest_ms in (
        (contract.TRANSACTION_KIND_CAPTURE, 0.05, HOUR_MS, 48 * HOUR_MS),
        (contract.TRANSACTION_KIND_REVERSAL, 0.005, HOUR_MS // 60, 2 * HOUR_MS),
        (contract.TRANSACTION_KIND_REFUND, 0.01, 24 * HOUR_MS, 14 * 24 * HOUR_MS),
    ):
        of_kind = later.kind == kind
        assert of_kind.mean() * len(later) / len(begun) == pytest.approx(share, rel=0.2)
        delay_ms = (later.time_ms - originals.time_ms)[of_kind]
        assert delay_ms.min() >= shortest_ms
        assert delay_ms.max() < longest_ms


def test_only_refunds_may_be_partial(begun: Payments, world: SimulatorSettings) -> None:
    later = follow_ups(begun, world, 0)
    originals = begun.take(later.original)
    partial = later.amount_minor != originals.amount_minor
    refund = later.kind == contract.TRANSACTION_KIND_REFUND
    assert partial[refund].mean() == pytest.approx(0.4, abs=0.1)
    assert not partial[~refund].any()
    assert ((later.amount_minor >= 1) & (later.amount_minor <= originals.amount_minor)).all()
