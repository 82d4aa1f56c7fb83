"""The model of the demo: trained, in a process of its own, on what was known before the live part begins."""

import tempfile
from pathlib import Path
from typing import Final

from feature_service.catalogue import view as view_of
from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable, currency_exponents
from feature_service.offline.dataset import decode_events, write_features
from feature_service.plan import make_plan
from fraudctl.demo.source import Source
from training.train import TrainedBundle, train

_LABEL_WAIT_MS: Final = 7 * 86_400_000  # younger payments mostly have no label yet


def train_on_past(source: Source, split_ms: int, id_hash_key_file: Path, into: Path) -> TrainedBundle:
    """Write the bundle `into`, which must not exist. Raises as `training.train.train`."""
    contract = ContractSettings(id_hash_key_file=id_hash_key_file)
    id_key = contract.read_id_key()
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    events = decode_events(
        source.batches(),
        TransactionDecoder(contract, rates, id_key),
        LabelDecoder(contract, id_key),
        until_ms=split_ms,
    )
    with tempfile.TemporaryDirectory() as scratch:
        features = Path(scratch) / "features.parquet"
        write_features(
            events,
            make_plan(view_of(source.view).names),
            features,
            minor_per_major=10 ** currency_exponents()[contract.base_currency],
            until_ms=split_ms - _LABEL_WAIT_MS,
        )
        return train(features, view=source.view, into=into, model_name="demo")
