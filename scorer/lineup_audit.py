"""The record of who is champion, canary and shadow: on the audit topic, in the log, and in metrics."""

from collections.abc import Iterator

import structlog
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_LINEUP, Change

from scorer.change_records import ChangeRecords
from scorer.lineup import LineupEntry
from scorer.lineup_watch import Refused, Taken
from scorer.policy import Decider
from scorer.policy_file import LoadedPolicy
from scorer.policy_watch import PolicyLog
from scorer.serving import ServedModel, Serving
from telemetry.metrics import Labels, Metrics

log = structlog.get_logger(__name__)


class LineupAudit:
    """`LineupLog` of one scorer."""

    def __init__(self, records: ChangeRecords, policies: PolicyLog, metrics: Metrics) -> None:
        """`policies`: hears of a policy that came with its model."""
        self._records = records
        self._policies = policies
        self._metrics = metrics
        self._version = ""  # of the line-up that is served; empty at the start

    def started(self, serving: Serving, found: Taken | Refused) -> None:
        self._gauge(serving, 1)
        self._said(found)

    def taken(self, old: Serving, new: Serving, taken: Taken) -> None:
        self._metrics.add("fraud.lineup.changes")
        self._replaced(old, new, taken.entry)
        self._said(taken)

    def refused(self, old: Serving, new: Serving, refused: Refused) -> None:
        if new is not old:
            self._replaced(old, new, refused.entry)
        self._said(refused)

    def _said(self, found: Taken | Refused) -> None:
        lineup = None if found.entry is None else found.entry.lineup
        change = Change(from_version=self._version, to_version="" if lineup is None else lineup.lineup_version)
        if isinstance(found, Refused):
            kind = type(found.error).__name__
            self._metrics.add("fraud.lineup.refusals", 1, {"cause": kind})
            log.error("a line-up is refused", kind=kind, error=str(found.error), lineup=lineup and lineup.model_dump())
            change.refused = True
            detail = f"{kind}: {found.error}"
            if found.live is not None:
                self._version = found.live.lineup.lineup_version
                detail += f"; served alone: {found.live.lineup.champion}"
        else:
            entry = found.entry
            detail = _notes(entry)
            log.info(
                "line-up",
                lineup_version=change.to_version,
                words=entry.words,
                by=entry.changed_by,
                **entry.lineup.model_dump(),
            )
            change.content = entry.lineup.content
            self._version = change.to_version
        self._records.add(change, CHANGE_SUBJECT_LINEUP, detail=detail)

    def _replaced(self, old: Serving, new: Serving, entry: LineupEntry | None) -> None:
        self._gauge(old, 0)
        self._gauge(new, 1)
        if _differ(old.decider, new.decider):
            by, reason = ("", "") if entry is None else (entry.changed_by, entry.words)
            self._policies.taken(old.decider, LoadedPolicy(new.decider, by, reason))

    def _gauge(self, serving: Serving, value: int) -> None:
        for role, model in _roles(serving):
            labels: Labels = {"role": role, "model_name": model.model_name, "model_version": model.model_version}
            self._metrics.set("fraud.model.loaded", value, labels)


def _roles(serving: Serving) -> Iterator[tuple[str, ServedModel]]:
    if serving.has_model:
        yield "champion", serving.models.full
    if serving.canary is not None:
        yield "canary", serving.canary.models.full
    for challenger in serving.challengers:
        yield "shadow", challenger


def _differ(old: Decider, new: Decider) -> bool:
    return old.policy_version != new.policy_version


def _notes(entry: LineupEntry) -> str:
    words = [entry.words, f"by {entry.changed_by}" if entry.changed_by else "", entry.reason]
    return ": ".join(part for part in words if part)
