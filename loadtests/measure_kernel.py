"""The kernel in this process: one full production vector from histories of 60 records, read as a scorer reads them.

And of a merchant with a million payments a day, from its history alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import view
from feature_service.compaction import compact_history
from feature_service.decoding import TransactionDecoder
from feature_service.kernel import compute, make_scratch, make_workspace
from feature_service.money import RateTable, currency_exponents
from feature_service.online import OnlineFeatures
from feature_service.packing import pack_entity, pack_transactions
from feature_service.plan import Plan, make_plan
from feature_service.records import DECODED, ENTITIES, ENTITY_INDEX, RECORD_WORDS, Kind
from feature_service.settings import StoreSettings, make_online_features, store_layout
from feature_service.stores.layout import HEADER, HEADER_BYTES
from loadtests.context import Context
from loadtests.figures import Result, Target
from loadtests.hot_history import NOW_MS, hot_histories
from loadtests.inputs import simulated, with_entities
from training.simulator import SimulatorSettings

_RECORDS: Final = 60
_CALLS: Final = 50  # in a measurement, where one is too short
_HORIZON_DAYS: Final = 37
_TARGET: Final = Target("1.6 (sketch, 72 features of 3 entities)", 10.0, "less")
_HOT_TARGET: Final = Target("", 50.0, "less")
_BATCH: Final = 256  # what the scorer reads in one go


@dataclass(frozen=True, slots=True)
class _Input:
    rows: NDArray[np.void]  # (n,) DECODED, each with all entities
    records: NDArray[np.int64]  # (n, 6, 60, 9) the last 60 of each one's entities


def measure(context: Context) -> list[Result]:
    context.say("computing vectors")
    plan = make_plan(view("production").names)
    given = _input(context, vectors=512)
    repeats = 5 if context.quick else 40
    per_vector_us = _kernel_us(plan, given, context, repeats)
    features = make_online_features(
        plan, store_layout(StoreSettings(), context.contract.read_id_key()), context.contract
    )
    return [
        Result(
            "kernel, production vector, 6 histories of 60 records",
            "µs",
            per_vector_us,
            _TARGET,
            {
                "features": len(plan.names),
                "read_path_us_in_batches_of_256": round(_read_path_us(features, given, _BATCH, repeats), 2),
                "read_path_us_one_at_a_time": round(_read_path_us(features, given, 1, repeats), 2),
            },
        ),
        _of_a_hot_merchant(repeats),
    ]


def _of_a_hot_merchant(repeats: int) -> Result:
    """Right before a compaction and right after it."""
    histories = hot_histories()
    names = view("production").names
    plan = make_plan([name for name in names if name.startswith("merchant_") and name != "merchant_country"])
    before_us, after_us = (_one_history_us(plan, history, repeats) for history in histories[-2:])
    compaction_us = _median_us(lambda: compact_history(histories[-2]), repeats)
    return Result(
        "kernel, a merchant of 1,000,000 payments a day",
        "µs",
        before_us,
        _HOT_TARGET,
        {
            "features": len(plan.names),
            "after_compaction_us": round(after_us, 2),
            "compaction_us": round(compaction_us, 1),
            "longest_history_kb": round(max(map(len, histories)) / 1024, 1),
            "after_compaction_kb": round(len(histories[-1]) / 1024, 1),
        },
    )


def _one_history_us(plan: Plan, history: bytes, repeats: int) -> float:
    words = np.frombuffer(history, dtype=np.int64, offset=HEADER_BYTES)
    rows = np.zeros(1, dtype=DECODED)
    rows["event_time_ms"], rows["transaction_hash"], rows["amount_minor"] = NOW_MS, 1, 1_000
    rows["entity_hash"][:, ENTITY_INDEX["merchant"]] = 1
    currents = np.zeros((1, len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(rows, currents)
    records = words.shape[0] // RECORD_WORDS
    spans = np.zeros((1, len(ENTITIES), 2), dtype=np.int64)
    spans[0, ENTITY_INDEX["merchant"], 1] = records
    values, statuses = np.empty((1, len(plan.names))), np.empty(1, dtype=np.int8)
    space, scratch = make_workspace(records), make_scratch(plan.arrays)

    def run() -> None:
        for _ in range(_CALLS):
            compute(words, spans, rows, currents, plan.arrays, 100.0, 1 << 60, space, scratch, values, statuses)

    return _median_us(run, repeats) / _CALLS


def _input(context: Context, *, vectors: int) -> _Input:
    """The payments of a simulation's last day whose entities have all been seen 60 times, with those as histories."""
    contract = context.contract
    decoder = TransactionDecoder(
        contract, RateTable.load(contract.rates_file, contract.base_currency), contract.read_id_key()
    )
    settings = SimulatorSettings(days=_HORIZON_DAYS + 1, customers=300, terminals=60)
    chosen = list(with_entities(simulated(settings), ENTITIES))
    values = [payment.SerializeToString() for payment in chosen]
    pool = decoder.decode(values, [payment.event_time_ms for payment in chosen]).rows
    pool = pool[np.argsort(pool["event_time_ms"], kind="stable")]
    is_past = pool["event_time_ms"] < settings.day_start_ms(_HORIZON_DAYS)
    past, now = pool[is_past], pool[~is_past & (pool["kind"] == Kind.AUTHORISATION)]
    histories: list[list[NDArray[np.int64]]] = []  # of entities, of payments: indices in `past`
    for entity in range(len(ENTITIES)):
        order = np.argsort(past["entity_hash"][:, entity], kind="stable")
        owners = past["entity_hash"][order, entity]
        ends = np.searchsorted(owners, now["entity_hash"][:, entity], side="right")
        starts = np.searchsorted(owners, now["entity_hash"][:, entity])
        last = [order[max(start, end - _RECORDS) : end] for start, end in zip(starts, ends, strict=True)]
        histories.append(last)
    full = [row for row in range(now.shape[0]) if all(len(of_entity[row]) == _RECORDS for of_entity in histories)]
    rows = np.random.default_rng(1).choice(full, vectors)
    records = np.zeros((vectors, len(ENTITIES), _RECORDS, RECORD_WORDS), dtype=np.int64)
    for index, row in enumerate(rows.tolist()):
        for entity, of_entity in enumerate(histories):
            pack_entity(past[of_entity[row]], entity, records[index, entity])
    return _Input(now[rows], records)


