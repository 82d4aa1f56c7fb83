"""Kafka: reachable, with all topics as the services need them, and a group of stream processors that keeps up."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from fraudctl.doctor.deployment import Deployment
from fraudctl.doctor.finding import Finding, ok, warning, wrong
from stream_processor.errors import StreamProcessorError, TopicMissingError, UnsafeTopicError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.topic_ids import TopicInfo, check_topic, describe_topics, kafka_client

_SUBJECT: Final = "Kafka"
_LAG: Final = 10_000  # records: seconds of a worker's work


class _Refusals(logging.Handler):
    """Why brokers could not be reached: aiokafka's exceptions do not say, it logs each cause and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: dict[str, None] = {}  # a set in order

    def emit(self, record: logging.LogRecord) -> None:
        self.told[record.getMessage()] = None


async def check_kafka(deployment: Deployment) -> list[Finding]:
    connection = deployment.kafka.connection()
    client_log, refusals = logging.getLogger("aiokafka"), _Refusals()
    client_log.addHandler(refusals)
    try:
        return await _findings(connection, deployment)
    except (KafkaError, StreamProcessorError, OSError) as error:
        remedy = "start it, or mend FRAUD_KAFKA_*: decisions wait in the scorers' spools meanwhile"
        cause = "; ".join(refusals.told) or error
        return [wrong(_SUBJECT, f"cannot be asked at {deployment.kafka.bootstrap}: {cause}", remedy)]
    finally:
        client_log.removeHandler(refusals)


async def _findings(connection: KafkaConnection, deployment: Deployment) -> list[Finding]:
    async with kafka_client(connection) as client:
        brokers = len(client.cluster.brokers())
        findings = [ok(_SUBJECT, f"{brokers} broker{'s' if brokers > 1 else ''} at {deployment.kafka.bootstrap}")]
        for name in _topics(deployment):
            try:
                topic = (await describe_topics(client, [name]))[name]
            except TopicMissingError as error:
                findings.append(wrong(f"topic {name}", str(error).partition(name)[2].strip(), "make it"))
            else:
                findings.append(_check(name, topic, deployment))
    return [*findings, *await _check_group(connection.client_arguments(), deployment)]


def _topics(deployment: Deployment) -> list[str]:
    stream, scorer = deployment.stream, deployment.scorer
    return [
        stream.transactions_topic,
        stream.labels_topic,
        stream.dead_letters_topic,
        stream.erasures_topic,
        scorer.decisions_topic,
        scorer.alerts_topic,
        scorer.audit_topic,
        scorer.shadow_scores_topic,
    ]


def _check(name: str, topic: TopicInfo, deployment: Deployment) -> Finding:
    subject, stream = f"topic {name}", deployment.stream
    retention_ms = int(topic.configuration["retention.ms"])
    if name in (stream.transactions_topic, stream.labels_topic):
        try:
            check_topic(name, topic)
        except UnsafeTopicError as error:
            return wrong(
                subject, str(error).removeprefix(f"{subject}: "), "mend it: workers do not start on it as it is"
            )
        if 0 <= retention_ms < deployment.contract.retention_ms:
            return warning(
                subject,
                f"keeps records for {retention_ms / 86_400_000:.1f} days, less than histories are read for",
                "raise retention.ms, or keep what backfills are made from in files",
            )
    if name == stream.erasures_topic and (retention_ms >= 0 or topic.configuration["cleanup.policy"] != "delete"):
        return wrong(
            subject,
            "forgets who was forgotten",
            "set cleanup.policy=delete and retention.ms=-1: a restore would bring them back",
        )
    kept = "for ever" if retention_ms < 0 else f"for {retention_ms / 86_400_000:.1f} days"
    return ok(subject, f"{topic.partitions} partition{'s' if topic.partitions > 1 else ''}, kept {kept}")


async def _check_group(client_arguments: Mapping[str, object], deployment: Deployment) -> list[Finding]:
    group = deployment.stream.consumer_group
    subject = f"group {group}"
    admin: Any = AIOKafkaAdminClient(**client_arguments)
    consumer: Any = AIOKafkaConsumer(**client_arguments)
    try:
        await admin.start()
        await consumer.start()
        [response] = await admin.describe_consumer_groups([group])
        _, _, state, _, _, members, *_ = response.groups[0]
        committed = await admin.list_consumer_group_offsets(group)
        ends = await consumer.end_offsets(list(committed))
    finally:
        await admin.close()
        await consumer.stop()
    if not members:
        return [
            wrong(
                subject, "nobody is in it: nothing is folded", "start stream processors, or mend FRAUD_CONSUMER_GROUP"
            )
        ]
    lag = sum(max(0, end - committed[partition].offset) for partition, end in ends.items())
    says = f"{state}, {len(members)} in it, {lag:,} records behind"
    return [warning(subject, says, "start more workers, or look into their log") if lag > _LAG else ok(subject, says)]
