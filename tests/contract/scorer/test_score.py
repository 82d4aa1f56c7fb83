"""`Score` of a real scorer: its answer is what offline features and the bundle give, whoever asks how often."""

import time
from collections.abc import Callable

import grpc
import numpy as np
import pytest
from fraud.v1.decision_pb2 import ACTION_DECLINE, ACTION_REVIEW, TIER_FULL, Alert, Decision
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from fraud.v1.transaction_pb2 import TRANSACTION_KIND_CAPTURE, Transaction

from telemetry.kafka_headers import read_header, read_trace_context
from tests.bundles import a_fraud, a_payment
from tests.contract.scorer.conftest import Served
from tests.otlp_receiver import OtlpReceiver
from tests.scorer_server import Caller, published

ALERT_ACTIONS = (ACTION_REVIEW, ACTION_DECLINE)


def test_answers_have_the_bits_of_offline_features_and_model(
    served: Served, caller: Caller, forget_attempts: Callable[[], None]
) -> None:
    forget_attempts()
    chosen = served.world.last_authorisations(60)
    names = served.bundle.manifest.feature_names
    offline = served.world.features(names, chosen)
    probabilities = served.bundle.full.probabilities(offline)

    decisions = [caller.score(served.world.transaction(int(index))).decision for index in chosen]

    assert [decision.tier for decision in decisions] == [TIER_FULL] * len(chosen)
    vectors = np.array([decision.feature_vector for decision in decisions])
    assert vectors.tobytes() == offline.tobytes()
    assert [decision.fraud_probability for decision in decisions] == probabilities.tolist()


def test_a_decision_says_what_it_was_made_of(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)

    decision = caller.score(payment).decision

    manifest = served.bundle.manifest
    assert decision.transaction_id == payment.transaction_id
    assert decision.transaction == payment
    assert decision.model_name == manifest.model_name
    assert decision.model_version == manifest.model_version
    assert decision.feature_set_version == manifest.feature_set_version
    assert decision.policy_version == served.bundle.decider.policy_version
    assert len(decision.trace_id) == 32
    assert len(decision.request_hash) == 16
    assert not decision.skipped_stages
    assert not decision.HasField("freshness_ms")  # nobody folds
    assert 0 < decision.latency.features_us <= decision.latency.total_us
    assert decision.scorer_instance


def test_every_answer_says_how_long_the_call_took(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)

    begun_s = time.monotonic()
    first = caller.score(payment)
    first_us = 1e6 * (time.monotonic() - begun_s)
    again = caller.score(payment)

    assert first.decision.latency.total_us <= first.took_us < first_us
    assert again.replayed
    assert again.took_us > 0


def test_a_retry_gets_the_stored_decision(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)

    first, second = caller.score(payment), caller.score(payment)

    assert not first.replayed
    assert second.replayed
    assert second.decision == first.decision


def test_another_payload_under_the_same_id_is_refused(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)
    caller.score(payment)
    payment.amount_minor += 1

    with pytest.raises(grpc.RpcError) as refused:
        caller.score(payment)

    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_a_fraud_is_an_alert_with_reasons(served: Served, caller: Caller) -> None:
    decision = caller.score(a_fraud(served.world)).decision

    assert decision.action in ALERT_ACTIONS
    assert decision.reasons
    contributions = [reason.contribution for reason in decision.reasons]
    assert contributions == sorted(contributions, reverse=True)
    assert all(reason.words for reason in decision.reasons)


def no_id(payment: Transaction) -> None:
    payment.transaction_id = ""


def no_entity(payment: Transaction) -> None:
    for name in ("customer_id", "card_id", "merchant_id", "terminal_id", "device_id", "ip"):
        payment.ClearField(name)


def a_card_number(payment: Transaction) -> None:
    payment.card_id = "4111111111111111"


def a_negative_amount(payment: Transaction) -> None:
    payment.amount_minor = -1


def an_absurd_amount(payment: Transaction) -> None:
    payment.amount_minor = 10**15


def no_amount(payment: Transaction) -> None:
    payment.ClearField("amount_minor")


def no_such_currency(payment: Transaction) -> None:
    payment.currency = "XQZ"


def from_the_future(payment: Transaction) -> None:
    payment.event_time_ms += 10 * 86_400_000


def long_ago(payment: Transaction) -> None:
    payment.event_time_ms -= 365 * 86_400_000


def no_time(payment: Transaction) -> None:
    payment.event_time_ms = 0


def a_capture(payment: Transaction) -> None:
    payment.kind = TRANSACTION_KIND_CAPTURE
    payment.original_transaction_id = "another"


def a_bad_country(payment: Transaction) -> None:
    payment.card_country = "Germany"


