"""Run while the image is built: one payment's way through all compiled code, so that no pod compiles at its start.

Compiling takes 20 seconds of a processor. The code lands in NUMBA_CACHE_DIR, for the kind of processor this runs on; a
node with another kind compiles anew, which the start-up probes allow for.
"""

import tempfile
from pathlib import Path

import numpy as np
from fraud.v1.decision_pb2 import ORIGIN_CALL, Decision
from fraud.v1.label_pb2 import LABEL_SOURCE_CUSTOMER, Label
from fraud.v1.transaction_pb2 import Transaction

from feature_service.catalogue import view
from feature_service.compaction import compact_history
from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.freshness import ConfirmedTimes
from feature_service.kernel.tiles import RECORDS_BEFORE_FRONTIER
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.plan import make_plan
from feature_service.score_batch import join_score_batch, split_score_batch
from feature_service.settings import StoreSettings, make_online_features, store_layout
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import HEADER
from feature_service.stores.renewals import Renewals
from feature_service.stores.resp import encode_fold
from feature_service.stores.values import ValuesReader
from feature_service.traceparents import read_traceparents
from scorer.decision_parts import Parts
from scorer.idempotency import HASH_BYTES
from scorer.many_decisions import write_many
from scorer.tree_masks import make_masks, sum_leaves
from scorer.tree_tables import make_tables
from scorer.tree_walk import FOUND, find_strongest, walk_trees
from stream_processor.fold_input import DecodeDecisions, DecodeLabels, DecodeTransactions

EVENT_TIME_MS = 1_700_000_000_000
PAYMENT = Transaction(
    transaction_id="p",
    event_time_ms=EVENT_TIME_MS,
    amount_minor=1_050,
    currency="EUR",
    customer_id="c",
    card_id="k",
    merchant_id="m",
    terminal_id="t",
    device_id="d",
    ip="i",
).SerializeToString()
DECISION = Decision(origin=ORIGIN_CALL, transaction=Transaction.FromString(PAYMENT)).SerializeToString()
LABEL = Label(
    label_id="l",
    transaction_id="p",
    event_time_ms=EVENT_TIME_MS,
    known_at_ms=EVENT_TIME_MS + 1,
    source=LABEL_SOURCE_CUSTOMER,
    customer_id="c",
).SerializeToString()


def warm(id_hash_key_file: Path) -> None:
    contract, store = ContractSettings(id_hash_key_file=id_hash_key_file), StoreSettings()
    id_key = contract.read_id_key()
    layout = store_layout(store, id_key)
    transactions = TransactionDecoder(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    times = np.array([EVENT_TIME_MS + 1])
    for decode, value in (
        (DecodeTransactions(transactions), PAYMENT),
        (DecodeLabels(LabelDecoder(contract, id_key)), LABEL),
        (DecodeDecisions(DecisionDecoder(transactions)), DECISION),
    ):
        folded = decode([value], times)
        batch = plan_fold(
            source="warm-up",
            new=0,
            offsets=np.array([0]),
            entity_hashes=folded.entity_hashes,
            records=folded.records,
            known=np.full(store.shard_count, -1),
        )
        encode_fold(
            batch,
            layout,
            Renewals().due(batch.entities, batch.hashes, now_s=0.0),
            retention_ms=contract.retention_ms,
            ttl_s=store.history_ttl_days * 86_400,
            history_cap=store.history_cap,
        )

    split_score_batch(join_score_batch([PAYMENT], [b""], b""))
    nowhere = np.zeros(0, dtype=np.int64)
    read_traceparents(np.frombuffer(b"", dtype=np.uint8), nowhere, nowhere)
    reader = ValuesReader()
    reader.feed(b"*1\r\n$-1\r\n")
    reader.gets()
    row = transactions.decode_one(PAYMENT, EVENT_TIME_MS)
    history = HEADER + batch.records[:1].tobytes()
    for name in ("handbook", "production"):
        features = make_online_features(make_plan(view(name).names), layout, contract)
        keys = features.keys(row)
        features.vectors(row, keys, [history] * len(keys.keys))
    compact_history(HEADER + batch.records[:1].tobytes() * RECORDS_BEFORE_FRONTIER)
    walk_trees(np.zeros((1, 1)), make_tables([]), np.zeros((1, 2)))
    find_strongest(np.zeros((1, 1)), np.zeros((1, 1, FOUND)), *make_tables([]))
    sum_leaves(np.zeros((0, 1)), make_masks([]), np.zeros(0))
    ConfirmedTimes()
    write_many(Parts([b""], [0], [0.0], [b""], [bytes(HASH_BYTES)], [1], [0], [b""], [np.zeros(1)], [PAYMENT], [False]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        key_file = Path(scratch) / "id-hash-key"
        key_file.write_text("00" * 16)
        warm(key_file)
