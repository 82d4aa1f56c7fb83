from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_LINEUP, CHANGE_SUBJECT_POLICY, Change
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource

from scorer.audit import PolicyAudit
from scorer.bundle import Bundle, load_bundle
from scorer.bundle_writer import NewBundle
from scorer.change_records import ChangeRecords
from scorer.errors import GoldenRowError
from scorer.lineup import Lineup, LineupEntry
from scorer.lineup_audit import LineupAudit
from scorer.lineup_watch import Refused, Taken
from scorer.live_models import LiveModels
from scorer.policy import Decider
from scorer.publication import Record
from telemetry.metrics import Metrics

A, B = "a" * 12, "b" * 12


class Outbox:
    """`RecordPublisher`."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def offer_record(self, record: Record) -> bool:
        self.records.append(record)
        return True

    @property
    def changes(self) -> list[Change]:
        return [Change.FromString(record.value) for record in self.records]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def audit(outbox: Outbox, reader: InMemoryMetricReader) -> LineupAudit:
    metrics = Metrics(Resource({}), [reader])
    records = ChangeRecords(outbox, Random(1), topic="audit", instance="scorer-1", unix_ms=lambda: 1_700)
    return LineupAudit(records, PolicyAudit(records, metrics), metrics)


@pytest.fixture
def bundle(bundle_path: Path) -> Bundle:
    return load_bundle(bundle_path)


def taken(bundle: Bundle, lineup: Lineup) -> Taken:
    def named(version: str) -> Bundle:
        return replace(bundle, manifest=bundle.manifest.model_copy(update={"model_version": version}))

    entry = LineupEntry(
        number=1, changed_at_ms=1, changed_by="Ada", reason="better", words=f"promote {lineup.champion}", lineup=lineup
    )
    return Taken(entry, LiveModels(lineup, named(lineup.champion), None, tuple(map(named, lineup.shadows))))


def loaded(reader: InMemoryMetricReader) -> dict[tuple[object, object], int | float]:
    """By role and model_version."""
    data = reader.get_metrics_data()
    assert data is not None
    metrics = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    [gauge] = [metric for metric in metrics if metric.name == "fraud.model.loaded"]
    found: dict[tuple[object, object], int | float] = {}
    for point in gauge.data.data_points:
        assert isinstance(point, NumberDataPoint)
        assert point.attributes is not None
        found[point.attributes["role"], point.attributes["model_version"]] = point.value
    return found


def test_a_change_says_what_who_and_why_and_metrics_follow(
    audit: LineupAudit, outbox: Outbox, reader: InMemoryMetricReader, bundle: Bundle
) -> None:
    first, second = taken(bundle, Lineup(champion=A)), taken(bundle, Lineup(champion=B, shadows=(A,)))
    old, new = first.live.serving(), second.live.serving()
    audit.started(old, first)
    audit.taken(old, new, second)

    start, change = outbox.changes
    assert (start.subject, start.from_version, start.to_version) == (
        CHANGE_SUBJECT_LINEUP,
        "",
        first.entry.lineup.lineup_version,
    )
    assert (change.from_version, change.to_version) == (start.to_version, second.entry.lineup.lineup_version)
    assert change.detail == f"promote {B}: by Ada: better"
    assert Lineup.model_validate_json(change.content) == second.entry.lineup
    assert loaded(reader) == {("champion", A): 0, ("champion", B): 1, ("shadow", A): 1}


def test_a_refusal_names_the_fault_and_keeps_the_version(audit: LineupAudit, outbox: Outbox, bundle: Bundle) -> None:
    first, second = taken(bundle, Lineup(champion=A)), taken(bundle, Lineup(champion=B))
    serving = first.live.serving()
    audit.started(serving, first)
    audit.refused(serving, serving, Refused(second.entry, GoldenRowError(f"{B}: row 3"), None))

    refused = outbox.changes[-1]
    assert refused.refused
    assert refused.detail == f"GoldenRowError: {B}: row 3"
    assert (refused.from_version, refused.to_version) == (
        first.entry.lineup.lineup_version,
        second.entry.lineup.lineup_version,
    )


def test_a_policy_that_comes_with_its_model_is_a_change_of_its_own(
    audit: LineupAudit, outbox: Outbox, bundle: Bundle, new_bundle: NewBundle
) -> None:
    first, second = taken(bundle, Lineup(champion=A)), taken(bundle, Lineup(champion=B))
    old = first.live.serving()
    decider = Decider(new_bundle.policy.model_copy(update={"amount_when_missing_minor": 1}))
    audit.started(old, first)
    audit.taken(old, replace(second.live.serving(), decider=decider), second)

    _, of_policy, of_lineup = outbox.changes
    assert (of_policy.subject, of_lineup.subject) == (CHANGE_SUBJECT_POLICY, CHANGE_SUBJECT_LINEUP)
    assert (of_policy.from_version, of_policy.to_version) == (old.decider.policy_version, decider.policy_version)
    assert of_policy.content == decider.content
