"""A file of payments to a file of features, with progress shown: for several commands."""
# ruff: noqa: PLC0415  -- commands import this module, and must not import what it needs before it is used

from pathlib import Path
from typing import TYPE_CHECKING

from fraudctl.errors import UserError
from fraudctl.local import use_local_environment

if TYPE_CHECKING:
    from feature_service.offline.dataset import OfflineSummary


def compute_features(source: Path, *, view: str, output: Path, mapping: str, label_delay_ms: int) -> "OfflineSummary":
    """Write `output` as `feature_service.offline.dataset.write_features` does. Raises: FeatureError, UserError."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from feature_service.catalogue import view as view_of
    from feature_service.contract_settings import ContractSettings
    from feature_service.decoding import TransactionDecoder
    from feature_service.files import load_mapping, read_batches
    from feature_service.labels import LabelDecoder
    from feature_service.money import RateTable, currency_exponents
    from feature_service.offline.dataset import decode_events, write_features
    from feature_service.plan import make_plan

    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is not a folder: make it, or give another --output")
    plan = make_plan(view_of(view).names)
    use_local_environment()
    contract = ContractSettings()
    id_key = contract.read_id_key()
    decoder = TransactionDecoder(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        reading = progress.add_task("payments read", total=None)
        events = decode_events(
            read_batches(source, load_mapping(mapping), label_delay_ms=label_delay_ms),
            decoder,
            LabelDecoder(contract, id_key),
            on_progress=lambda count: progress.update(reading, completed=count),
        )
        wanted = int(events.authorisations.sum())
        progress.update(reading, total=events.rows.shape[0], completed=events.rows.shape[0])
        writing = progress.add_task("features written", total=wanted)
        return write_features(
            events,
            plan,
            output,
            minor_per_major=10 ** currency_exponents()[contract.base_currency],
            on_progress=lambda count: progress.update(writing, completed=count),
        )