@pytest.mark.parametrize(
    ("spoil", "rejection"),
    [
        (no_id, "MISSING_ID"),
        (no_entity, "MISSING_ID"),
        (a_card_number, "CARD_NUMBER"),
        (a_negative_amount, "NEGATIVE_AMOUNT"),
        (an_absurd_amount, "ABSURD_AMOUNT"),
        (no_amount, "MISSING_AMOUNT"),
        (no_such_currency, "UNKNOWN_CURRENCY"),
        (from_the_future, "FUTURE"),
        (long_ago, "LATE"),
        (no_time, "MISSING_TIME"),
        (a_capture, "INVALID_CODE"),
        (a_bad_country, "INVALID_CODE"),
    ],
)
def test_bad_input_is_refused_by_name(
    served: Served, caller: Caller, spoil: Callable[[Transaction], None], rejection: str
) -> None:
    payment = a_payment(served.world)
    spoil(payment)

    with pytest.raises(grpc.RpcError) as refused:
        caller.score(payment)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = refused.value.details() or ""
    assert details.startswith(f"REJECTION_{rejection}: ")
    ids = (payment.transaction_id, payment.customer_id, payment.card_id, payment.device_id, payment.ip)
    assert not any(token in details for token in ids if token)


@pytest.mark.parametrize(
    ("request_bytes", "rejection"),
    [(b"\xff\xff\xff", "MALFORMED"), (b"", "MISSING_ID"), (b"\x0a\x02\x0a\xff", "MALFORMED")],
)
def test_bytes_that_are_no_request_are_refused(caller: Caller, request_bytes: bytes, rejection: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        caller.score_bytes(request_bytes)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert rejection in (refused.value.details() or "")


def test_fields_of_a_newer_contract_are_no_hindrance(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)
    later_field = b"\x7a\x01x"  # number 15

    answer = caller.score_bytes(ScoreRequest(transaction=payment).SerializeToString() + later_field)

    assert ScoreResponse.FromString(answer).decision.transaction == payment


def test_a_decision_is_published_with_its_trace(served: Served, caller: Caller) -> None:
    payment = a_payment(served.world)
    decision = caller.score(payment).decision

    [record] = published(served.bootstrap, served.decisions_topic, [payment.transaction_id])[payment.transaction_id]

    assert Decision.FromString(record.value) == decision
    assert read_header(record.headers, "fraud-type") == b"fraud.v1.Decision"
    assert read_header(record.headers, "fraud-schema") == b"1"
    context = read_trace_context(record.headers)
    assert context is not None
    assert context.trace_id_hex == decision.trace_id


def test_an_alert_leads_from_its_header_to_the_span_and_the_model(
    served: Served, caller: Caller, backend: OtlpReceiver
) -> None:
    payment = a_fraud(served.world)
    sender = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    decision = caller.score(payment, traceparent=sender).decision

    [record] = published(served.bootstrap, served.alerts_topic, [payment.transaction_id])[payment.transaction_id]
    alert = Alert.FromString(record.value)
    context = read_trace_context(record.headers)
    assert context is not None
    span = backend.wait_for_span(lambda span: span.span_id == f"{context.span_id:016x}")

    assert alert.alert_id == payment.transaction_id
    assert alert.decision == decision
    assert context.sampled
    assert (span.service, span.name) == ("scorer", "score")
    assert span.trace_id == decision.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id == "b7ad6b7169203331"
    assert span.attributes["fraud.transaction.id"] == payment.transaction_id
    assert span.attributes["fraud.model.version"] == served.bundle.manifest.model_version
    assert span.attributes["fraud.feature_set.version"] == served.bundle.manifest.feature_set_version
    assert span.attributes["fraud.probability"] == decision.fraud_probability
    assert span.attributes["fraud.kept_because"] == "alert"
    stages = backend.wait_for_spans(4, lambda each: each.parent_span_id == span.span_id)
    assert {each.name for each in stages} == {"score features", "score model", "score explanation", "send alerts"}
    [sent] = [each for each in stages if each.name == "send alerts"]
    assert sent.attributes["kafka.offset"] == record.offset


def test_an_ordinary_score_leaves_no_span_unless_its_sender_samples(
    served: Served, caller: Caller, backend: OtlpReceiver
) -> None:
    plain, sampled = (a_payment(served.world, back=back) for back in (71, 72))  # whose cards no other test uses
    caller.score(plain)
    caller.score(sampled, traceparent="00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    backend.wait_for_span(lambda span: span.attributes.get("fraud.transaction.id") == sampled.transaction_id)

    seen = {span.attributes.get("fraud.transaction.id") for span in backend.spans}
    assert plain.transaction_id not in seen
