"""The record of what changed how payments are decided: who, why and what, on the audit topic and in the log."""

import structlog
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_POLICY, Change

from scorer.change_records import ChangeRecords
from scorer.errors import PolicyError
from scorer.policy import Decider
from scorer.policy.differences import differences
from scorer.policy_file import LoadedPolicy
from telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class PolicyAudit:
    """`PolicyLog` of one scorer."""

    def __init__(self, records: ChangeRecords, metrics: Metrics) -> None:
        self._records = records
        self._metrics = metrics

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
        if change.refused:
            log.error("a changed policy is refused, the old one stays", serving=change.from_version, error=detail)
        else:
            log.info("policy", from_version=change.from_version, to_version=change.to_version, detail=detail)
        self._records.add(change, CHANGE_SUBJECT_POLICY, detail=detail)


def _notes(policy: LoadedPolicy) -> str:
    words = [f"by {policy.changed_by}" if policy.changed_by else "", policy.reason]
    return ": ".join(part for part in words if part)
