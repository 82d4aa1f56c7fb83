"""How fast decisions get into the index: read and written as its process does, from records that are there already.

`python -m loadtests.measure_index [--url URL] [--batches N]`: a SQLite file of its own, or an empty PostgreSQL one.
"""

import argparse
import json
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from fraud.v1.decision_pb2 import ACTION_APPROVE, TIER_FULL, Decision
from fraud.v1.transaction_pb2 import Transaction

from decision_index.batch import Partition, Position, Stored
from decision_index.database import Database
from decision_index.reading import Reader, Topics
from decision_index.writer import IndexWriter
from feature_service.catalogue import view
from feature_service.contract_settings import ContractSettings
from feature_service.money import RateTable

_BATCH: Final = 5_000  # the default of FRAUD_DECISION_INDEX_BATCH
_DECISIONS: Final = Partition("decisions", 0)
_TOPIC_ID = "0" * 32
_START_MS: Final = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    value: bytes
    timestamp: int = _START_MS
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a database; without it, a SQLite file that is deleted afterwards")
    parser.add_argument("--batches", type=int, default=40, help=f"of {_BATCH} decisions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        url = options.url or f"sqlite:///{directory}/decisions.db"
        print(json.dumps(measure(url, options.batches, Path(directory)), indent=2))


def measure(url: str, batches: int, directory: Path) -> dict[str, float | int]:
    """Decisions a second, by the clock and by this process's own time on a processor."""
    key_file = directory / "id-key"
    key_file.write_text(secrets.token_hex(16))
    contract = ContractSettings(id_hash_key_file=key_file)
    id_key = contract.read_id_key()
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    topics = Topics("decisions", "alerts", audit="audit", shadow_scores="shadows", labels="labels", erasures="erasures")
    reader = Reader(topics, contract, rates, id_key)
    database = Database(url, create=True)
    writer = IndexWriter(database, key_fingerprint=id_key.fingerprint)
    wall_s = processor_s = 0.0
    record_bytes = 0
    for first in range(0, batches * _BATCH, _BATCH):
        records = [_Record(first + index, _decision(first + index)) for index in range(_BATCH)]
        record_bytes += sum(len(record.value) for record in records)
        began = time.perf_counter(), time.process_time()
        written = writer.write(
            reader.read(
                {_DECISIONS: records},
                {_DECISIONS: Position(Stored(first, _TOPIC_ID) if first else None, first, _TOPIC_ID)},
            )
        )
        wall_s += time.perf_counter() - began[0]
        processor_s += time.process_time() - began[1]
        assert written.decisions == _BATCH
    database.close()
    count = batches * _BATCH
    return {
        "decisions": count,
        "bytes_each": record_bytes // count,
        "decisions_per_s": round(count / wall_s),
        "decisions_per_processor_s": round(count / processor_s),
    }


def _decision(number: int) -> bytes:
    random = np.random.default_rng(number)
    payment = Transaction(
        transaction_id=secrets.token_hex(12),
        event_time_ms=_START_MS + number,
        customer_id=f"C{random.integers(100_000)}",
        card_id=f"K{random.integers(150_000)}",
        merchant_id=f"M{random.integers(5_000)}",
        terminal_id=f"T{random.integers(9_000)}",
        amount_minor=1_000,
        currency="EUR",
    )
    return Decision(
        transaction_id=payment.transaction_id,
        fraud_probability=0.1,
        action=ACTION_APPROVE,
        tier=TIER_FULL,
        model_name="fraud",
        model_version=f"{1:012x}",
        policy_version=f"{2:012x}",
        feature_set_version=f"{3:012x}",
        feature_vector=random.normal(size=len(view("production").names)),
        decided_at_ms=_START_MS + number,
        request_hash=secrets.token_bytes(16),
        trace_id=secrets.token_hex(16),
        transaction=payment,
    ).SerializeToString()


if __name__ == "__main__":
    main()
