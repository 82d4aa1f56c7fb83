"""What the scorer offers by REST."""

from fraud.v1 import scoring_pb2, transaction_pb2

from feature_service.rest import Call, Endpoint, RestService
from scorer.score_calls import ScoreCalls
from scorer.servicer import PERMISSIONS

_METHODS = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].methods_by_name


def rest_service(calls: ScoreCalls, *, bind: str) -> RestService:
    async def score(call: Call) -> bytes:
        allowed_ms = call.allowed_ms
        refused = calls.score_door.enter(None if allowed_ms is None else allowed_ms / 1_000)
        if refused is not None:
            raise refused
        try:
            return await calls.score(
                call.request, arrived_ns=call.arrived_ns, allowed_ms=allowed_ms, traceparent=call.traceparent
            )
        finally:
            calls.score_door.leave()

    endpoint = Endpoint(
        verb="POST",
        path="/v1/score",
        method=_METHODS["Score"],
        permission=PERMISSIONS["Score"],
        answer=score,
        example=_example,
    )
    return RestService(bind=bind, title="Fraud scoring", endpoints=[endpoint])


def _example(now_ms: int) -> scoring_pb2.ScoreRequest:
    payment = transaction_pb2.Transaction(
        transaction_id=f"example-{now_ms}",
        event_time_ms=now_ms,
        customer_id="customer-1",
        card_id="card-1",
        merchant_id="merchant-1",
        terminal_id="terminal-1",
        amount_minor=1_050,
        currency="EUR",
        mcc=5411,
        channel=transaction_pb2.CHANNEL_CHIP,
    )
    return scoring_pb2.ScoreRequest(transaction=payment)
