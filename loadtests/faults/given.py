"""What is sent during the faults, in the order of its arrival, and what must come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray

from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.events import Event, EventBatch
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.records import Kind
from loadtests.calls_before import decisions_on_declined
from stream_processor.fold_input import DecodeDecisions, DecodeLabels, DecodeTransactions, FoldInput
from training.simulator import SimulatorSettings, simulate_batches

ALERT_FROM_MINOR: Final = 12_000  # the policy of these runs reviews every payment from here on: see `model`
_SHUFFLED_WITHIN_MS: Final = 3_600_000
_COPIES: Final = 0.01  # share of the events that are sent twice
_DECLINED: Final = 0.03  # as many payments are only asked about
_EARLY_LABELS: Final = 0.05  # share of the labels that arrive before their transaction


@dataclass(frozen=True, slots=True)
class Expected:
    """Of some events. n payments that are accepted, copies among them, or were asked about and declined."""

    payments: FoldInput  # of all payments, refused ones too
    labels: FoldInput
    asked: FoldInput
    rows: NDArray[np.void]  # (n,) DECODED
    decisions: frozenset[str]  # transaction ids
    alerts: frozenset[str]  # those that any model must raise
    refused: int  # events


def simulated_arrivals(count: int, *, seed: int = 7) -> list[Event]:
    """That many events of simulated payments, labels and declines: out of order within the hour, some twice."""
    random = np.random.default_rng(seed)
    settings = SimulatorSettings(
        seed=seed,
        days=30,
        customers=max(200, count // 60),
        terminals=max(400, count // 30),
        label_delay_median_days=1.0,
    )
    arrivals: list[tuple[float, Event]] = []
    for batch in simulate_batches(settings):
        arrivals += _arrivals(batch, random)
    arrivals.sort(key=lambda arrival: arrival[0])
    return [event for _, event in islice(arrivals, count)]


def _arrivals(batch: EventBatch, random: np.random.Generator) -> list[tuple[float, Event]]:
    payments, labels = batch.transactions.events("transactions"), batch.labels.events("labels")
    decisions = decisions_on_declined([batch], share=_DECLINED, seed=int(batch.transactions.timestamps_ms[0]))
    times_ms = batch.transactions.timestamps_ms
    decided_ms = np.array([event.timestamp_ms for event in decisions], dtype=np.int64)
    arrival_ms = np.concatenate([times_ms, batch.labels.timestamps_ms, decided_ms]).astype(float)
    early = np.flatnonzero(random.random(len(labels)) < _EARLY_LABELS)
    arrival_ms[len(payments) + early] = times_ms[batch.label_rows[early]] - _SHUFFLED_WITHIN_MS
    arrival_ms += random.random(arrival_ms.shape[0]) * _SHUFFLED_WITHIN_MS
    arrivals = list(zip(arrival_ms.tolist(), payments + labels + decisions, strict=True))
    copies = random.integers(0, len(arrivals), size=round(len(arrivals) * _COPIES))
    return arrivals + [
        (arrivals[index][0] + random.random() * _SHUFFLED_WITHIN_MS, arrivals[index][1]) for index in copies.tolist()
    ]


class Judge:
    """Says what must come of events, by the contract's own decoders."""

    def __init__(self, contract: ContractSettings) -> None:
        id_key = contract.read_id_key()
        self._transactions = TransactionDecoder(
            contract, RateTable.load(contract.rates_file, contract.base_currency), id_key
        )
        self._decode_payments = DecodeTransactions(self._transactions)
        self._decode_labels = DecodeLabels(LabelDecoder(contract, id_key))
        self._decisions = DecisionDecoder(self._transactions)
        self._decode_decisions = DecodeDecisions(self._decisions)

    def expected(self, events: Sequence[Event]) -> Expected:
        payments = [event for event in events if event.topic == "transactions"]
        labels = [event for event in events if event.topic == "labels"]
        decisions = [event for event in events if event.topic == "decisions"]
        decided, decided_ms = [event.value for event in decisions], _timestamps_ms(decisions)
        values, timestamps_ms = [event.value for event in payments], _timestamps_ms(payments)
        rows = self._transactions.decode(values, timestamps_ms).rows
        accepted = rows["rejection"] == 0
        scored = accepted & (rows["kind"] == Kind.AUTHORISATION)
        alerting = scored & (rows["amount_minor"] >= ALERT_FROM_MINOR)
        of_labels = self._decode_labels([event.value for event in labels], _timestamps_ms(labels))
        return Expected(
            payments=self._decode_payments(values, timestamps_ms),
            labels=of_labels,
            asked=self._decode_decisions(decided, decided_ms),
            rows=np.concatenate([rows[accepted], self._decisions.decode(decided, decided_ms).rows]),
            decisions=_ids(values, scored),
            alerts=_ids(values, alerting),
            refused=int((~accepted).sum() + np.count_nonzero(of_labels.rejections)),
        )


def _ids(values: Sequence[bytes], wanted: NDArray[np.bool_]) -> frozenset[str]:
    return frozenset(Transaction.FromString(values[index]).transaction_id for index in np.flatnonzero(wanted).tolist())


def _timestamps_ms(events: Sequence[Event]) -> NDArray[np.int64]:
    return np.array([event.timestamp_ms for event in events], dtype=np.int64)
