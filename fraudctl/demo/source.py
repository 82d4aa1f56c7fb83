"""What is streamed: a file, or the project's own simulator, with the moment that divides past from live."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fraud.v1.label_pb2 import Label
from google.protobuf.message import DecodeError

from feature_service.decoding import TransactionDecoder
from feature_service.events import Event, EventBatch
from feature_service.files import load_mapping, read_batches
from feature_service.records import Kind
from fraudctl.errors import UserError
from training.simulator import SimulatorSettings, simulate, simulate_batches

_DAY_MS: Final = 86_400_000
_NEVER_MS: Final = 1 << 62
LEAST_PAST_DAYS: Final = 37  # to train on: windows of training, calibration and test, with waits for labels
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

    @property
    def until_ms(self) -> int:
        """Where the events end: what a simulation makes of its last days lies ahead of the clock."""
        return _NEVER_MS if self.path is not None else self.simulation.day_start_ms(self.simulation.days)

    def batches(self) -> Sequence[EventBatch]:
        """What is trained on: every payment once and unbroken. Raises: FileError."""
        if self.path is None:
            return list(simulate_batches(self.simulation))
        return list(read_batches(self.path, load_mapping(self.mapping)))

    def events(self) -> Iterator[Event]:
        """What is sent, disorder and all. Raises: FileError."""
        if self.path is None:
            return simulate(self.simulation)
        return (event for batch in self.batches() for event in batch.events())


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


def make_timeline(source: Source, decoder: TransactionDecoder) -> Timeline:
    """All events in order of time, divided.

    Raises: FileError; UserError where the data set is too short to train on.
    """
    events = sorted(source.events(), key=_time_ms)
    truth = _frauds(events)
    events = events[: bisect_left(events, source.until_ms, key=_time_ms)]
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
    payments_live = _authorisations(live, decoder)
    return Timeline(
        past=[event for event in events if event.timestamp_ms < split_ms],
        live=live,
        split_ms=split_ms,
        live_payments=payments_live,
        live_frauds=payments_live & truth,
    )


def _time_ms(event: Event) -> int:
    return event.timestamp_ms


def _authorisations(events: Sequence[Event], decoder: TransactionDecoder) -> frozenset[str]:
    """Ids of those that the contract accepts: exactly these must be decided."""
    payments = [event for event in events if event.topic == "transactions"]
    decoded = decoder.decode([event.value for event in payments], [event.timestamp_ms for event in payments])
    rows = decoded.rows[(decoded.rows["rejection"] == 0) & (decoded.rows["kind"] == Kind.AUTHORISATION)]
    spans = zip(rows["id_start"].tolist(), rows["id_length"].tolist(), strict=True)
    return frozenset(decoded.buffer[start : start + length].decode() for start, length in spans)


def _frauds(events: Sequence[Event]) -> frozenset[str]:
    """By the label known last; events are in the order in which labels became known."""
    latest: dict[str, bool] = {}
    for event in events:
        if event.topic == "labels":
            try:
                label = Label.FromString(event.value)
            except DecodeError:
                continue
            latest[label.transaction_id] = label.is_fraud
    return frozenset(transaction_id for transaction_id, is_fraud in latest.items() if is_fraud)
