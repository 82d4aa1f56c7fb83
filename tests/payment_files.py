"""Payments as files that hold all of them: read back, they are the same messages."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from fraud.v1.transaction_pb2 import Channel, Outcome, Transaction, TransactionKind
from pyarrow import parquet

_AS_THEY_ARE = (
    "transaction_id",
    "original_transaction_id",
    "customer_id",
    "card_id",
    "merchant_id",
    "terminal_id",
    "device_id",
    "ip",
    "currency",
    "merchant_country",
    "card_country",
    "mcc",
)
_OTHERS = (
    "kind",
    "channel",
    "outcome",
    "event_time",
    "amount",
    "latitude",
    "longitude",
    "utc_offset_minutes",
    "is_fraud",
)


def write_payments(path: Path, payments: Iterable[Transaction], *, frauds: Collection[str] = ()) -> Path:
    """A parquet file, a row for each, `frauds` (transaction ids) marked; returns the mapping to read it with."""
    rows = [{**_row(payment), "is_fraud": payment.transaction_id in frauds} for payment in payments]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    mapping = path.with_suffix(".toml")
    columns = "".join(f'{name} = "{name}"\n' for name in (*_AS_THEY_ARE, *_OTHERS))
    mapping.write_text(f'time_unit = "epoch_ms"\namount_unit = "minor"\n[columns]\n{columns}')
    return mapping


def _row(payment: Transaction) -> dict[str, Any]:
    located = payment.HasField("location")
    return {
        **{name: getattr(payment, name) or None for name in _AS_THEY_ARE},
        "kind": TransactionKind.Name(payment.kind).removeprefix("TRANSACTION_KIND_").lower(),
        "channel": Channel.Name(payment.channel).removeprefix("CHANNEL_").lower(),
        "outcome": Outcome.Name(payment.outcome).removeprefix("OUTCOME_").lower(),
        "event_time": payment.event_time_ms,
        "amount": payment.amount_minor,
        "latitude": payment.location.latitude_microdegrees / 1e6 if located else None,
        "longitude": payment.location.longitude_microdegrees / 1e6 if located else None,
        "utc_offset_minutes": payment.utc_offset_minutes if payment.HasField("utc_offset_minutes") else None,
    }
