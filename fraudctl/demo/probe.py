"""Synchronous scoring as a payment service would call it: some payments of known customers, one after the other."""

import time
from collections.abc import Sequence
from typing import Final

import grpc
from fraud.v1.scoring_pb2 import ScoreRequest
from fraud.v1.scoring_pb2_grpc import ScoringServiceStub
from fraud.v1.transaction_pb2 import Transaction
from google.protobuf.message import DecodeError

from feature_service.events import Event

_CALLS: Final = 300
_WARM_UP_CALLS: Final = 20
_DEADLINE_S: Final = 0.1


async def probe_score(address: str, events: Sequence[Event]) -> list[int]:
    """Microseconds from call to answer, as the client sees them, of payments like the last of `events`, made now."""
    payments: list[Transaction] = []
    for event in reversed(events):
        if event.topic == "transactions" and len(payments) < _CALLS + _WARM_UP_CALLS:
            try:
                payments.append(Transaction.FromString(event.value))
            except DecodeError:
                continue  # broken on purpose
    taken_us = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = ScoringServiceStub(channel)
        for number, payment in enumerate(payments):
            payment.ClearField("kind")
            payment.transaction_id = f"probe-{number}-{time.time_ns()}"
            payment.event_time_ms = time.time_ns() // 1_000_000
            began_ns = time.monotonic_ns()
            try:
                await stub.Score(ScoreRequest(transaction=payment), timeout=_DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                continue  # a payment that was refused in the stream, too
            if number >= _WARM_UP_CALLS:
                taken_us.append((time.monotonic_ns() - began_ns) // 1_000)
    return taken_us
