"""What both databases keep, under one suite: SQLite in a file, and a PostgreSQL server."""

import threading

import pytest
from fraud.v1.label_pb2 import LABEL_SOURCE_ANALYST, LABEL_SOURCE_CHARGEBACK

from decision_index.batch import Advance, Batch, Partition, Rows, Stored, Written
from decision_index.database import Database
from decision_index.errors import IndexUnavailableError, PositionMovedError, UnknownDecisionError
from decision_index.lookup import IndexReader
from decision_index.writer import IndexWriter
from tests.contract.decision_index.conftest import KEY
from tests.index_rows import SOURCE, TOPIC_ID, batch, decision_row

CARD = -(2**63) + 5  # as a hash above 2**63 comes out
CUSTOMER, MERCHANT = 0, 2  # places among the entities


def label(transaction_id: str, label_id: str, known_at_ms: int, *, is_fraud: bool) -> dict[str, object]:
    return {
        "transaction_id": transaction_id,
        "label_id": label_id,
        "known_at_ms": known_at_ms,
        "is_fraud": is_fraud,
        "source": LABEL_SOURCE_ANALYST if is_fraud else LABEL_SOURCE_CHARGEBACK,
    }


def shadow(transaction_id: str) -> dict[str, object]:
    return {
        "transaction_id": transaction_id,
        "model_version": "c1",
        "model_name": "challenger",
        "decided_at_ms": 1,
        "fraud_probability": 0.75,
        "action": 3,
    }


def known_ids(index: IndexReader, *ids: str) -> list[str]:
    found = []
    for each in ids:
        try:
            index.find(each)
        except UnknownDecisionError:
            continue
        found.append(each)
    return found


def test_a_decision_is_found_with_what_came_of_it(writer: IndexWriter, index: IndexReader) -> None:
    row = decision_row("t1")
    written = writer.write(
        batch(
            row,
            alerts=[{"transaction_id": "t1", "published_at_ms": 5}],
            labels=[label("t1", "l2", 20, is_fraud=False), label("t1", "l1", 10, is_fraud=True)],
            shadow_scores=[shadow("t1")],
        )
    )

    found = index.find("t1")
    assert written == Written(decisions=1, copies=0, erased=0)
    assert found.message == row["message"]
    assert found.alerted
    assert [(each.known_at_ms, each.is_fraud) for each in found.labels] == [(10, True), (20, False)]
    assert [(each.model_version, each.fraud_probability) for each in found.shadow_scores] == [("c1", 0.75)]


def test_an_unknown_id_is_told_with_its_possible_causes(index: IndexReader) -> None:
    with pytest.raises(UnknownDecisionError, match="never decided, is not indexed yet"):
        index.find("t1")


def test_rows_may_come_in_any_order_of_topics(writer: IndexWriter, index: IndexReader) -> None:
    alerts = Partition("alerts", 0)
    writer.write(batch(source=alerts, alerts=[{"transaction_id": "t1", "published_at_ms": 5}]))
    writer.write(batch(decision_row("t1"), decision_row("t2")))

    assert (index.find("t1").alerted, index.find("t2").alerted) == (True, False)


def test_the_first_decision_of_a_transaction_stays_and_copies_are_counted(
    writer: IndexWriter, index: IndexReader
) -> None:
    first, second = decision_row("t1", action=1), decision_row("t1", action=4, message=b"another")

    assert writer.write(batch(first, second, decision_row("t2"))) == Written(decisions=2, copies=1, erased=0)
    assert writer.write(batch(second, stored=1, upto=2)) == Written(decisions=0, copies=1, erased=0)
    assert index.find("t1").message == first["message"]


def test_what_was_indexed_from_a_position_is_not_indexed_again(writer: IndexWriter, index: IndexReader) -> None:
    writer.write(batch(decision_row("t1"), upto=10))

    for stored in (None, 9, 11):
        with pytest.raises(PositionMovedError, match="decisions:0"):
            writer.write(batch(decision_row("t2"), stored=stored, upto=20))
    assert known_ids(index, "t1", "t2") == ["t1"]
    assert writer.positions() == {SOURCE: Stored(10, TOPIC_ID)}

    writer.write(batch(decision_row("t2"), stored=10, upto=20))
    assert writer.positions() == {SOURCE: Stored(20, TOPIC_ID)}


def test_a_position_in_a_topic_made_anew_is_another_one(writer: IndexWriter, index: IndexReader) -> None:
    writer.write(batch(decision_row("t1"), upto=10))
    old, new = Stored(10, TOPIC_ID), Stored(10, "another")
    writer.write(Batch(Rows(decisions=[decision_row("t2")]), {SOURCE: Advance(old, new.next_offset, new.topic_id)}))

    with pytest.raises(PositionMovedError, match="decisions:0"):  # by whoever still reads the one that is gone
        writer.write(batch(decision_row("t3"), stored=10, upto=20))
    assert known_ids(index, "t1", "t2", "t3") == ["t1", "t2"]
    assert writer.positions() == {SOURCE: new}


