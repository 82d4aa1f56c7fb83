"""Everything a first call would wait for: compiled code, native predictors, connections."""

import asyncio
import time
from typing import Final

import numpy as np
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest, ScoreRequest
from fraud.v1.transaction_pb2 import CHANNEL_CHIP, Location, Transaction

from scorer.decision_bytes import FEW
from scorer.decision_maker import DecisionMaker
from scorer.explaining import Explaining
from scorer.protocols import Reader
from scorer.requests import RequestReader
from scorer.serving import Serving

_BATCH: Final = FEW  # which are written by compiled code


async def warm_up(
    requests: RequestReader,
    maker_of_one: DecisionMaker,
    maker_of_many: DecisionMaker,
    reader: Reader,
    explaining: Explaining,
) -> None:
    """Decide made-up payments, up to their bytes; nothing is stored or published. Raises: StoreUnavailableError."""
    now_ms = time.time_ns() // 1_000_000
    transaction = _transaction(now_ms)
    batch = ScoreBatchRequest(items=[ScoreBatchItem(transaction=transaction)] * _BATCH)
    one = requests.score(ScoreRequest(transaction=transaction).SerializeToString(), now_ms=now_ms, parent=None)
    many = requests.score_batch(batch.SerializeToString()).payments
    for maker, payments in ((maker_of_one, one), (maker_of_many, many)):
        now_ns = time.monotonic_ns()
        group = maker.prepare(payments, arrived_ns=now_ns, decoded_ns=now_ns)
        values = await reader.read(group.all_keys)
        for histories in (None, values[: len(group.keys.keys)]):
            assessed = maker.assess(group, maker.predict(group, histories))
            reasons = explaining.of_models([each.assessment for each in assessed])
            maker.decide(group, assessed, reasons, [()] * len(assessed))


async def warm_models(serving: Serving) -> None:
    """Native predictors belong to threads: those of this one. Calls have their turns between."""
    for models in serving.deciding:
        for model in (models.full, models.request_only):
            model.scoring.probability(np.full(len(model.scoring.feature_names), np.nan))
            await asyncio.sleep(0)


def _transaction(now_ms: int) -> Transaction:
    return Transaction(
        transaction_id="warm-up",
        event_time_ms=now_ms,
        customer_id="warm-up",
        card_id="warm-up",
        merchant_id="warm-up",
        terminal_id="warm-up",
        device_id="warm-up",
        ip="warm-up",
        amount_minor=1_000,
        currency="EUR",
        mcc=5_411,
        merchant_country="DE",
        card_country="FR",
        channel=CHANNEL_CHIP,
        location=Location(latitude_microdegrees=0, longitude_microdegrees=0),
        utc_offset_minutes=0,
    )
