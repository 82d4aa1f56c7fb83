from random import Random

from fraud.v1.audit_pb2 import CHANGE_SUBJECT_POLICY, Change
from opentelemetry.sdk.resources import Resource

from scorer.audit import PolicyAudit
from scorer.change_records import ChangeRecords
from scorer.errors import PolicyError
from scorer.policy.decider import version_of
from scorer.policy_file import LoadedPolicy
from scorer.publication import Record
from telemetry.kafka_headers import read_header
from telemetry.metrics import Metrics
from tests.unit.scorer.policy.policies import a_list, decider, ids


class Outbox:
    """`RecordPublisher`."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def offer_record(self, record: Record) -> bool:
        self.records.append(record)
        return True

    @property
    def last(self) -> Change:
        return Change.FromString(self.records[-1].value)


def audit_of(outbox: Outbox) -> PolicyAudit:
    records = ChangeRecords(outbox, Random(1), topic="audit", instance="scorer-1", unix_ms=lambda: 1_700)
    return PolicyAudit(records, Metrics(Resource({}), []))


def test_the_start_is_a_change_from_nothing() -> None:
    outbox, policy = Outbox(), decider()
    audit_of(outbox).started(LoadedPolicy(policy))
    expected = Change(
        subject=CHANGE_SUBJECT_POLICY,
        changed_at_ms=1_700,
        scorer_instance="scorer-1",
        to_version=policy.policy_version,
        content=policy.content,
    )
    assert outbox.last == expected
    [record] = outbox.records
    assert (record.topic, record.key) == ("audit", b"scorer-1")
    assert read_header(record.headers, "fraud-type") == b"fraud.v1.Change"


def test_a_change_says_who_made_it_why_and_what_differs() -> None:
    outbox, old = Outbox(), decider()
    new = decider({"stolen": ids("card-1")}, lists=[a_list(at_least="DECLINE")], amount_when_missing_minor=7)
    audit_of(outbox).taken(old, LoadedPolicy(new, "Ada", "a raid"))
    change = outbox.last
    assert (change.from_version, change.to_version) == (old.policy_version, new.policy_version)
    assert change.detail.startswith("by Ada: a raid; amount_when_missing_minor: 5000 → 7; lists.stolen: nothing → ")
    assert version_of(change.content) == change.to_version
    assert not change.refused
    assert b"card-1" not in outbox.records[-1].value


def test_a_refusal_says_what_stays_and_why() -> None:
    outbox, kept = Outbox(), decider()
    audit_of(outbox).refused(kept, PolicyError("policy.toml: mode: is unknown here"))
    change = outbox.last
    assert change.refused
    assert (change.from_version, change.to_version, change.content) == (kept.policy_version, "", b"")
    assert change.detail == "policy.toml: mode: is unknown here"
