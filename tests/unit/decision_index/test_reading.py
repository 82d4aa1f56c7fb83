"""Records of the log become rows, or are refused with their reason: none is lost on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_LINEUP, CHANGE_SUBJECT_POLICY, Change
from fraud.v1.dead_letter_pb2 import (
    REJECTION_CARD_NUMBER,
    REJECTION_INVALID_ID,
    REJECTION_MALFORMED,
    REJECTION_MISSING_ID,
    Rejection,
)
from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.label_pb2 import LABEL_SOURCE_ANALYST, Label
from fraud.v1.shadow_pb2 import ShadowScore

from decision_index.batch import Advance, Partition, Position, Refused, Stored
from decision_index.reading import Reader, Topics
from decision_index.tables import DECISIONS
from feature_service.identity import hash_token
from feature_service.records import ENTITIES
from scorer.policy import Tier
from tests.decided import Scene
from tests.index_rows import TOPIC_ID
from tests.people import Person, label
from tests.unit.scorer.scoring_parts import NOW_MS

TOPICS = Topics("decisions", "alerts", audit="audit", shadow_scores="shadows", labels="labels", erasures="erasures")
CARD_NUMBER = "4111111111111111"


@dataclass(frozen=True, slots=True)
class Fetched:
    offset: int
    value: bytes | None
    timestamp: int = 1_234
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


@pytest.fixture
def reader(scene: Scene) -> Reader:
    return Reader(TOPICS, scene.contract, scene.rates, scene.id_key)


def start(topic: str, *values: bytes | None) -> tuple[Mapping[Partition, list[Fetched]], Mapping[Partition, Position]]:
    partition = Partition(topic, 0)
    records = [Fetched(7 + index, value) for index, value in enumerate(values)]
    return {partition: records}, {partition: Position(None, 7, TOPIC_ID)}


def refusals(reader: Reader, topic: str, *values: bytes | None) -> list[tuple[int, int]]:
    batch = reader.read(*start(topic, *values))
    assert batch.advances == {Partition(topic, 0): Advance(None, 7 + len(values), TOPIC_ID)}
    return [(each.offset, each.rejection) for each in batch.refused]


async def test_a_decision_becomes_a_row_with_hashes_in_place_of_ids(scene: Scene, reader: Reader) -> None:
    person = Person()
    payment = person.pays(NOW_MS)
    message = await scene.decide(payment)
    [row] = reader.read(*start("decisions", message)).rows.decisions
    decision = Decision.FromString(message)

    assert row.keys() == set(DECISIONS.columns.keys())
    assert row["message"] == message
    for name in ("transaction_id", "decided_at_ms", "model_version", "policy_version", "fraud_probability", "tier"):
        assert row[name] == getattr(decision, name)
    assert row["policy_action"] == row["action"] == decision.action
    ids = {"customer": person.customer, "card": person.card, "merchant": person.merchant, "terminal": person.terminal}
    for entity in ENTITIES:
        expected = hash_token(ids[entity], scene.id_key) if entity in ids else 0
        assert row[f"{entity}_hash"] == (int(np.uint64(expected).astype(np.int64)) or None)
    in_columns = repr({name: value for name, value in row.items() if name != "message"})
    assert not [token for token in ids.values() if token in in_columns]


async def test_a_decision_that_is_none_is_refused_beside_those_that_are(scene: Scene, reader: Reader) -> None:
    message = await scene.decide(Person().pays(NOW_MS), Tier.FALLBACK_RULES)

    def changed(**fields: object) -> bytes:
        decision = Decision.FromString(message)
        for name, value in fields.items():
            setattr(decision, name, value)
        return decision.SerializeToString()

    card = Decision.FromString(message)
    card.transaction.card_id = CARD_NUMBER
    values = {
        b"\xff": REJECTION_MALFORMED,
        b"": REJECTION_MISSING_ID,
        changed(transaction_id="other"): REJECTION_MISSING_ID,
        changed(fraud_probability=float("nan")): REJECTION_MALFORMED,
        changed(fraud_probability=1.5): REJECTION_MALFORMED,
        changed(model_version="\0"): REJECTION_MALFORMED,
        changed(policy_version="p" * 201): REJECTION_MALFORMED,
        card.SerializeToString(): REJECTION_CARD_NUMBER,
    }
    batch = reader.read(*start("decisions", message, *values, message))

    assert len(batch.rows.decisions) == 2
    assert {each.offset: each.rejection for each in batch.refused} == {
        8 + index: rejection for index, rejection in enumerate(values.values())
    }


def test_alerts_labels_and_shadow_scores(reader: Reader) -> None:
    payment = Person().pays(NOW_MS)
    known = label(payment, is_fraud=True, known_at_ms=NOW_MS + 5, source=LABEL_SOURCE_ANALYST)
    shadow = ShadowScore(transaction_id="t1", decided_at_ms=3, model_name="c", model_version="v", fraud_probability=0.5)

    alerts = reader.read(*start("alerts", Alert(alert_id="t1").SerializeToString())).rows.alerts
    labels = reader.read(*start("labels", known.SerializeToString())).rows.labels
    shadows = reader.read(*start("shadows", shadow.SerializeToString())).rows.shadow_scores

    assert alerts == [{"transaction_id": "t1", "published_at_ms": 1_234}]
    [row] = labels
    assert (row["transaction_id"], row["known_at_ms"], row["is_fraud"]) == (payment.transaction_id, NOW_MS + 5, True)
    [row] = shadows
    assert (row["transaction_id"], row["model_version"], row["fraud_probability"]) == ("t1", "v", 0.5)


@pytest.mark.parametrize(
    ("topic", "value", "rejection"),
    [
        ("alerts", b"\xff", REJECTION_MALFORMED),
        ("alerts", Alert().SerializeToString(), REJECTION_MISSING_ID),
        ("alerts", Alert(alert_id="a b").SerializeToString(), REJECTION_INVALID_ID),
        ("labels", Label(transaction_id="t1").SerializeToString(), REJECTION_MISSING_ID),
        ("labels", Label(transaction_id="t1", label_id="l" * 129).SerializeToString(), REJECTION_INVALID_ID),
        ("shadows", ShadowScore().SerializeToString(), REJECTION_MISSING_ID),
        ("shadows", ShadowScore(transaction_id="t", fraud_probability=2).SerializeToString(), REJECTION_MALFORMED),
        ("audit", b"\xff", REJECTION_MALFORMED),
        ("erasures", b"", REJECTION_MALFORMED),
    ],
)
def test_others_that_are_none_are_refused(
    reader: Reader, topic: str, value: bytes, rejection: Rejection.ValueType
) -> None:
    assert refusals(reader, topic, value) == [(7, rejection)]


def test_only_policies_that_came_into_force_are_kept(reader: Reader) -> None:
    def change(**fields: object) -> bytes:
        change = Change(subject=CHANGE_SUBJECT_POLICY, to_version="p1", content=b"{}")
        for name, value in fields.items():
            setattr(change, name, value)
        return change.SerializeToString()

    batch = reader.read(
        *start("audit", change(), change(refused=True), change(subject=CHANGE_SUBJECT_LINEUP), change(content=b""))
    )

    assert [(row["policy_version"], row["content"]) for row in batch.rows.policies] == [("p1", b"{}")]
    assert not batch.refused


def test_erasures_are_those_of_the_index_s_key(scene: Scene, reader: Reader) -> None:
    fingerprint = scene.id_key.fingerprint
    partition = Partition("erasures", 0)
    keys = [f"{fingerprint}:card:{2**63 + 5:016x}", "ffffffff:card:0000000000000001", f"{fingerprint}:bank:1", "x"]
    records = [Fetched(n, b"", key=key.encode()) for n, key in enumerate(keys)]
    batch = reader.read({partition: records}, {partition: Position(None, 0, TOPIC_ID)})

    assert batch.rows.erasures == [{"entity": ENTITIES.index("card"), "entity_hash": -(2**63) + 5, "until_ms": 1_234}]
    assert batch.refused == [Refused(partition, n, REJECTION_MALFORMED) for n in (2, 3)]


def test_only_what_lies_behind_a_position_of_one_s_own_is_read(reader: Reader) -> None:
    own, foreign = Partition("alerts", 0), Partition("alerts", 1)
    records = [Fetched(n, Alert(alert_id=f"t{n}").SerializeToString()) for n in (3, 5, 8)]
    batch = reader.read({own: records, foreign: records}, {own: Position(Stored(5, TOPIC_ID), 5, TOPIC_ID)})

    assert [row["transaction_id"] for row in batch.rows.alerts] == ["t5", "t8"]
    assert batch.advances == {own: Advance(Stored(5, TOPIC_ID), 9, TOPIC_ID)}
    assert reader.read({own: records[:1]}, {own: Position(Stored(5, TOPIC_ID), 5, TOPIC_ID)}).advances == {}
