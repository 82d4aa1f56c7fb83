"""A scorer with a spool, and its broker away: every answer is published in the end, also where the scorer is killed."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fraud.v1.decision_pb2 import ACTION_DECLINE, ACTION_REVIEW, Decision
from fraud.v1.transaction_pb2 import Transaction

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from scorer.spool_format import read_segment
from tests.bundles import a_fraud, a_payment
from tests.contract.scorer.conftest import Served
from tests.otlp_receiver import OtlpReceiver
from tests.scorer_server import Caller, ScorerServer, published

ALERT_ACTIONS = (ACTION_REVIEW, ACTION_DECLINE)
BACK_S = 60.0  # a limit for what hangs
CALLERS = 4
TOLD_AT_START = 2  # changes, of policy and line-up, beside decisions


@dataclass(frozen=True, slots=True)
class Spooled:
    """What a test of this module works with."""

    broker: KafkaServer
    scorer: ScorerServer
    spool: Path
    decisions_topic: str
    alerts_topic: str

    def on_disk(self) -> set[str]:
        """Ids of the decisions in the spool."""
        names: set[str] = set()
        for path in self.spool.glob("*/*.spool"):
            with suppress(FileNotFoundError):  # published meanwhile
                records = read_segment(path.read_bytes()).records
                names |= {record.key.decode() for record in records if record.topic == self.decisions_topic}
        return names

    def published(self, topic: str, ids: Sequence[str]) -> dict[str, int]:
        """How often each id is in the topic, once these are all there."""
        found = published(self.broker.bootstrap, topic, ids, timeout_s=BACK_S)
        return {name: len(records) for name, records in found.items()}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One that tests kill."""
    server = KafkaServer(tmp_path_factory.mktemp("own_kafka"), port=free_port(), controller_port=free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def exported() -> Iterator[OtlpReceiver]:
    """Of the test's own scorer alone."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def spooled(
    tmp_path: Path,
    served: Served,
    folded_redis: str,
    broker: KafkaServer,
    exported: OtlpReceiver,
    topic_name: Callable[[str], str],
    request: pytest.FixtureRequest,
) -> Iterator[Spooled]:
    """A scorer that is not running yet; a parameter of the test is its FRAUD_SPOOL_BYTES."""
    broker.start()
    decisions, alerts = topic_name("decisions"), topic_name("alerts")
    others = {name: topic_name(name) for name in ("audit", "shadow-scores")}
    few = [TopicSpec(name) for name in (alerts, *others.values())]
    asyncio.run(ensure_topics(broker.bootstrap, [TopicSpec(decisions, partitions=3), *few]))
    environment = {
        **served.environment(folded_redis),
        **exported.environment(),
        "FRAUD_KAFKA_BOOTSTRAP": broker.bootstrap,
        "FRAUD_DECISIONS_TOPIC": decisions,
        "FRAUD_ALERTS_TOPIC": alerts,
        "FRAUD_AUDIT_TOPIC": others["audit"],
        "FRAUD_SHADOW_SCORES_TOPIC": others["shadow-scores"],
        "FRAUD_DRAIN_MS": "1000",
        "FRAUD_SPOOL_DIR": str(tmp_path / "spool"),
        "FRAUD_SPOOL_BYTES": str(getattr(request, "param", 1_000_000_000)),
    }
    scorer = ScorerServer(tmp_path, environment)
    try:
        yield Spooled(broker, scorer, tmp_path / "spool", decisions, alerts)
    finally:
        scorer.kill()


def some_payments(served: Served, count: int) -> list[Transaction]:
    """Every tenth is a fraud."""
    return [(a_payment if number % 10 else a_fraud)(served.world) for number in range(count)]


def scored(address: str, payments: Sequence[Transaction]) -> list[Decision]:
    with Caller(address) as caller, ThreadPoolExecutor(CALLERS) as callers:
        return [answer.decision for answer in callers.map(caller.score, payments)]


def ids(decisions: Sequence[Decision], *, of_alerts: bool = False) -> list[str]:
    return [each.transaction_id for each in decisions if not of_alerts or each.action in ALERT_ACTIONS]


def until(condition: Callable[[], bool], what: str) -> None:
    limit_s = time.monotonic() + BACK_S
    while not condition():
        assert time.monotonic() < limit_s, what
        time.sleep(0.01)


def test_what_is_answered_while_the_broker_is_away_is_published_once_it_is_back(
    served: Served, spooled: Spooled
) -> None:
    spooled.scorer.start()
    decisions = scored(spooled.scorer.address, some_payments(served, 200))
    spooled.broker.kill()
    decisions += scored(spooled.scorer.address, some_payments(served, 600))
    until(lambda: bool(spooled.on_disk()), "nothing is written")
    spooled.broker.start()
    decisions += scored(spooled.scorer.address, some_payments(served, 100))

    answered, alerts = ids(decisions), ids(decisions, of_alerts=True)
    assert not any(each.skipped_stages for each in decisions)
    assert len(alerts) >= len(decisions) / 20
    assert spooled.published(spooled.decisions_topic, answered).keys() == set(answered)
    assert spooled.published(spooled.alerts_topic, alerts).keys() == set(alerts)
    until(lambda: not spooled.on_disk(), "what is published stays on disk")


def test_a_scorer_that_begins_without_a_broker_and_is_killed_loses_no_answer(served: Served, spooled: Spooled) -> None:
    spooled.broker.kill()
    spooled.scorer.start()  # health says SERVING
    decisions = scored(spooled.scorer.address, some_payments(served, 500))
    answered, alerts = ids(decisions), ids(decisions, of_alerts=True)
    until(lambda: spooled.on_disk() >= set(answered), "answers are not written")
    spooled.scorer.kill()
    spooled.broker.start()

    spooled.scorer.start()

    assert spooled.published(spooled.decisions_topic, answered).keys() == set(answered)
    assert spooled.published(spooled.alerts_topic, alerts).keys() == set(alerts)


def test_a_scorer_that_is_told_to_stop_leaves_what_it_cannot_publish_to_the_next(
    served: Served, spooled: Spooled
) -> None:
    spooled.scorer.start()
    spooled.broker.kill()
    decisions = scored(spooled.scorer.address, some_payments(served, 50))
    spooled.scorer.stop()
    assert spooled.on_disk() == set(ids(decisions))
    spooled.broker.start()

    spooled.scorer.start()

    assert spooled.published(spooled.decisions_topic, ids(decisions)).keys() == set(ids(decisions))


@pytest.mark.parametrize("spooled", [60_000], indirect=True)
def test_a_full_spool_is_named_in_answers_and_counted(served: Served, spooled: Spooled, exported: OtlpReceiver) -> None:
    spooled.broker.kill()
    spooled.scorer.start()
    decisions: list[Decision] = []
    with Caller(spooled.scorer.address) as caller:
        while len([each for each in decisions if each.skipped_stages]) < 20:
            assert len(decisions) < 1_000
            decisions.append(caller.score(a_payment(served.world)).decision)
    spooled.broker.start()

    kept = [each for each in decisions if not each.skipped_stages]
    assert {name for each in decisions for name in each.skipped_stages} == {"publishing"}
    assert spooled.published(spooled.decisions_topic, ids(kept)).keys() == set(ids(kept))
    refused = len(decisions) - len(kept)
    until(lambda: count(exported, "fraud.publish.failures", "spool_full") == refused, "refusals are not counted")
    until(lambda: not spooled.on_disk(), "what is published stays on disk")
    written = count(exported, "fraud.spool.written")
    assert 0 < written <= len(kept) + TOLD_AT_START
    until(lambda: count(exported, "fraud.spool.recovered") == written, "what is recovered is not counted")


def count(exported: OtlpReceiver, name: str, *labels: str) -> int:
    """The newest value of the counter that has arrived."""
    points = [point for metric in exported.metrics if metric.name == name for point in metric.sum.data_points]
    wanted = [
        point.as_int
        for point in points
        if set(labels) <= {attribute.value.string_value for attribute in point.attributes}
    ]
    return max(wanted, default=0)
