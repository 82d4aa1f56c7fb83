"""From an alert to its trace, and from the trace to the model's version and to the Kafka offset behind it."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from fraud.v1.decision_pb2 import Action, Alert

from telemetry.trace_context import TraceContext
from tests.e2e.client import TIMEOUT_S, ClusterClient, now_ms
from tests.e2e.cluster import RunningCluster
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.people import Person


def new_context() -> TraceContext:
    """As a sender's that does not ask for its trace to be kept."""
    return TraceContext.new(Random())


def span_id(context: TraceContext) -> str:
    return f"{context.span_id:016x}"


async def span(backend: OtlpReceiver, matches: Callable[[ReceivedSpan], bool]) -> ReceivedSpan:
    return await asyncio.to_thread(backend.wait_for_span, matches)


async def log_line(cluster: RunningCluster, service: str, transaction_id: str) -> dict[str, Any]:
    """The one line about the payment, waited for if need be."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(TIMEOUT_S):
        while not found:
            await asyncio.sleep(0.05)
            found = [line for line in cluster.log_lines(service) if line.get("transaction_id") == transaction_id]
    [line] = found
    return line


async def test_an_alert_of_the_stream_leads_to_all_that_is_behind_it(
    cluster: RunningCluster, client: ClusterClient, backend: OtlpReceiver
) -> None:
    event = new_context()
    payment = Person().pays_suspiciously(now_ms())
    origin = await client.send(payment, traceparent=event.traceparent())
    [seen, *_] = await client.alerts(payment.transaction_id)
    decision = Alert.FromString(seen.value).decision

    # The alert's header names the span that decided it, in the trace of the event.
    header = TraceContext.parse(seen.headers["traceparent"])
    assert header is not None
    assert header.trace_id_hex == event.trace_id_hex == decision.trace_id
    assert header.sampled, "those who act on the alert keep their spans too"
    score = await span(backend, lambda found: (found.name, found.span_id) == ("score", span_id(header)))
    assert (score.service, score.trace_id, score.parent_span_id) == ("scorer", event.trace_id_hex, span_id(event))

    # The span names what decided.
    manifest = cluster.bundle.manifest
    identity = {
        "fraud.transaction.id": payment.transaction_id,
        "fraud.action": Action.Name(decision.action).removeprefix("ACTION_"),
        "fraud.alert": True,
        "fraud.kept_because": "alert",
        "fraud.tier": "FULL",
        "fraud.probability": decision.fraud_probability,
        "fraud.model.name": manifest.model_name,
        "fraud.model.version": manifest.model_version,
        "fraud.feature_set.version": manifest.feature_set_version,
        "fraud.policy.version": cluster.bundle.decider.policy_version,
        "fraud.reason_codes": [reason.code for reason in decision.reasons],
    }
    assert identity.items() <= {name: score.attributes.get(name) for name in identity}.items()
    assert (decision.model_version, decision.feature_set_version, decision.policy_version) == (
        manifest.model_version,
        manifest.feature_set_version,
        cluster.bundle.decider.policy_version,
    )
    assert decision.reasons

    # Its link leads to the batch that folded the event, and so to the event's offset.
    [link] = score.links
    batch = await span(backend, lambda found: (found.trace_id, found.span_id) == link)
    assert (batch.service, batch.name) == ("stream-processor", "process transactions")
    assert (event.trace_id_hex, span_id(event)) in batch.links
    assert batch.attributes["messaging.destination.name"] == origin.topic
    assert batch.attributes["messaging.destination.partition.id"] == str(origin.partition)
    first, last = batch.attributes["fraud.first_offset"], batch.attributes["fraud.last_offset"]
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert first <= origin.offset <= last

    # And from the score on to where the alert is.
    sent = await span(backend, lambda found: (found.name, found.parent_span_id) == ("send alerts", score.span_id))
    assert sent.trace_id == score.trace_id
    assert (sent.attributes["messaging.destination.name"], sent.attributes["kafka.offset"]) == (
        seen.origin.topic,
        seen.origin.offset,
    )


async def test_an_alert_of_a_call_is_in_the_callers_trace(
    cluster: RunningCluster, client: ClusterClient, backend: OtlpReceiver
) -> None:
    caller = new_context()
    payment = Person().pays_suspiciously(now_ms())
    answer = await client.score(payment, traceparent=caller.traceparent())
    assert answer.decision.trace_id == caller.trace_id_hex
    score = await span(backend, lambda found: (found.name, found.trace_id) == ("score", caller.trace_id_hex))
    assert (score.parent_span_id, score.links) == (span_id(caller), ())
    assert score.attributes["fraud.model.version"] == cluster.bundle.manifest.model_version


async def test_the_log_lines_of_an_alert_name_its_trace_payment_and_model(
    cluster: RunningCluster, client: ClusterClient
) -> None:
    event = new_context()
    payment = Person().pays_suspiciously(now_ms())
    origin = await client.send(payment, traceparent=event.traceparent())
    await client.alerts(payment.transaction_id)
    expected = {
        "event": "alert",
        "level": "info",
        "transaction_id": payment.transaction_id,
        "trace_id": event.trace_id_hex,
        "model_version": cluster.bundle.manifest.model_version,
    }
    for service in ("scorer", "stream-processor"):
        line = await log_line(cluster, service, payment.transaction_id)
        assert line.items() >= {**expected, "service": service}.items()
    assert (line["topic"], line["partition"], line["offset"]) == origin
