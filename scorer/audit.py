"""The record of what changed how payments are decided: who, why and what, on the audit topic and in the log."""

from collections.abc import Callable
from random import Random
from typing import Protocol

import structlog
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_POLICY, Change

from scorer.errors import PolicyError
from scorer.policy import Decider
from scorer.policy.differences import differences
from scorer.policy_file import LoadedPolicy
from scorer.publication import SCHEMA_VERSION, Record
from telemetry.kafka_headers import event_headers
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext

log = structlog.get_logger(__name__)


class RecordPublisher(Protocol):
    def offer_record(self, record: Record) -> bool:
        """Have it published soon; False where that will not be."""
        ...


class PolicyAudit:
    """`PolicyLog` of one scorer."""

    def __init__(
        self,
        publisher: RecordPublisher,
        metrics: Metrics,
        random: Random,
        *,
        topic: str,
        instance: str,
        unix_ms: Callable[[], int],
    ) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._random = random
        self._topic = topic
        self._instance = instance
        self._unix_ms = unix_ms

    def started(self, policy: LoadedPolicy) -> None:
        self._loaded(policy.decider, 1)
        self._record(Change(to_version=policy.decider.policy_version, content=policy.decider.content), _notes(policy))

    def taken(self, old: Decider, new: LoadedPolicy) -> None:
        decider = new.decider
        self._metrics.add("fraud.policy.changes")
        self._loaded(old, 0)
        self._loaded(decider, 1)
        detail = "; ".join(part for part in (_notes(new), *differences(old.content, decider.content)) if part)
        change = Change(
            from_version=old.policy_version, to_version=decider.policy_version, content=decider.content
        )  # fmt: skip
        self._record(change, detail)

    def refused(self, kept: Decider, error: PolicyError) -> None:
        self._metrics.add("fraud.policy.refusals")
        self._record(Change(from_version=kept.policy_version, refused=True), str(error))

    def _loaded(self, decider: Decider, value: int) -> None:
        self._metrics.set("fraud.policy.loaded", value, {"policy_version": decider.policy_version})

    def _record(self, change: Change, detail: str) -> None:
        change.subject = CHANGE_SUBJECT_POLICY
        change.changed_at_ms = self._unix_ms()
        change.scorer_instance = self._instance
        change.detail = detail
        if change.refused:
            log.error("a changed policy is refused, the old one stays", serving=change.from_version, error=detail)
        else:
            log.info("policy", from_version=change.from_version, to_version=change.to_version, detail=detail)
        headers = event_headers(
            message_type=Change.DESCRIPTOR.full_name,
            schema_version=SCHEMA_VERSION,
            context=TraceContext.new(self._random),
        )
        record = Record(self._topic, self._instance.encode(), change.SerializeToString(), headers)
        if not self._publisher.offer_record(record):
            log.error("a change of the policy is not on the audit topic", to_version=change.to_version)


def _notes(policy: LoadedPolicy) -> str:
    words = [f"by {policy.changed_by}" if policy.changed_by else "", policy.reason]
    return ": ".join(part for part in words if part)
