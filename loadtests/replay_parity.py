"""One parity run: events of a data set through workers of their own, and what the comparison found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from feature_service.catalogue import view as view_of
from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.events import Event, EventBatch
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable, currency_exponents
from feature_service.offline.dataset import DecodedEvents, decode_events
from feature_service.offline.features import OfflineFeatures
from feature_service.online import OnlineFeatures
from feature_service.plan import make_plan
from feature_service.settings import StoreSettings, make_online_features, store_layout
from loadtests.calls_before import decisions_on_declined, decisions_on_sent
from loadtests.definition_skew import Disorder, Skew, measure
from loadtests.workers import running_workers
from stream_processor.kafka_connection import KafkaConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRun:
    """Where and how to replay. The topics must exist and be empty, and so must Redis."""

    kafka_bootstrap: str
    redis_url: str
    id_hash_key_file: Path
    logs: Path
    views: Sequence[str] = ("handbook", "production")
    topics: tuple[str, str, str] = ("transactions", "labels", "decisions")
    asked_share: float = 0.05  # of the authorisations; as many others are declined and not sent
    workers: int = 1
    max_batch_records: int = 2_000
    disorder: Disorder = field(default_factory=Disorder)

    @property
    def contract(self) -> ContractSettings:
        return ContractSettings(id_hash_key_file=self.id_hash_key_file)

    @property
    def worker_environment(self) -> Mapping[str, str]:
        return {
            "FRAUD_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "FRAUD_REDIS_URL": self.redis_url,
            "FRAUD_ID_HASH_KEY_FILE": str(self.id_hash_key_file),
            "FRAUD_TRANSACTIONS_TOPIC": self.topics[0],
            "FRAUD_LABELS_TOPIC": self.topics[1],
            "FRAUD_DECISIONS_TOPIC": self.topics[2],
            "FRAUD_CONSUMER_GROUP": f"parity-{self.topics[0]}",
            "FRAUD_MAX_BATCH_RECORDS": str(self.max_batch_records),
            "FRAUD_SCORE_STREAM": "false",
        }


@dataclass(frozen=True, slots=True)
class Sides:
    """A data set, with the payments that calls asked about, and the two ways to its features, by view."""

    events: DecodedEvents
    online: Mapping[str, OnlineFeatures]
    offline: Mapping[str, OfflineFeatures]


async def run_parity(
    run: ParityRun, batches: Sequence[EventBatch], on_progress: Callable[[int], None] = lambda _: None
) -> Skew:
    """Replay and compare. Raises: TimeoutError, RuntimeError where a worker does not end cleanly."""
    with running_workers(run.workers, run.worker_environment, run.logs):
        return await compare(run, batches, on_progress)


async def compare(
    run: ParityRun, batches: Sequence[EventBatch], on_progress: Callable[[int], None] = lambda _: None
) -> Skew:
    """The same, with workers that the caller has started. Raises: TimeoutError."""
    share, seed = run.asked_share, run.disorder.seed
    decisions = [
        *decisions_on_sent(batches, share=share, seed=seed),
        *decisions_on_declined(batches, share=share, seed=seed),
    ]
    sides = make_sides(run, batches, decisions)
    return await measure(
        sides.events,
        batches,
        decisions,
        online=sides.online,
        offline=sides.offline,
        connection=KafkaConnection(bootstrap_servers=(run.kafka_bootstrap,)),
        store_settings=StoreSettings(redis_url=run.redis_url),
        contract=run.contract,
        topics=run.topics,
        disorder=run.disorder,
        on_progress=on_progress,
    )


def make_sides(
    run: ParityRun, batches: Sequence[EventBatch], decisions: Sequence[Event] = (), *, generation: int = 1
) -> Sides:
    """Of a data set that has no record that is refused."""
    contract = run.contract
    id_key = contract.read_id_key()
    decoder = TransactionDecoder(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    asked = DecisionDecoder(decoder).decode(
        [event.value for event in decisions], [event.timestamp_ms for event in decisions]
    )
    events = decode_events(batches, decoder, LabelDecoder(contract, id_key), asked=asked.rows)
    assert not events.rejected, f"the data set has records that no feature counts: {events.rejected}"
    minor_per_major = 10 ** currency_exponents()[contract.base_currency]
    layout = store_layout(StoreSettings(redis_url=run.redis_url, generation=generation), id_key)
    plans = {name: make_plan(view_of(name).names) for name in run.views}
    return Sides(
        events,
        {name: make_online_features(plan, layout, contract) for name, plan in plans.items()},
        {
            name: OfflineFeatures(plan, events.in_histories, events.labels, minor_per_major=minor_per_major)
            for name, plan in plans.items()
        },
    )
