"""A small world of simulated payments up to yesterday, and a real model trained on it."""

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray

from feature_service.catalogue import view
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.identity import IdKey
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.offline.dataset import DecodedEvents, decode_events, write_features
from feature_service.offline.features import OfflineFeatures
from feature_service.packing import pack_transactions
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.base import HistoryStore
from feature_service.stores.fold_batch import plan_fold
from training.simulator import SimulatorSettings, simulate_batches
from training.train import train
from training.windows import Lengths

MINOR_PER_MAJOR = 100


@dataclass(frozen=True, slots=True)
class World:
    """n transactions of all kinds, by day; the last of yesterday."""

    contract: ContractSettings
    id_key: IdKey
    transactions: list[bytes]
    events: DecodedEvents

    def features(self, names: tuple[str, ...], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """(c, F) offline, of the chosen transactions, from all of the world."""
        plan = make_plan(names)
        events = self.events
        offline = OfflineFeatures(plan, events.rows, events.labels, minor_per_major=MINOR_PER_MAJOR)
        return offline.of(events.rows[chosen])

    def last_authorisations(self, count: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.events.authorisations)[-count:]

    def transaction(self, index: int) -> Transaction:
        return Transaction.FromString(self.transactions[index])

    async def fold_into(self, store: HistoryStore) -> None:
        """Everything, as the stream would: payments from one source, labels from another."""
        rows, labels = self.events.rows, self.events.labels
        records = np.zeros((rows.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        pack_transactions(rows, records)
        await _fold(store, "transactions:0", rows["entity_hash"], records)
        of_labels = np.repeat(labels.records[:, np.newaxis], len(ENTITIES), axis=1)
        await _fold(store, "labels:0", labels.entity_hashes, of_labels)


async def _fold(
    store: HistoryStore, source: str, entity_hashes: NDArray[np.uint64], records: NDArray[np.int64]
) -> None:
    known = np.full(store.layout.shard_count, -1, dtype=np.int64)
    for first in range(0, records.shape[0], 5_000):
        offsets = np.arange(first, min(first + 5_000, records.shape[0]))
        batch = plan_fold(
            source=source,
            new=int(offsets[-1]),
            offsets=offsets,
            entity_hashes=entity_hashes[offsets],
            records=records[offsets],
            known=known,
        )
        await store.fold(batch)
        known[batch.shards] = batch.new


def make_world(directory: Path, *, days: int = 18, customers: int = 900, terminals: int = 300) -> World:
    """Its id hash key is written to `directory`."""
    key_file = directory / "id-key"
    key_file.write_text(secrets.token_hex(16))
    contract = ContractSettings(id_hash_key_file=key_file)
    id_key = contract.read_id_key()
    settings = SimulatorSettings(
        start=datetime.now(UTC).date() - timedelta(days=days),
        days=days,
        customers=customers,
        terminals=terminals,
        compromised_terminals_per_10k=10.0,
        leaked_customers_per_10k=15.0,
        label_delay_median_days=1.0,
    )
    batches = list(simulate_batches(settings))
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    events = decode_events(batches, TransactionDecoder(contract, rates, id_key), LabelDecoder(contract, id_key))
    assert not events.rejected
    transactions = [value for batch in batches for value in batch.transactions.values()]
    # Of what follows a payment, days later perhaps, only what has happened by now.
    happened = events.rows["event_time_ms"] < settings.day_start_ms(days)
    return World(
        contract,
        id_key,
        [transaction for transaction, has in zip(transactions, happened, strict=True) if has],
        replace(
            events,
            rows=events.rows[happened],
            ids=events.ids.filter(pa.array(happened)),
            is_fraud=events.is_fraud[happened],
            known_at_ms=events.known_at_ms[happened],
        ),
    )


def train_bundle(world: World, directory: Path, *, of_view: str = "production", seed: int = 1) -> Path:
    """The folder of a bundle, written below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    features = directory / "features.parquet"
    write_features(world.events, make_plan(view(of_view).names), features, minor_per_major=MINOR_PER_MAJOR)
    lengths = Lengths(calibration_days=5, delay_days=3, test_days=3)
    return train(features, view=of_view, into=directory / "bundle", lengths=lengths, seed=seed).path


def a_payment(world: World, *, back: int = 1) -> Transaction:
    """A new one, otherwise like the last authorisation of the world, or the one so far `back`."""
    payment = world.transaction(int(world.last_authorisations(back)[0]))
    payment.transaction_id = secrets.token_hex(6)  # too short for what looks like a card number
    return payment


def a_fraud(world: World) -> Transaction:
    """A new one that any model of such a world takes for a fraud: far above what anybody pays."""
    payment = a_payment(world)
    payment.amount_minor = 500_000
    return payment
