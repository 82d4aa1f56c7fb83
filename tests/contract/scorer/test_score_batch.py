"""`ScoreBatch` of a real scorer: what `Score` would say, in order, published before it answers."""

import secrets
from collections.abc import Callable

import grpc
import numpy as np
import pytest
from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest
from fraud.v1.transaction_pb2 import TRANSACTION_KIND_REFUND, Transaction

from telemetry.kafka_headers import read_trace_context
from tests.bundles import a_fraud, a_payment
from tests.contract.scorer.conftest import Served
from tests.otlp_receiver import OtlpReceiver
from tests.scorer_server import Caller, published


def batch(*payments: Transaction) -> ScoreBatchRequest:
    return ScoreBatchRequest(items=[ScoreBatchItem(transaction=payment) for payment in payments])


def under_another_id(payment: Transaction) -> Transaction:
    copy = Transaction()
    copy.CopyFrom(payment)
    copy.transaction_id = secrets.token_hex(6)
    return copy


def test_it_decides_as_score_does(served: Served, caller: Caller, forget_attempts: Callable[[], None]) -> None:
    payments = [a_payment(served.world, back=back) for back in range(1, 150)] + [a_fraud(served.world)]
    copies = [under_another_id(payment) for payment in payments]

    results = caller.score_batch(batch(*payments)).results
    singles = []
    for copy in copies:
        forget_attempts()
        singles.append(caller.score(copy).decision)

    decided = published(served.bootstrap, served.decisions_topic, [each.transaction_id for each in payments])
    for payment, result, single in zip(payments, results, singles, strict=True):
        [record] = decided[payment.transaction_id]
        whole = Decision.FromString(record.value)
        assert np.array(whole.feature_vector).tobytes() == np.array(single.feature_vector).tobytes()
        for decision in (result.decision, whole):
            assert decision.fraud_probability == single.fraud_probability
            assert (decision.action, decision.tier) == (single.action, single.tier)
            assert decision.reasons == single.reasons
            assert decision.model_version == single.model_version


def test_results_are_brief_and_in_order_with_rejections_in_place(served: Served, caller: Caller) -> None:
    good, other = a_payment(served.world), a_payment(served.world)
    bad = a_payment(served.world)
    bad.currency = "XQZ"
    refund = a_payment(served.world)
    refund.kind, refund.original_transaction_id = TRANSACTION_KIND_REFUND, "another"

    results = caller.score_batch(batch(bad, good, refund, other)).results

    assert [result.rejection for result in results] == [
        "REJECTION_UNKNOWN_CURRENCY",
        "",
        "REJECTION_INVALID_CODE",
        "",
    ]
    assert [result.decision.transaction_id for result in results] == ["", good.transaction_id, "", other.transaction_id]
    assert not any(result.replayed for result in results)
    for decision in (results[1].decision, results[3].decision):
        assert not decision.feature_vector
        assert not decision.HasField("transaction")


def test_an_empty_batch_is_answered(caller: Caller) -> None:
    assert not caller.score_batch(ScoreBatchRequest()).results


def test_bytes_that_are_no_batch_are_refused(caller: Caller) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = caller.channel.unary_unary("/fraud.v1.ScoringService/ScoreBatch")

    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff\xff", timeout=10)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_id_twice_in_a_batch_is_decided_once(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)

    first, second = caller.score_batch(batch(payment, payment)).results

    assert sorted([first.replayed, second.replayed]) == [False, True]
    assert first.decision == second.decision


def test_what_is_decided_already_keeps_its_decision_and_is_published_again(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)
    earlier = caller.score(payment).decision
    published(served.bootstrap, served.decisions_topic, [payment.transaction_id])
    payment.device_id = ""  # an event of the stream need not be the call's very bytes

    [result] = caller.score_batch(batch(payment)).results

    assert result.replayed
    assert result.decision.trace_id == earlier.trace_id
    records = published(served.bootstrap, served.decisions_topic, [payment.transaction_id])[payment.transaction_id]
    assert [Decision.FromString(record.value) for record in records] == [earlier, earlier]


def test_an_answer_comes_after_the_alert(served: Served, caller: Caller) -> None:
    fraud = a_fraud(served.world)

    [result] = caller.score_batch(batch(fraud)).results

    [record] = published(served.bootstrap, served.alerts_topic, [fraud.transaction_id])[fraud.transaction_id]
    alert = Alert.FromString(record.value)
    assert alert.alert_id == fraud.transaction_id
    assert alert.decision.transaction == fraud
    assert alert.decision.reasons == result.decision.reasons != []


def test_each_item_continues_its_own_trace_and_links_the_fold(
    served: Served, caller: Caller, backend: OtlpReceiver
) -> None:
    fraud = a_fraud(served.world)
    event = "00-2af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    fold = "00-3af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00"
    request = ScoreBatchRequest(items=[ScoreBatchItem(transaction=fraud, traceparent=event)], batch_traceparent=fold)

    [result] = caller.score_batch(request).results

    [record] = published(served.bootstrap, served.alerts_topic, [fraud.transaction_id])[fraud.transaction_id]
    context = read_trace_context(record.headers)
    assert context is not None
    span = backend.wait_for_span(lambda span: span.span_id == f"{context.span_id:016x}")
    assert result.decision.trace_id == context.trace_id_hex == span.trace_id == "2af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id == "b7ad6b7169203331"
    assert span.links == (("3af7651916cd43dd8448eb211c80319c", "c7ad6b7169203331"),)