def _kernel_us(plan: Plan, given: _Input, context: Context, repeats: int) -> float:
    rows, words = given.rows, given.records.reshape(-1)
    count = len(rows)
    spans = np.empty((count, len(ENTITIES), 2), dtype=np.int64)
    spans[:, :, 0] = np.arange(count * len(ENTITIES)).reshape(count, -1) * _RECORDS * RECORD_WORDS
    spans[:, :, 1] = _RECORDS
    currents = np.zeros((count, len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(rows, currents)
    values, statuses = np.empty((count, len(plan.names))), np.empty(count, dtype=np.int8)
    space, scratch = make_workspace(_RECORDS), make_scratch(plan.arrays)
    minor_per_major = float(10 ** currency_exponents()[context.contract.base_currency])

    def run() -> None:
        compute(words, spans, rows, currents, plan.arrays, minor_per_major, 1 << 60, space, scratch, values, statuses)

    return _median_us(run, repeats) / count


def _read_path_us(features: OnlineFeatures, given: _Input, batch: int, repeats: int) -> float:
    """Keys of a payment, and features from values as Redis gives them: all but the round trip."""
    count = len(given.rows) // batch * batch
    owned: dict[bytes, bytes] = {}
    for row in range(count):
        keys = features.keys(given.rows[row : row + 1])
        owned |= {key: HEADER + given.records[row, entity].tobytes() for entity, key in enumerate(keys.keys)}

    def run() -> None:
        for first in range(0, count, batch):
            rows = given.rows[first : first + batch]
            keys = features.keys(rows)
            features.vectors(rows, keys, [owned[key] for key in keys.keys])

    return _median_us(run, repeats) / count


def _median_us(run: Callable[[], object], repeats: int) -> float:
    """Of this thread's processor time: others on the machine slow it down, but are not counted in."""
    run()  # loads compiled code
    times: list[float] = []
    for _ in range(repeats):
        begun_ns = time.thread_time_ns()
        run()
        times.append((time.thread_time_ns() - begun_ns) / 1_000)
    return float(median(times))
