"""What is streamed: a file, or the project's own simulator, with the moment that divides past from live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import TRANSACTION_KIND_AUTHORISATION, TRANSACTION_KIND_UNSPECIFIED, Transaction

from feature_service.events import Event, EventBatch
from feature_service.files import load_mapping, read_batches
from fraudctl.errors import UserError
from training.simulator import SimulatorSettings, simulate_batches

_DAY_MS: Final = 86_400_000
LEAST_PAST_DAYS: Final = 30  # to train on: a month of features, and the wait for labels
_LIVE_SHARE: Final = 0.15
_MOST_LIVE_DAYS: Final = 14
_SIMULATED_DAYS: Final = 60
_SIMULATED_CUSTOMERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Source:
    """Picklable: the past is trained on in a process of its own."""

    path: Path | None  # None: simulated
    mapping: str
    simulation: SimulatorSettings

    @property
    def view(self) -> str:
        return "handbook" if self.path is not None and self.mapping == "handbook" else "production"

    @property
    def name(self) -> str:
        return "simulated payments" if self.path is None else self.path.name

    def batches(self) -> Sequence[EventBatch]:
        """Raises: FileError."""
        if self.path is None:
            return list(simulate_batches(self.simulation))
        return list(read_batches(self.path, load_mapping(self.mapping)))


@dataclass(frozen=True, slots=True)
class Timeline:
    past: list[Event]
    live: list[Event]
    split_ms: int
    live_payments: frozenset[str]  # transaction ids of the authorisations in `live`
    live_frauds: frozenset[str]  # those of them that the last label calls fraud


def make_source(path: Path | None, mapping: str, seed: int) -> Source:
    """The simulation ends yesterday, so that it is recent and nothing of it lies ahead of the clock."""
    start = (datetime.now(UTC) - timedelta(days=_SIMULATED_DAYS)).date()
    simulation = SimulatorSettings(
        seed=seed,
        start=start,
        days=_SIMULATED_DAYS,
        customers=_SIMULATED_CUSTOMERS,
        terminals=2 * _SIMULATED_CUSTOMERS,
        malformed_share=0.0005,
        duplicate_share=0.002,
    )
    return Source(path, mapping, simulation)


def make_timeline(batches: Sequence[EventBatch]) -> Timeline:
    """All events in order of time, divided. Raises: UserError where the data set is too short to train on."""
    events = sorted((event for batch in batches for event in batch.events()), key=lambda event: event.timestamp_ms)
    payments = [event for event in events if event.topic == "transactions"]
    if not payments:
        raise UserError("the data set has no payments")
    first_ms, last_ms = payments[0].timestamp_ms, payments[-1].timestamp_ms
    live_ms = min((last_ms - first_ms) * _LIVE_SHARE, _MOST_LIVE_DAYS * _DAY_MS)
    split_ms = int(last_ms - live_ms) // _DAY_MS * _DAY_MS
    if split_ms - first_ms < LEAST_PAST_DAYS * _DAY_MS:
        raise UserError(
            f"the data set spans {(last_ms - first_ms) / _DAY_MS:.0f} days: the demo trains on its past and needs "
            f"{LEAST_PAST_DAYS + 6} at least"
        )
    live = [event for event in events if split_ms <= event.timestamp_ms <= last_ms]
    payments_live = _authorisations(live)
    return Timeline(
        past=[event for event in events if event.timestamp_ms < split_ms],
        live=live,
        split_ms=split_ms,
        live_payments=payments_live,
        live_frauds=payments_live & _frauds(events),
    )


def _authorisations(events: Sequence[Event]) -> frozenset[str]:
    found = (Transaction.FromString(event.value) for event in events if event.topic == "transactions")
    return frozenset(
        payment.transaction_id
        for payment in found
        if payment.kind in (TRANSACTION_KIND_AUTHORISATION, TRANSACTION_KIND_UNSPECIFIED)
    )


def _frauds(events: Sequence[Event]) -> frozenset[str]:
    """By the label known last; events are in the order in which labels became known."""
    latest = {
        label.transaction_id: label.is_fraud
        for label in (Label.FromString(event.value) for event in events if event.topic == "labels")
    }
    return frozenset(transaction_id for transaction_id, is_fraud in latest.items() if is_fraud)