def test_of_writers_that_race_for_a_position_one_wins_and_the_others_write_nothing(
    url: str, writer: IndexWriter, index: IndexReader
) -> None:
    databases = [Database(url, create=True) for _ in range(4)]
    rivals = [IndexWriter(database, key_fingerprint=KEY) for database in databases]
    together = threading.Barrier(len(rivals))
    outcomes: dict[str, str] = {}

    def write(name: str, rival: IndexWriter) -> None:
        together.wait()
        try:
            rival.write(batch(decision_row(name), upto=len(rivals)))
            outcomes[name] = "won"
        except (PositionMovedError, IndexUnavailableError) as error:
            outcomes[name] = type(error).__name__

    threads = [threading.Thread(target=write, args=(f"t{n}", rival)) for n, rival in enumerate(rivals)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()

    winners = [name for name, outcome in outcomes.items() if outcome == "won"]
    assert len(outcomes) == len(rivals)
    assert len(winners) == 1
    assert known_ids(index, *outcomes) == winners


def test_a_row_that_cannot_be_written_takes_the_whole_batch_back(writer: IndexWriter, index: IndexReader) -> None:
    broken = decision_row("t2", message=None)

    with pytest.raises(Exception, match=r"(?i)not.null"):
        writer.write(batch(decision_row("t1"), broken))
    assert known_ids(index, "t1", "t2") == []
    assert writer.positions() == {}


def test_the_latest_others_of_a_card_come_newest_first_with_what_is_known(
    writer: IndexWriter, index: IndexReader
) -> None:
    of_card = [decision_row(f"t{n}", decided_at_ms=100 + n, card_hash=CARD) for n in range(5)]
    writer.write(
        batch(
            *of_card,
            decision_row("other", decided_at_ms=200, card_hash=CARD + 1),
            decision_row("without", decided_at_ms=200),
            labels=[label("t3", "l1", 10, is_fraud=True), label("t3", "l2", 20, is_fraud=False)],
            alerts=[{"transaction_id": "t4", "published_at_ms": 5}],
        )
    )

    latest = index.others_of_same_card("t2", limit=3)
    assert [(each.transaction_id, each.alerted, each.is_fraud) for each in latest] == [
        ("t4", True, None),
        ("t3", False, False),
        ("t1", False, None),
    ]
    assert index.others_of_same_card("without", limit=3) == []


def test_policies_are_kept_by_version(writer: IndexWriter, index: IndexReader) -> None:
    policy = {"policy_version": "p1", "content": b"{}", "changed_at_ms": 1}
    writer.write(batch(policies=[policy, policy | {"content": b"later"}]))

    assert index.policy("p1") == b"{}"
    assert index.policy("p2") is None


def test_the_decisions_of_whoever_is_forgotten_go_and_stay_away(writer: IndexWriter, index: IndexReader) -> None:
    before = [decision_row(f"t{n}", decided_at_ms=n, customer_hash=7) for n in (10, 20)]
    after, other = decision_row("t30", decided_at_ms=30, customer_hash=7), decision_row("other", customer_hash=8)
    forget = {"entity": CUSTOMER, "entity_hash": 7, "until_ms": 20}
    writer.write(
        batch(
            *before,
            after,
            other,
            labels=[label("t10", "l1", 10, is_fraud=True), label("other", "l2", 10, is_fraud=True)],
            alerts=[{"transaction_id": "t10", "published_at_ms": 5}],
            shadow_scores=[shadow("t10"), shadow("other")],
        )
    )

    erased = writer.write(batch(erasures=[forget], source=Partition("erasures", 0)))
    assert erased == Written(decisions=0, copies=0, erased=2)
    assert known_ids(index, "t10", "t20", "t30", "other") == ["t30", "other"]

    # The log read again from its start, and a late copy: neither brings them back.
    again = writer.write(batch(*before, after, stored=1, upto=2))
    assert again == Written(decisions=0, copies=1, erased=2)
    assert known_ids(index, "t10", "t20", "t30", "other") == ["t30", "other"]

    writer.write(batch(decision_row("t10", decided_at_ms=50, customer_hash=9), stored=2, upto=3))
    found = index.find("t10")
    assert (found.alerted, list(found.labels), list(found.shadow_scores)) == (False, [], [])


def test_an_earlier_erasure_read_later_takes_nothing_back(writer: IndexWriter, index: IndexReader) -> None:
    erasures = Partition("erasures", 0)
    forget = {"entity": MERCHANT, "entity_hash": CARD}
    writer.write(batch(erasures=[forget | {"until_ms": 20}, forget | {"until_ms": 10}], source=erasures))

    written = writer.write(
        batch(
            decision_row("t1", decided_at_ms=15, merchant_hash=CARD),
            decision_row("t2", decided_at_ms=21, merchant_hash=CARD),
        )
    )
    assert written == Written(decisions=1, copies=0, erased=1)
    assert known_ids(index, "t1", "t2") == ["t2"]


def test_what_is_old_is_deleted_in_steps(writer: IndexWriter, index: IndexReader) -> None:
    ids = [f"t{n}" for n in range(10)]
    writer.write(
        batch(
            *(decision_row(each, decided_at_ms=n) for n, each in enumerate(ids)),
            alerts=[{"transaction_id": each, "published_at_ms": n} for n, each in enumerate(ids)],
            labels=[label(each, "l", n, is_fraud=True) for n, each in enumerate(ids)],
        )
    )

    assert [writer.delete_older(7, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    assert known_ids(index, *ids) == ["t7", "t8", "t9"]
    assert index.find("t7").alerted
    assert len(index.find("t7").labels) == 1
